//! The rest of a payment's life: authorized, captured, cancelled and refunded, by callers who meet on purpose.

use std::time::{Duration, SystemTime};

use common::clock::Clock;
use harness::client::{money, payee_on_ledger};
use proto::{
    money::Money,
    payments::{
        CancelPaymentRequest, CaptureMode, CapturePaymentRequest, CreatePaymentRequest, RefundPaymentRequest,
    },
};
use rand::RngExt;

use super::{
    call::{Call, Message},
    caller::Caller,
    known::{Known, Sort},
    operations::{SCRIPTED_ENDING, amount, new_payment, payer, some_bank_payee},
};

/// How far ahead authorizations end: the shortest that there is, and a little more, so that the ends fall into later cycles.
const EXPIRE_AFTER_MS: std::ops::Range<u64> = 60_400..75_000;

pub(super) fn authorize(caller: &mut Caller) -> Option<Call> {
    let payer = payer(caller, false)?;
    let payee = some_bank_payee(caller, &payer)?;
    let amount = amount(caller, 30_000);
    Some(authorization(caller, payer, payee, amount))
}

pub(super) fn authorize_on_the_ledger(caller: &mut Caller) -> Option<Call> {
    let payer = payer(caller, false).filter(|payer| payer.currency == "EUR")?;
    let payee = self::payer(caller, true)?;
    let payee = payee_on_ledger("Ada Buyer", &payee.account);
    let amount = caller.random.random_range(1..3_000);
    Some(authorization(caller, payer, payee, amount))
}

fn authorization(
    caller: &mut Caller,
    payer: super::Payer,
    payee: proto::payments::Payee,
    amount: i64,
) -> Call {
    let after_ms = caller.random.random_range(EXPIRE_AFTER_MS);
    let is_told = caller.random.random_bool(0.9);
    new_payment(caller, &payer, payee, amount, |request| {
        request.set_capture(CaptureMode::Manual);
        let expires_at: SystemTime = Clock::system().now() + Duration::from_millis(after_ms);
        request.expire_time = is_told.then(|| expires_at.into());
    })
}

fn some_authorization(caller: &mut Caller) -> Option<Known> {
    let now = Clock::system().now();
    let world = std::sync::Arc::clone(&caller.world);
    let expiring = world.known.draw_expiring(&mut caller.random, now);
    match expiring {
        Some(expiring) if caller.random.random_bool(0.5) => Some(expiring),
        _ => world.known.draw(&mut caller.random, Sort::Authorization),
    }
}

/// All that is left, a part, all of it, or more than there is.
fn part_of(caller: &mut Caller, of: &Known) -> Option<Money> {
    let part = match caller.random.random_range(0..100) {
        0..25 => return None,
        25..75 => (of.amount / caller.random.random_range(2..=4)).max(1),
        75..88 => of.amount,
        _ => of.amount + caller.random.random_range(1..100),
    };
    let scripted = part / 100 * 100 + i64::from(SCRIPTED_ENDING);
    let is_scripted = scripted <= of.amount && caller.random.random_ratio(1, 3);
    Some(money(if is_scripted { scripted } else { part }, &of.currency))
}

/// A call about a payment that was heard of.
fn about(known: &Known, request_id: String, message: Message) -> Call {
    Call { message, request_id, family: known.family.clone(), original_seen: known.seen() }
}

pub(super) fn capture(caller: &mut Caller) -> Option<Call> {
    let authorization = some_authorization(caller)?;
    let amount = part_of(caller, &authorization);
    let request_id = caller.next_id();
    let payment = authorization.id.clone();
    let message = CapturePaymentRequest { request_id: request_id.clone(), payment, amount };
    let call = about(&authorization, request_id, Message::Capture(message));
    caller.world.remember(call.clone());
    Some(call)
}

pub(super) fn cancel(caller: &mut Caller) -> Option<Call> {
    let known = if caller.random.random_bool(0.7) {
        some_authorization(caller)?
    } else {
        let world = std::sync::Arc::clone(&caller.world);
        world.known.draw(&mut caller.random, Sort::Payment)?
    };
    let message = Message::Cancel(CancelPaymentRequest { payment: known.id.clone() });
    Some(about(&known, known.request_id.clone(), message))
}

pub(super) fn refund(caller: &mut Caller) -> Option<Call> {
    let sort = if caller.random.random_bool(0.9) { Sort::Succeeded } else { Sort::NotRefundable };
    let world = std::sync::Arc::clone(&caller.world);
    let known = world.known.draw(&mut caller.random, sort)?;
    let amount = part_of(caller, &known);
    let request_id = caller.next_id();
    let message = RefundPaymentRequest {
        request_id: request_id.clone(),
        payment: known.id.clone(),
        amount,
        remittance_information: "goods returned".to_owned(),
    };
    let call = about(&known, request_id, Message::Refund(message));
    caller.world.remember(call.clone());
    Some(call)
}

/// What others ask at the same moment as `call` takes of what there is little of: the same, more of it, other content under its
/// id, or to cancel it. Most often nobody does.
pub(super) fn at_once(caller: &mut Caller, call: &Call) -> Vec<Call> {
    let is_contested = match &call.message {
        Message::Capture(_) | Message::Refund(_) => true,
        Message::Pay(request) => {
            let mut payers = caller.world.payers.iter();
            payers.any(|payer| payer.is_poor && payer.account == request.payer_account)
        }
        _ => false,
    };
    if !is_contested || caller.random.random_bool(0.6) {
        return Vec::new();
    }
    let others = caller.random.random_range(1..=3);
    (0..others).filter_map(|_| rival(caller, call)).collect()
}

fn rival(caller: &mut Caller, call: &Call) -> Option<Call> {
    match (caller.random.random_range(0..10), &call.message) {
        (0..2, _) => Some(call.clone()),
        (2..3, _) => with_another_amount(call),
        (3..5, Message::Capture(request)) => {
            let known = caller.world.known.by_id(&request.payment)?;
            let message = Message::Cancel(CancelPaymentRequest { payment: known.id.clone() });
            Some(about(&known, known.request_id.clone(), message))
        }
        (_, Message::Pay(request)) => {
            let id = caller.next_id();
            let request =
                CreatePaymentRequest { request_id: id.clone(), end_to_end_id: id, ..request.clone() };
            let call = Call::new(Message::Pay(request));
            caller.world.remember(call.clone());
            Some(call)
        }
        _ => {
            let mut call = Call { request_id: caller.next_id(), ..call.clone() };
            match &mut call.message {
                Message::Capture(request) => request.request_id.clone_from(&call.request_id),
                Message::Refund(request) => request.request_id.clone_from(&call.request_id),
                _ => return None,
            }
            caller.world.remember(call.clone());
            Some(call)
        }
    }
}

/// The same request with another amount; none if it names no amount.
pub(super) fn with_another_amount(call: &Call) -> Option<Call> {
    let mut call = call.clone();
    let amount = match &mut call.message {
        Message::Pay(request) => &mut request.amount,
        Message::Capture(request) => &mut request.amount,
        Message::Refund(request) => &mut request.amount,
        _ => return None,
    };
    amount.as_mut()?.minor_units += 1;
    Some(call)
}
