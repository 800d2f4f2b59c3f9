//! The rules against a model so small that it can be seen to be right: random commands in random batches, each outcome
//! foretold by the model, the books checked after every batch.

mod rules;
mod twin;
mod world;

use std::collections::BTreeMap;

use common::id::{AccountId, PaymentId};
use proptest::prelude::*;

use super::{
    ledger::{Command, Declined, Outcome},
    payment::{Evidence, Lease, State},
};
use twin::Twin;
use world::*;

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    /// A payment under one of a few request ids, with one of three contents for it.
    Pay { request: usize, content: usize, validate_only: bool },
    /// Something is learnt of an earlier payment, by the holder of its lease or by one who lost it.
    Conclude { nth: usize, stale: bool, evidence: usize },
    /// Money arrives.
    Deposit { request: usize, content: usize },
    /// Another worker takes a payment over.
    TakeOver { nth: usize },
    /// The batch is committed; the answer to its commit may get lost.
    Commit { answer_lost: bool },
}

/// Who pays, to whom, how much.
type Content = (u128, &'static str, i64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..12_usize, 0..3_usize, prop::bool::weighted(0.1))
            .prop_map(|(request, content, validate_only)| Step::Pay { request, content, validate_only }),
        8 => (0..64_usize, prop::bool::weighted(0.15), 0..5_usize)
            .prop_map(|(nth, stale, evidence)| Step::Conclude { nth, stale, evidence }),
        2 => (0..4_usize, 0..2_usize).prop_map(|(request, content)| Step::Deposit { request, content }),
        2 => (0..64_usize).prop_map(|nth| Step::TakeOver { nth }),
        5 => prop::bool::weighted(0.1).prop_map(|answer_lost| Step::Commit { answer_lost }),
    ];
    prop::collection::vec(step, 1..80)
}

fn contents() -> impl Strategy<Value = Vec<Content>> {
    let payers = prop::sample::select(vec![ALICE, ALICE, ALICE_TOO, BOB, BOB, ALICE_CLOSED, SETTLEMENT_EUR]);
    let payees = prop::sample::select(vec![
        "#1",
        "#2",
        "#3",
        "#4",
        "#5",
        "#8",
        "#77",
        ALICE_IBAN,
        BOB_IBAN,
        OTHER_IBAN,
        SETTLEMENT_IBAN,
        "123",
        "123",
        "123",
    ]);
    prop::collection::vec((payers, payees, 1..60_i64), 36..=36)
}

/// What is known of a payment.
#[derive(Clone, Debug)]
struct Known {
    content: Content,
    credit: AccountId,
    state: State,
    token: i64,
}

/// Money as a child would count it: what each account has free, what each payment under way holds.
#[derive(Default)]
struct Model {
    free: BTreeMap<AccountId, i64>,
    payments: BTreeMap<PaymentId, Known>,
    by_request: BTreeMap<String, PaymentId>,
    deposits: BTreeMap<String, usize>,
}

impl Model {
    fn pay(&mut self, id: PaymentId, request: &str, content: Content, validate_only: bool) -> String {
        if let Some(earlier) = self.by_request.get(request) {
            let known = &self.payments[earlier];
            let same = known.content == content;
            return if same {
                format!("replayed {earlier} {}", known.state.name())
            } else {
                "reused".to_owned()
            };
        }
        let (payer, to, amount) = content;
        // Everybody here is Alice, who has three accounts.
        if ![ALICE, ALICE_TOO, ALICE_CLOSED].contains(&payer) {
            return "no such account".to_owned();
        }
        let on_us = match to {
            ALICE_IBAN => Some(ALICE),
            BOB_IBAN => Some(BOB),
            SETTLEMENT_IBAN => Some(SETTLEMENT_EUR),
            _ => to.strip_prefix('#').map(|number| number.parse().expect("a number")),
        };
        match on_us {
            Some(to) if to == payer => return "pays itself".to_owned(),
            Some(SETTLEMENT_EUR | 77) => return "no such payee".to_owned(),
            Some(BOB_USD) => return "other currency".to_owned(),
            _ => {}
        }
        let free = self.free.get(&account(payer)).copied().unwrap_or_default();
        let refusal = match (payer, on_us) {
            (ALICE_CLOSED, _) => Some("PAYER_ACCOUNT_CLOSED"),
            _ if free < amount => Some("INSUFFICIENT_FUNDS"),
            (_, Some(ALICE_CLOSED)) => Some("PAYEE_ACCOUNT_CLOSED"),
            _ => None,
        };
        if validate_only {
            return format!("validated {}", refusal.unwrap_or("OK"));
        }
        let credit = account(on_us.unwrap_or(SETTLEMENT_EUR));
        let state = match (refusal, on_us) {
            (Some(_), _) => State::Failed,
            (None, Some(_)) => State::Succeeded,
            (None, None) => State::Submitted,
        };
        if state != State::Failed {
            self.add(account(payer), -amount);
        }
        if state == State::Succeeded {
            self.add(credit, amount);
        }
        self.payments.insert(id, Known { content, credit, state, token: Lease::FIRST.token });
        self.by_request.insert(request.to_owned(), id);
        match state {
            State::Submitted => format!("submitted {id}"),
            _ => format!("payment {id} {} {}", state.name(), refusal.unwrap_or_default()),
        }
    }

