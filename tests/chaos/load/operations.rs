//! What callers do: a table, each row with its share and how it is drawn.

use std::sync::Arc;

use harness::{
    client::{money, order, payee_by_iban, payee_by_number, payee_on_ledger},
    system::{BANKS, BankSetup},
};
use proto::{
    accounts::DepositRequest,
    payments::{CreatePaymentRequest, Payee, payee},
};
use rand::{RngExt, seq::IndexedRandom};

use super::{
    Payer,
    call::{Call, Message},
    caller::Caller,
    life,
};

/// Amounts that end so are those that banks are scripted to misbehave on.
pub const SCRIPTED_ENDING: u8 = 13;

/// Something that callers do.
pub struct Operation {
    /// How often, relative to the others.
    pub share: u32,
    /// Draws a call; none when there is nothing yet to do it to.
    pub draw: fn(&mut Caller) -> Option<Call>,
}

/// Everything that callers do.
pub const OPERATIONS: [Operation; 13] = [
    Operation { share: 32, draw: pay_a_bank },
    Operation { share: 8, draw: pay_on_the_ledger },
    Operation { share: 7, draw: race_for_little_money },
    Operation { share: 12, draw: life::authorize },
    Operation { share: 4, draw: life::authorize_on_the_ledger },
    Operation { share: 14, draw: life::capture },
    Operation { share: 4, draw: life::cancel },
    Operation { share: 14, draw: life::refund },
    Operation { share: 18, draw: repeat },
    Operation { share: 6, draw: reuse_the_id },
    Operation { share: 12, draw: read },
    Operation { share: 4, draw: deposit_again },
    Operation { share: 2, draw: pay_too_much },
];

pub(super) fn payer(caller: &mut Caller, is_poor: bool) -> Option<Payer> {
    let fitting: Vec<&Payer> = caller.world.payers.iter().filter(|payer| payer.is_poor == is_poor).collect();
    fitting.choose(&mut caller.random).map(|payer| (*payer).clone())
}

/// A new payment, changed as `change` says.
pub(super) fn new_payment(
    caller: &mut Caller,
    payer: &Payer,
    payee: Payee,
    amount: i64,
    change: impl FnOnce(&mut CreatePaymentRequest),
) -> Call {
    let id = caller.next_id();
    let mut request = order(&id, &payer.account, payee, amount, payer.currency);
    // The bank's own books then say whose request it executed.
    request.end_to_end_id = id;
    change(&mut request);
    let call = Call::new(Message::Pay(request));
    caller.world.remember(call.clone());
    call
}

/// An amount, one in three of those that banks are scripted to misbehave on.
pub(super) fn amount(caller: &mut Caller, max: i64) -> i64 {
    let amount = caller.random.random_range(1..=max);
    if caller.random.random_ratio(1, 3) { amount / 100 * 100 + i64::from(SCRIPTED_ENDING) } else { amount }
}

fn payee_at(bank: &BankSetup, number: u32) -> Payee {
    match bank.iban_code {
        Some(_) => payee_by_iban("Blaise Seller", &bank.account(number)),
        None => {
            payee_by_number("Hideki Seller", &bank.account(number), payee::Bank::BankId(bank.id.to_owned()))
        }
    }
}

/// An account at some bank that takes the payer's currency.
pub(super) fn some_bank_payee(caller: &mut Caller, payer: &Payer) -> Option<Payee> {
    let banks: Vec<&BankSetup> =
        BANKS.iter().filter(|bank| bank.currencies.contains(&payer.currency)).collect();
    Some(payee_at(banks.choose(&mut caller.random)?, caller.random.random_range(1..50)))
}

fn pay_some_bank(caller: &mut Caller, payer: &Payer, max: i64) -> Option<Call> {
    let payee = some_bank_payee(caller, payer)?;
    let amount = amount(caller, max);
    Some(new_payment(caller, payer, payee, amount, |_| {}))
}

fn pay_a_bank(caller: &mut Caller) -> Option<Call> {
    let payer = payer(caller, false)?;
    pay_some_bank(caller, &payer, 50_000)
}

fn race_for_little_money(caller: &mut Caller) -> Option<Call> {
    let payer = payer(caller, true)?;
    pay_some_bank(caller, &payer, 9_000)
}

fn pay_too_much(caller: &mut Caller) -> Option<Call> {
    let payer = payer(caller, true)?;
    let payee = payee_at(BANKS.first()?, 1);
    Some(new_payment(caller, &payer, payee, 1_000_000_000, |_| {}))
}

fn pay_on_the_ledger(caller: &mut Caller) -> Option<Call> {
    let payer = payer(caller, false).filter(|payer| payer.currency == "EUR")?;
    let payee = self::payer(caller, true)?;
    let amount = amount(caller, 3_000);
    Some(new_payment(caller, &payer, payee_on_ledger("Ada Buyer", &payee.account), amount, |_| {}))
}

/// A request of anybody, perhaps under way still. New ones are more likely.
fn some_request(caller: &mut Caller) -> Option<Arc<Call>> {
    let recent = caller.world.recent();
    let back = caller.random.random_range(1..=recent.len().max(1));
    let back = if caller.random.random_bool(0.8) { back.min(24) } else { back };
    recent.len().checked_sub(back).and_then(|index| recent.get(index).cloned())
}

fn repeat(caller: &mut Caller) -> Option<Call> {
    some_request(caller).map(|call| (*call).clone())
}

fn reuse_the_id(caller: &mut Caller) -> Option<Call> {
    life::with_another_amount(&*some_request(caller)?)
}

fn read(caller: &mut Caller) -> Option<Call> {
    some_request(caller).map(|call| call.read())
}

/// A payment of a small amount that no bank is scripted to misbehave on.
pub fn probe(request_id: &str, payer: &Payer) -> Call {
    let payee = BANKS.first().map(|bank| payee_at(bank, 1)).unwrap_or_default();
    let mut request = order(request_id, &payer.account, payee, 1, payer.currency);
    request.end_to_end_id = request_id.to_owned();
    Call::new(Message::Pay(request))
}

fn deposit_again(caller: &mut Caller) -> Option<Call> {
    let payer = payer(caller, true)?;
    let id = caller.next_id();
    Some(deposit(&id, &payer, 5_000))
}

/// A deposit on an account.
pub fn deposit(request_id: &str, payer: &Payer, amount: i64) -> Call {
    let bank = BANKS.iter().find(|bank| bank.currencies.contains(&payer.currency));
    Call::new(Message::Deposit(DepositRequest {
        request_id: request_id.to_owned(),
        account: payer.account.clone(),
        amount: Some(money(amount, payer.currency)),
        bank_id: bank.map(|bank| bank.id).unwrap_or_default().to_owned(),
        reference: String::new(),
    }))
}
