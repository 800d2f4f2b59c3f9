//! A few accounts, and commands on them in few words.

use std::{collections::BTreeMap, time::Duration};

use common::{
    iban::Iban,
    id::{AccountId, ActId, DecisionId, DepositId, PaymentId},
    money::{Currency, Money},
    order::{self, BankKey, DepositOrder, Payee, PayeeAccount, PaymentOrder},
    text::HOUSE,
};
use uuid::Uuid;

use crate::domain::{
    ledger::{
        Arrival, BankRoute, Cancel, Capture, Command, Compensation, Conclude, DecideDeposit, Expire, Finding,
        NoRoute, Pay, Refund, Request, Resolve, Ruling, Submit, Witness,
    },
    payment::{Evidence, Fingerprint},
};

pub const EUR: &str = "EUR";
pub const USD: &str = "USD";

/// Alice's accounts, then Bob's, then the house's.
pub const ALICE: u128 = 1;
pub const ALICE_TOO: u128 = 2;
pub const ALICE_CLOSED: u128 = 3;
pub const BOB: u128 = 4;
pub const BOB_USD: u128 = 5;
pub const SETTLEMENT_EUR: u128 = 8;
pub const SETTLEMENT_USD: u128 = 9;
pub const SUSPENSE_EUR: u128 = 10;

pub const ALICE_IBAN: &str = "DE89370400440532013000";
pub const BOB_IBAN: &str = "GB82WEST12345698765432";
pub const SETTLEMENT_IBAN: &str = "FR1420041010050500013M02606";
pub const OTHER_IBAN: &str = "NL91ABNA0417164300";

pub fn account(number: u128) -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(number))
}

pub fn payment(number: u128) -> PaymentId {
    PaymentId::from_uuid(Uuid::from_u128(number))
}

pub fn money(minor_units: i64, currency: &str) -> Money {
    Money::new(minor_units, Currency::parse(currency).expect("a currency"))
}

/// An account of the ledger.
#[derive(Debug)]
pub struct Holder {
    pub number: u128,
    pub participant: &'static str,
    pub currency: &'static str,
    pub iban: Option<&'static str>,
    pub may_overdraw: bool,
    pub closed: bool,
}

/// All of them.
pub const ACCOUNTS: [Holder; 8] = [
    customer(ALICE, "alice", EUR, Some(ALICE_IBAN)),
    customer(ALICE_TOO, "alice", EUR, None),
    Holder { closed: true, ..customer(ALICE_CLOSED, "alice", EUR, None) },
    customer(BOB, "bob", EUR, Some(BOB_IBAN)),
    customer(BOB_USD, "bob", USD, None),
    Holder { iban: Some(SETTLEMENT_IBAN), ..house(SETTLEMENT_EUR, EUR) },
    house(SETTLEMENT_USD, USD),
    house(SUSPENSE_EUR, EUR),
];

const fn customer(
    number: u128,
    participant: &'static str,
    currency: &'static str,
    iban: Option<&'static str>,
) -> Holder {
    Holder { number, participant, currency, iban, may_overdraw: false, closed: false }
}

const fn house(number: u128, currency: &'static str) -> Holder {
    Holder { number, participant: HOUSE, currency, iban: None, may_overdraw: true, closed: false }
}

/// Whose accounts have money at the beginning, and how much.
pub fn first_deposits(minor_units: i64) -> Vec<Command> {
    let first = [(ALICE, "alice", EUR), (BOB, "bob", EUR), (BOB_USD, "bob", USD)];
    let proposed = first.map(|(number, participant, currency)| {
        let request = format!("initial-{number}");
        deposit(900 + number, participant, &request, number, money(minor_units, currency))
    });
    let approved = first.map(|(number, participant, currency)| {
        let ruling = Ruling::Approve { by: "bea".to_owned(), amount: money(minor_units, currency) };
        decide(900 + number, participant, 900 + number, number, ruling)
    });
    proposed.into_iter().chain(approved).collect()
}

/// A payee's account, in few words: `#4` on this ledger, digits at a bank, or an IBAN.
pub fn payee(text: &str) -> Payee {
    let account = match text.strip_prefix('#') {
        Some(number) => PayeeAccount::Ledger(account(number.parse().expect("a number"))),
        None => match Iban::parse(text) {
            Some(iban) => PayeeAccount::Iban(iban, None),
            None => PayeeAccount::Number(text.to_owned(), BankKey::Id("aurora".to_owned())),
        },
    };
    Payee { name: "Payee".to_owned(), account }
}

/// A payment whose fingerprint follows from its content.
pub fn pay(number: u128, participant: &str, request: &str, payer: u128, to: &str, amount: Money) -> Pay {
    let settlement_account = settlement(amount.currency().code());
    Pay {
        id: payment(number),
        uetr: Uuid::from_u128(number),
        request: Request {
            participant: participant.to_owned(),
            request_id: request.to_owned(),
            fingerprint: fingerprint(&format!("{payer} {to} {amount}")),
        },
        order: PaymentOrder {
            request_id: request.to_owned(),
            payer_account: account(payer),
            payee: payee(to),
            amount,
            remittance_information: String::new(),
            end_to_end_id: None,
            metadata: BTreeMap::new(),
            capture: order::Capture::Automatic,
        },
        bank: match to.starts_with('#') {
            true => Err(NoRoute::NotInDirectory("payee.ledger_account")),
            false => Ok(BankRoute { settlement_account, ..aurora(false) }),
        },
        validate_only: false,
        is_signed: false,
        incoming: None,
    }
}