    fn conclude(&mut self, id: PaymentId, token: i64, evidence: &Evidence) -> String {
        let Some(known) = self.payments.get_mut(&id) else { return "no such payment".to_owned() };
        let (payer, _, amount) = known.content;
        let (credit, before) = (known.credit, known.state);
        if matches!(before, State::Submitted | State::Unknown) {
            if token != known.token {
                return "lease lost".to_owned();
            }
            known.state = match evidence {
                Evidence::Accepted { .. } => State::Succeeded,
                Evidence::Rejected { .. } | Evidence::NeverSent { .. } | Evidence::NeverReceived { .. } => {
                    State::Failed
                }
                Evidence::Inconclusive { .. } => State::Unknown,
                Evidence::Contradictory { .. } | Evidence::Resolved { .. } => State::Investigate,
            };
            match known.state {
                State::Succeeded => self.add(credit, amount),
                State::Failed => self.add(account(payer), amount),
                _ => {}
            }
        }
        format!("payment {id} {}", self.payments[&id].state.name())
    }

    fn deposit(&mut self, request: &str, content: usize) -> String {
        match self.deposits.get(request) {
            Some(earlier) if *earlier == content => "deposit replayed".to_owned(),
            Some(_) => "reused".to_owned(),
            None => {
                self.deposits.insert(request.to_owned(), content);
                self.add(account(SETTLEMENT_EUR), -DEPOSIT);
                self.add(account([ALICE, ALICE_TOO][content]), DEPOSIT);
                "deposit".to_owned()
            }
        }
    }

    fn add(&mut self, account: AccountId, amount: i64) {
        *self.free.entry(account).or_default() += amount;
    }
}

const DEPOSIT: i64 = 50;

/// The outcome in the model's words.
fn words(command: &Command, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Submitted(submission) => format!("submitted {}", submission.payment.id),
        Outcome::Payment(payment) if matches!(command, Command::Conclude(_)) => {
            format!("payment {} {}", payment.id, payment.state.name())
        }
        Outcome::Payment(payment) => {
            let reason = payment.reason.as_ref().map(|reason| reason.code.as_str()).unwrap_or_default();
            format!("payment {} {} {reason}", payment.id, payment.state.name())
        }
        Outcome::Replayed(payment) => format!("replayed {} {}", payment.id, payment.state.name()),
        Outcome::Validated(Ok(())) => "validated OK".to_owned(),
        Outcome::Validated(Err(refusal)) => format!("validated {}", refusal.reason().code),
        Outcome::Resolution(..) => "resolution".to_owned(),
        Outcome::Deposit(_, false) => "deposit".to_owned(),
        Outcome::Deposit(_, true) => "deposit replayed".to_owned(),
        Outcome::Declined(declined) => match declined {
            Declined::RequestIdReused => "reused",
            Declined::AccountNotFound => "no such account",
            Declined::PayeeAccountNotFound => "no such payee",
            Declined::PaysItself => "pays itself",
            Declined::CurrencyMismatch(_) => "other currency",
            Declined::PaymentNotFound => "no such payment",
            Declined::LeaseLost => "lease lost",
            _ => "never here",
        }
        .to_owned(),
    }
}

