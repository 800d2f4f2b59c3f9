//! A few accounts, and commands on them in few words.

use std::{collections::BTreeMap, time::Duration};

use common::{
    iban::Iban,
    id::{AccountId, AlarmId, DepositId, PaymentId, TransferId},
    money::{Currency, Money},
    order::{self, BankKey, DepositOrder, Payee, PayeeAccount, PaymentOrder},
};
use uuid::Uuid;

use super::twin::Twin;
use crate::domain::{
    account::{Account, Balances},
    ledger::{Arrival, BankRoute, Command, Conclude, NoRoute, Pay, Request, TransferIds, Witness},
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

/// The accounts, without any money.
pub fn accounts() -> Twin {
    let mut twin = Twin::default();
    for (number, participant, currency, iban, may_overdraw, closed) in [
        (ALICE, "alice", EUR, Some(ALICE_IBAN), false, false),
        (ALICE_TOO, "alice", EUR, None, false, false),
        (ALICE_CLOSED, "alice", EUR, None, false, true),
        (BOB, "bob", EUR, Some(BOB_IBAN), false, false),
        (BOB_USD, "bob", USD, None, false, false),
        (SETTLEMENT_EUR, "rialto-house", EUR, Some(SETTLEMENT_IBAN), true, false),
        (SETTLEMENT_USD, "rialto-house", USD, None, true, false),
    ] {
        let account = Account {
            id: account(number),
            participant: participant.to_owned(),
            display_name: format!("Account {number}"),
            iban: iban.map(str::to_owned),
            currency: Currency::parse(currency).expect("a currency"),
            may_overdraw,
            closed,
            balances: Balances::default(),
        };
        twin.accounts.insert(account.id, account);
    }
    twin
}

/// The accounts, with money on Alice's and Bob's.
pub fn accounts_with(minor_units: i64) -> Twin {
    let mut twin = accounts();
    for (number, participant, currency) in [(ALICE, "alice", EUR), (BOB, "bob", EUR), (BOB_USD, "bob", USD)] {
        let request = format!("initial-{number}");
        twin.commit_one(deposit(900 + number, participant, &request, number, money(minor_units, currency)));
    }
    twin
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
    let settlement = if amount.currency().code() == USD { SETTLEMENT_USD } else { SETTLEMENT_EUR };
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
            false => Ok(BankRoute {
                bank_id: "aurora".to_owned(),
                settlement_account: account(settlement),
                valid_for: Duration::from_secs(20),
                lease: Duration::from_secs(30),
                waits: false,
            }),
        },
        validate_only: false,
    }
}

pub fn deposit(number: u128, participant: &str, request: &str, to: u128, amount: Money) -> Command {
    let settlement = if amount.currency().code() == USD { SETTLEMENT_USD } else { SETTLEMENT_EUR };
    Command::Deposit(Box::new(Arrival {
        id: DepositId::from_uuid(Uuid::from_u128(number)),
        transfer: TransferId::from_uuid(Uuid::from_u128(1_000_000 + number)),
        participant: participant.to_owned(),
        order: DepositOrder {
            request_id: request.to_owned(),
            account: account(to),
            amount,
            bank_id: "aurora".to_owned(),
            reference: String::new(),
        },
        fingerprint: fingerprint(&format!("{to} {amount}")),
        settlement_account: account(settlement),
    }))
}

pub fn conclude(payment: PaymentId, token: i64, evidence: Evidence, transfer: u128) -> Command {
    Command::Conclude(Box::new(Conclude {
        payment,
        original: None,
        witness: Witness::Lease(token),
        evidence,
        transfers: transfers(transfer),
        alarm: AlarmId::from_uuid(Uuid::from_u128(transfer)),
        compensation: None,
    }))
}

/// Numbers for the transfers of the nth command.
pub fn transfers(nth: u128) -> TransferIds {
    let number = |which: u128| TransferId::from_uuid(Uuid::from_u128(2_000_000 + nth + which * 1_000_000));
    TransferIds([number(0), number(1), number(2)])
}

/// One evidence of every kind.
pub fn evidence() -> [Evidence; 5] {
    let text = |text: &str| text.to_owned();
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
    ]
}

fn fingerprint(content: &str) -> Fingerprint {
    *blake3::hash(content.as_bytes()).as_bytes()
}