pub fn deposit(number: u128, participant: &str, request: &str, to: u128, amount: Money) -> Command {
    Command::Deposit(Box::new(Arrival {
        id: deposit_id(number),
        participant: participant.to_owned(),
        actor: "ada".to_owned(),
        order: DepositOrder {
            request_id: request.to_owned(),
            account: account(to),
            amount,
            bank_id: "aurora".to_owned(),
            reference: String::new(),
        },
        fingerprint: fingerprint(&format!("{to} {amount}")),
        settlement_account: settlement(amount.currency().code()),
        lapses_after: Duration::from_secs(600),
        max_pending: 3,
    }))
}

/// The nth decision, on a deposit to an account.
pub fn decide(nth: u128, participant: &str, deposit: u128, to: u128, ruling: Ruling) -> Command {
    let currency = ACCOUNTS.iter().find(|holder| holder.number == to).map_or(EUR, |holder| holder.currency);
    Command::DecideDeposit(Box::new(DecideDeposit {
        id: DecisionId::from_uuid(Uuid::from_u128(7_000_000 + nth)),
        participant: participant.to_owned(),
        deposit: deposit_id(deposit),
        accounts: [account(to), settlement(currency)],
        ruling,
    }))
}

pub fn deposit_id(number: u128) -> DepositId {
    DepositId::from_uuid(Uuid::from_u128(number))
}

fn settlement(currency: &str) -> AccountId {
    account(if currency == USD { SETTLEMENT_USD } else { SETTLEMENT_EUR })
}

/// The bank aurora, there or not.
pub fn aurora(waits: bool) -> BankRoute {
    BankRoute {
        bank_id: "aurora".to_owned(),
        settlement_account: account(SETTLEMENT_EUR),
        valid_for: Duration::from_secs(20),
        lease: Duration::from_secs(30),
        waits,
    }
}

/// Evidence that nothing could be taken back with.
pub fn said(payment: PaymentId, witness: Witness, evidence: Evidence) -> Conclude {
    Conclude {
        known: None,
        payment,
        original: None,
        witness,
        evidence,
        compensation: None,
        bank_message: None,
    }
}

pub fn capture(nth: u128, request: &str, payment: PaymentId, amount: Option<Money>) -> Capture {
    Capture {
        id: self::payment(nth),
        uetr: Uuid::from_u128(nth),
        request: request_of("alice", request, &format!("capture {payment} {amount:?}")),
        payment,
        amount,
        bank: Ok(aurora(false)),
    }
}

pub fn refund(
    nth: u128,
    participant: &str,
    request: &str,
    payment: PaymentId,
    amount: Option<Money>,
) -> Refund {
    Refund {
        id: self::payment(nth),
        uetr: Uuid::from_u128(nth),
        request: request_of(participant, request, &format!("refund {payment} {amount:?}")),
        payment,
        amount,
        remittance_information: String::new(),
        bank: Ok(aurora(false)),
    }
}

pub fn cancel(payment: PaymentId, original: Option<PaymentId>) -> Cancel {
    Cancel { participant: "alice".to_owned(), payment, original }
}

pub fn expire(payment: PaymentId, token: i64) -> Command {
    Command::Expire(Box::new(Expire { payment, token }))
}

pub fn submit(payment: PaymentId, original: Option<PaymentId>, token: i64) -> Command {
    let (valid_for, lease) = (Duration::from_secs(20), Duration::from_secs(30));
    Command::Submit(Box::new(Submit { payment, original, token, valid_for, lease }))
}

/// What one of several operators found out.
pub fn resolve(nth: u128, actor: &str, payment: PaymentId, succeeded: bool, reference: &str) -> Resolve {
    Resolve {
        id: ActId::from_uuid(Uuid::from_u128(8_000_000 + nth)),
        participant: "alice".to_owned(),
        actor: actor.to_owned(),
        payment,
        original: None,
        finding: Finding { succeeded, evidence_reference: reference.to_owned() },
    }
}

/// What the nth command would take a late success back with.
pub fn compensation(nth: u128) -> Compensation {
    Compensation {
        suspense_account: account(SUSPENSE_EUR),
        payment: payment(5_000_000 + nth),
        uetr: Uuid::from_u128(5_000_000 + nth),
        bank_id: "aurora".to_owned(),
    }
}

fn request_of(participant: &str, request: &str, content: &str) -> Request {
    Request {
        participant: participant.to_owned(),
        request_id: request.to_owned(),
        fingerprint: fingerprint(content),
    }
}

/// Evidence of every kind; what the first two say is the bank's own verdict.
pub fn evidence() -> [Evidence; 8] {
    let text = |text: &str| text.to_owned();
    let pause = Some(Duration::from_secs(1));
    [
        Evidence::Accepted { bank_message_id: text("M1") },
        Evidence::Rejected { iso_code: text("AC04"), text: text("no"), bank_message_id: text("M2") },
        Evidence::NeverSent { detail: text("no line"), next_attempt_after: None },
        Evidence::NeverReceived { next_attempt_after: None },
        Evidence::Inconclusive {
            reason: text("BANK_TIMEOUT"),
            detail: text("no answer"),
            resume_after: Duration::from_secs(1),
        },
        Evidence::Contradictory { reason: text("OTHER_AMOUNT"), detail: text("another amount") },
        Evidence::NeverSent { detail: text("no line"), next_attempt_after: pause },
        Evidence::NeverReceived { next_attempt_after: pause },
    ]
}

/// Sixteen bytes that follow from a text.
pub fn fingerprint(content: &str) -> Fingerprint {
    std::array::from_fn(|at| blake3::hash(content.as_bytes()).as_bytes()[at])
}
