//! What may happen next: steps in few words, and the commands that come of them.

use common::{
    id::{AccountId, PaymentId},
    order::{LimitRule, LimitRules, LimitSubject},
};
use proptest::{bool::weighted, prelude::*, sample::select};

use super::{model::reply::Reply, world::*};
use crate::domain::ledger::{Command, Ruling};

/// What may happen next. `nth` counts the payments that fit, or all of them unless it is `aimed`.
#[derive(Clone, Debug)]
pub enum Step {
    /// Alice wants to pay: from one of a few accounts, to one of a few payees.
    Pay {
        payer: u128,
        to: &'static str,
        minor_units: i64,
        mode: Mode,
        bank: Bank,
        validate_only: bool,
        is_signed: bool,
    },
    Capture {
        nth: usize,
        aimed: bool,
        part: Part,
        bank: Bank,
        by: &'static str,
    },
    Cancel {
        nth: usize,
        aimed: bool,
        by: &'static str,
    },
    Expire {
        nth: usize,
        aimed: bool,
        stale: bool,
    },
    Refund {
        nth: usize,
        aimed: bool,
        part: Part,
        bank: Bank,
        by: &'static str,
    },
    Submit {
        nth: usize,
        aimed: bool,
        stale: bool,
    },
    /// Something is learnt of a payment.
    Conclude {
        nth: usize,
        aimed: bool,
        who: Who,
        evidence: usize,
    },
    Resolve {
        nth: usize,
        aimed: bool,
        actor: &'static str,
        succeeded: bool,
        reference: &'static str,
    },
    /// Money arrives.
    Deposit {
        to: u128,
        minor_units: i64,
        currency: &'static str,
    },
    /// An operator decides on a deposit, or its time may be over.
    DecideDeposit {
        nth: usize,
        aimed: bool,
        ruling: Ruling,
        by: &'static str,
    },
    /// A request is made again, as it was or with other content.
    Repeat {
        nth: usize,
        changed: bool,
    },
    /// Another worker takes a payment over.
    TakeOver {
        nth: usize,
    },
    /// Time goes by.
    Wait {
        seconds: u64,
    },
    /// An account is closed, or opened again.
    Close {
        number: u128,
        closed: bool,
    },
    /// Alice's account, or all of hers in euros, may pay so much.
    Limit {
        all: bool,
        rules: LimitRules,
    },
    /// What was asked since the last one is committed together; the answer to the commit may get lost.
    Commit {
        answer_lost: bool,
    },
}

/// When to pay; an authorization may say when it ends.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    Automatic,
    Manual(Option<u64>),
}

/// Whether a bank can be instructed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bank {
    Online,
    Waits,
    Offline,
}

/// How much of a payment.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    All,
    Some(i64),
    Dollars,
}

/// Who brings evidence.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    Holder,
    Zombie,
    Bank,
}

/// What is to be done with the ledger.
#[derive(Debug)]
pub enum Act {
    /// Commit a batch, and compare what it says.
    Commit(Vec<Command>, Vec<Reply>),
    TakeOver(PaymentId),
    Wait(u64),
    Close(AccountId, bool),
    Limit(LimitSubject, LimitRules),
}

const DAY_S: u64 = 24 * 60 * 60;

/// Sequences of steps, which a case does one after the other; there are a few payments to begin with.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let first = prop::collection::vec(pay(), 1..8);
    let then = prop_oneof![
        20 => pay(),
        32 => orders(),
        44 => work(),
        9 => deposits(),
        18 => decisions(),
        12 => (nth(), weighted(0.4)).prop_map(|(nth, changed)| Step::Repeat { nth, changed }),
        3 => nth().prop_map(|nth| Step::TakeOver { nth }),
        5 => prop_oneof![9 => select(vec![1, 30, 61, 61, 700, 3_000]), 1 => Just(8 * DAY_S)]
            .prop_map(|seconds| Step::Wait { seconds }),
        4 => (select(vec![ALICE, ALICE_TOO, ALICE_TOO, ALICE_TOO, BOB, BOB, BOB]), weighted(0.4))
            .prop_map(|(number, closed)| Step::Close { number, closed }),
        2 => limit(),
        14 => weighted(0.2).prop_map(|answer_lost| Step::Commit { answer_lost }),
    ];
    let all = (first, prop::collection::vec(then, 1..160));
    all.prop_map(|(first, then)| {
        first.into_iter().chain([Step::Commit { answer_lost: false }]).chain(then).collect()
    })
}

fn pay() -> impl Strategy<Value = Step> {
    let payers = prop_oneof![
        16 => Just(ALICE),
        1 => Just(ALICE_TOO),
        1 => select(vec![BOB, ALICE_CLOSED, SETTLEMENT_EUR]),
    ];
    let payees = prop_oneof![
        8 => select(vec!["123", "123", OTHER_IBAN]),
        4 => select(vec!["#4", BOB_IBAN, "#2"]),
        1 => select(vec!["#1", "#3", "#5", "#8", "#77", ALICE_IBAN, SETTLEMENT_IBAN]),
    ];
    let ends = select(vec![0, 59, 60, 60, 60, 60, 60, 600, 30 * DAY_S, 30 * DAY_S + 1]);
    let mode = prop_oneof![
        6 => Just(Mode::Automatic),
        3 => Just(Mode::Manual(None)),
        4 => ends.prop_map(|after_s| Mode::Manual(Some(after_s))),
    ];
    let what = (payers, payees, 1..100_i64, mode, bank(), weighted(0.05), any::<bool>());
    what.prop_map(|(payer, to, minor_units, mode, bank, validate_only, is_signed)| Step::Pay {
        payer,
        to,
        minor_units,
        mode,
        bank,
        validate_only,
        is_signed,
    })
}