/// The world, and its double that takes every command by itself.
struct Run {
    batched: Twin,
    one_by_one: Twin,
    model: Model,
    batch: Vec<(Command, String)>,
    count: u128,
}

impl Run {
    fn new() -> Self {
        let mut model = Model::default();
        for (number, amount) in
            [(ALICE, 100), (BOB, 100), (SETTLEMENT_EUR, -200), (BOB_USD, 100), (SETTLEMENT_USD, -100)]
        {
            model.add(account(number), amount);
        }
        Self {
            batched: accounts_with(100),
            one_by_one: accounts_with(100),
            model,
            batch: Vec::new(),
            count: 0,
        }
    }

    fn step(&mut self, step: &Step, contents: &[Content]) {
        self.count += 1;
        let (command, foretold) = match *step {
            Step::Pay { request, content, validate_only } => {
                let (payer, to, amount) = contents[request * 3 + content];
                let request = format!("r{request}");
                let mut pay = pay(self.count, "alice", &request, payer, to, money(amount, EUR));
                pay.validate_only = validate_only;
                let foretold = self.model.pay(pay.id, &request, (payer, to, amount), validate_only);
                (Command::Pay(Box::new(pay)), foretold)
            }
            Step::Conclude { nth, stale, evidence: kind } => {
                // Only what is committed can have been sent.
                let id = self.nth_payment(nth);
                let held = self.model.payments.get(&id).map_or(1, |known| known.token);
                let token = if stale { held - 1 } else { held };
                let evidence = evidence()[kind].clone();
                let foretold = self.model.conclude(id, token, &evidence);
                (conclude(id, token, evidence, self.count), foretold)
            }
            Step::Deposit { request, content } => {
                let request = format!("d{request}");
                let to = [ALICE, ALICE_TOO][content];
                let foretold = self.model.deposit(&request, content);
                (deposit(self.count, "alice", &request, to, money(DEPOSIT, EUR)), foretold)
            }
            Step::TakeOver { nth } => {
                self.commit(false);
                let id = self.nth_payment(nth);
                for twin in [&mut self.batched, &mut self.one_by_one] {
                    twin.take_over(id);
                }
                if let Some(known) = self.model.payments.get_mut(&id) {
                    known.token += 1;
                }
                return;
            }
            Step::Commit { answer_lost } => return self.commit(answer_lost),
        };
        self.batch.push((command, foretold));
    }

    fn nth_payment(&self, nth: usize) -> PaymentId {
        let known: Vec<_> = self.batched.payments.keys().collect();
        if known.is_empty() { payment(99_999) } else { *known[nth % known.len()] }
    }

    fn commit(&mut self, answer_lost: bool) {
        let (commands, foretold): (Vec<_>, Vec<_>) = std::mem::take(&mut self.batch).into_iter().unzip();
        let before = self.batched.payments.clone();
        let (outcomes, _) = self.batched.commit(&commands);
        let said: Vec<_> =
            commands.iter().zip(&outcomes).map(|(command, outcome)| words(command, outcome)).collect();
        assert_eq!(said, foretold);
        let alone: Vec<_> =
            commands.iter().map(|command| self.one_by_one.commit_one(command.clone())).collect();
        assert_eq!(outcomes, alone, "a batch decides as its commands one by one");
        assert_eq!(self.batched, self.one_by_one);
        for payment in before.values().filter(|payment| payment.state.is_final()) {
            assert_eq!(self.batched.payments[&payment.id], *payment, "a final state never changes");
        }
        for (id, account) in &self.batched.accounts {
            let free = self.model.free.get(id).copied().unwrap_or_default();
            assert_eq!(account.balances.available(), free, "{id}");
        }
        if answer_lost {
            let (_, again) = self.batched.commit(&commands);
            assert!(again.new_payments.is_empty() && again.deposits.is_empty());
            assert!(
                again.transfers.is_empty() && again.changed_payments.is_empty() && again.deltas.is_empty()
            );
            for command in commands {
                self.one_by_one.commit_one(command);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 768, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_outcome_is_the_models_and_the_books_balance(steps in steps(), contents in contents()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step, &contents);
        }
        run.commit(true);
    }
}