/// What callers do with payments.
fn orders() -> impl Strategy<Value = Step> {
    let part =
        || prop_oneof![4 => Just(Part::All), 8 => (1..60_i64).prop_map(Part::Some), 1 => Just(Part::Dollars)];
    let by = || prop_oneof![6 => Just("alice"), 1 => Just("bob")];
    prop_oneof![
        12 => (nth(), aimed(), part(), bank(), by())
            .prop_map(|(nth, aimed, part, bank, by)| Step::Capture { nth, aimed, part, bank, by }),
        12 => (nth(), aimed(), part(), bank(), prop_oneof![Just("alice"), Just("bob")])
            .prop_map(|(nth, aimed, part, bank, by)| Step::Refund { nth, aimed, part, bank, by }),
        5 => (nth(), aimed(), by()).prop_map(|(nth, aimed, by)| Step::Cancel { nth, aimed, by }),
    ]
}

/// What workers, banks and operators do with payments.
fn work() -> impl Strategy<Value = Step> {
    let stale = || weighted(0.2);
    let who = prop_oneof![6 => Just(Who::Holder), 1 => Just(Who::Zombie), 3 => Just(Who::Bank)];
    let evidence = select(vec![0, 0, 0, 1, 1, 2, 3, 4, 4, 5, 5, 6, 7]);
    let found =
        (select(vec!["ada", "bea"]), any::<bool>(), prop_oneof![3 => Just("letter"), 1 => Just("line")]);
    prop_oneof![
        7 => (nth(), aimed(), stale()).prop_map(|(nth, aimed, stale)| Step::Expire { nth, aimed, stale }),
        8 => (nth(), aimed(), stale()).prop_map(|(nth, aimed, stale)| Step::Submit { nth, aimed, stale }),
        22 => (nth(), aimed(), who, evidence)
            .prop_map(|(nth, aimed, who, evidence)| Step::Conclude { nth, aimed, who, evidence }),
        9 => (nth(), weighted(0.95), found).prop_map(|(nth, aimed, (actor, succeeded, reference))| {
            Step::Resolve { nth, aimed, actor, succeeded, reference }
        }),
    ]
}

fn deposits() -> impl Strategy<Value = Step> {
    let currency = prop_oneof![6 => Just(EUR), 1 => Just(USD)];
    let what = (select(vec![ALICE, ALICE_TOO, ALICE_TOO, ALICE_TOO, BOB, ALICE_CLOSED]), 1..90_i64, currency);
    what.prop_map(|(to, minor_units, currency)| Step::Deposit { to, minor_units, currency })
}

fn decisions() -> impl Strategy<Value = Step> {
    let by = || select(vec!["ada", "bea", "bea", "cleo"]).prop_map(str::to_owned);
    let amount = prop_oneof![6 => Just(0), 1 => Just(1_i64)].prop_map(|more| money(more, EUR));
    let ruling = prop_oneof![
        6 => (by(), amount).prop_map(|(by, amount)| Ruling::Approve { by, amount }),
        4 => (by(), prop_oneof![9 => Just("no such line"), 1 => Just("twice")])
            .prop_map(|(by, reason)| Ruling::Reject { by, reason: reason.to_owned() }),
        3 => Just(Ruling::Lapse),
    ];
    let whose = prop_oneof![9 => Just("alice"), 1 => Just("bob")];
    (nth(), aimed(), ruling, whose).prop_map(|(nth, aimed, ruling, by)| Step::DecideDeposit {
        nth,
        aimed,
        ruling,
        by,
    })
}

fn limit() -> impl Strategy<Value = Step> {
    let rule = || {
        let minor_units = proptest::option::weighted(0.4, 0..400_i64);
        let payments = proptest::option::weighted(0.4, 0..8_i64);
        (minor_units, payments).prop_map(|(minor_units, payments)| LimitRule { minor_units, payments })
    };
    let payment = || proptest::option::weighted(0.3, 40..100_i64);
    (any::<bool>(), [payment(), payment()], rule(), rule()).prop_map(
        |(all, [payment_minor_units, unsigned_payment_minor_units], hour, day)| Step::Limit {
            all,
            rules: LimitRules { payment_minor_units, unsigned_payment_minor_units, hour, day },
        },
    )
}

fn bank() -> impl Strategy<Value = Bank> {
    prop_oneof![6 => Just(Bank::Online), 2 => Just(Bank::Waits), 1 => Just(Bank::Offline)]
}

fn nth() -> impl Strategy<Value = usize> {
    0..64_usize
}

fn aimed() -> impl Strategy<Value = bool> {
    weighted(0.85)
}
