//! What callers see of the ledger's things.

mod overview;

use std::time::SystemTime;

use common::{
    clock::Clock,
    id::{AlarmId, PaymentId},
    money::{Currency, Money},
    planted,
};
use proto::{accounts, convert, limits, operations, participants, payments, webhooks};

use crate::{
    domain::{
        account::Side,
        debtor::Debtor,
        deposit::{Deposit, DepositState},
        ledger::Alarm,
        limits::{Limits, Used, Window},
        payment::{Kind, Payment, State},
        refusal::Reason,
        transfer::Cause,
        webhook::DeliveryState,
    },
    store::{
        accounts::OwnAccount,
        api_keys::ApiKey,
        durability::Durability,
        event_log::{LoggedEvent, Party},
        participants::Participant,
        transfers::Entry,
        webhooks::{Delivery, Endpoint},
    },
    webhook,
};

pub use overview::{story, trial_balance};

/// A payment.
pub fn payment(payment: &Payment) -> payments::Payment {
    let amount = |minor_units| convert::money_to_wire(Money::new(minor_units, payment.amount.currency()));
    // A refund's payer is who was paid: an account here, or a bank, whose settlement account is nobody's business.
    let pays_from_bank = payment.kind.is_taken_back() && payment.bank_id.is_some();
    let updated_at = if planted::is("M19") { Clock::system().now() } else { payment.updated_at };
    payments::Payment {
        id: payment.id.to_string(),
        request_id: payment.request_id.clone(),
        payer_account: if pays_from_bank { String::new() } else { payment.payer_account.to_string() },
        payee: Some((&payment.payee).into()),
        amount: Some(convert::money_to_wire(payment.amount)),
        remittance_information: payment.remittance_information.clone(),
        end_to_end_id: payment.end_to_end_id.clone(),
        metadata: payment.metadata.clone(),
        bank_id: payment.bank_id.clone().unwrap_or_default(),
        uetr: payment.uetr.to_string(),
        state: state(payment.state).into(),
        reason: payment.reason.as_ref().map(reason),
        sequence: payment.sequence.into(),
        create_time: Some(convert::time_to_wire(payment.created_at)),
        update_time: Some(convert::time_to_wire(updated_at)),
        iso_status: iso_status(payment.state).to_owned(),
        kind: kind(payment.kind).into(),
        original_payment: payment.original.map(|original| original.to_string()).unwrap_or_default(),
        captured_amount: payment.authorization.map(|sums| amount(sums.captured)),
        capturable_amount: payment
            .authorization
            .map(|sums| amount(if sums.closing.is_none() { sums.held } else { 0 })),
        expire_time: payment.authorization.map(|sums| convert::time_to_wire(sums.expires_at)),
        debtor: None,
    }
}

/// A step of a payment, as a participant may see it; none if it does not concern them.
pub fn event(event: &LoggedEvent, participant: &str) -> Option<payments::PaymentEvent> {
    let side = match event.concerns(participant)? {
        Party::Payer => payments::PaymentSide::Payer,
        Party::Payee => payments::PaymentSide::Payee,
    };
    let mut seen = payment(&event.payment);
    // An event is the same whenever it is read, and these go on changing.
    (seen.captured_amount, seen.capturable_amount) = (None, None);
    if side == payments::PaymentSide::Payee {
        (seen.request_id, seen.payer_account) = (String::new(), String::new());
        seen.metadata.clear();
        let debtor = Debtor::of(&event.payment);
        seen.debtor = debtor
            .map(|Debtor { name, account }| payments::Debtor { name, account: account.unwrap_or_default() });
    }
    let id = event_id(event.payment.id, event.payment.sequence);
    Some(payments::PaymentEvent { id, side: side.into(), payment: Some(seen) })
}

/// The id of a step.
fn event_id(payment: PaymentId, sequence: i32) -> String {
    format!("evt_{}_{sequence}", payment.uuid().simple())
}

/// An endpoint, without its secrets.
pub fn webhook_endpoint(endpoint: &Endpoint) -> webhooks::WebhookEndpoint {
    webhooks::WebhookEndpoint {
        id: endpoint.id.to_string(),
        request_id: endpoint.request_id.clone(),
        url: endpoint.contents.url.clone(),
        states: endpoint.states.iter().map(|one| state(*one).into()).collect(),
        create_time: Some(convert::time_to_wire(endpoint.created_at)),
        public_key: endpoint.contents.keys.as_ref().map(webhook::public_key).unwrap_or_default(),
        overlap_end_time: endpoint.overlap_ends_at.map(convert::time_to_wire),
        disable_time: endpoint.disabled_at.map(convert::time_to_wire),
        disable_reason: endpoint.disabled_because.clone().unwrap_or_default(),
        failures: endpoint.failures,
        is_replaying: endpoint.is_replaying,
    }
}

/// A delivery.
pub fn webhook_delivery(delivery: &Delivery) -> webhooks::WebhookDelivery {
    use webhooks::WebhookDeliveryState as Wire;
    let state = match delivery.state {
        DeliveryState::Waiting => Wire::Waiting,
        DeliveryState::Due => Wire::Due,
        DeliveryState::Delivered => Wire::Delivered,
        DeliveryState::GivenUp => Wire::GivenUp,
    };
    webhooks::WebhookDelivery {
        event: event_id(delivery.payment, delivery.sequence),
        payment: delivery.payment.to_string(),
        state: state.into(),
        attempts: delivery.attempts,
        due_time: delivery.due_at.map(convert::time_to_wire),
        attempt_time: delivery.attempted_at.map(convert::time_to_wire),
        status: delivery.status.map(i32::from).unwrap_or_default(),
        outcome: delivery.outcome.clone().unwrap_or_default(),
    }
}

/// Limits, and what is used of them at a time; none if nothing was ever limited.
pub fn limits(currency: Currency, found: Option<&Limits>, now: SystemTime) -> limits::LimitStatus {
    let used = |used: Used| limits::LimitUse {
        start_time: Some(convert::time_to_wire(used.since)),
        minor_units: used.minor_units,
        payments: used.payments,
    };
    let rules = found.map(|found| found.rules).unwrap_or_default();
    limits::LimitStatus {
        currency: currency.code().to_owned(),
        limits: Some(limits::Limits {
            payment_minor_units: rules.payment_minor_units,
            hour_minor_units: rules.hour.minor_units,
            hour_payments: rules.hour.payments,
            day_minor_units: rules.day.minor_units,
            day_payments: rules.day.payments,
            unsigned_payment_minor_units: rules.unsigned_payment_minor_units,
        }),
        hour: found.map(|found| used(found.hour.at(Window::Hour, now))),
        day: found.map(|found| used(found.day.at(Window::Day, now))),
    }
}

/// What a payment is.
fn kind(kind: Kind) -> payments::PaymentKind {
    match kind {
        Kind::Payment => payments::PaymentKind::Payment,
        Kind::Authorization => payments::PaymentKind::Authorization,
        Kind::Capture => payments::PaymentKind::Capture,
        Kind::Refund => payments::PaymentKind::Refund,
        // Belongs to the house, which has no API of its own to see it by.
        Kind::Return => payments::PaymentKind::Unspecified,
    }
}

/// An alarm.
pub fn alarm((id, alarm): &(AlarmId, Alarm)) -> operations::Alarm {
    operations::Alarm {
        id: id.to_string(),
        kind: alarm.kind.name().to_owned(),
        payment: alarm.payment.to_string(),
        detail: alarm.detail.clone(),
        create_time: Some(convert::time_to_wire(alarm.at)),
    }
}

/// The database's settings.
pub fn database(durability: &Durability) -> operations::DatabaseSettings {
    operations::DatabaseSettings {
        version: durability.version.clone(),
        fsync: durability.fsync,
        synchronous_commit: durability.synchronous_commit.clone(),
        full_page_writes: durability.full_page_writes,
        data_checksums: durability.data_checksums,
    }
}

/// A reason.
pub fn reason(reason: &Reason) -> payments::Reason {
    payments::Reason {
        code: reason.code.clone(),
        iso_code: reason.iso_code.clone(),
        message: reason.message.clone(),
    }
}

/// A state.
pub fn state(state: State) -> payments::PaymentState {
    match state {
        State::Held => payments::PaymentState::Held,
        State::Authorized => payments::PaymentState::Authorized,
        State::Investigate => payments::PaymentState::Investigate,
        State::Cancelled => payments::PaymentState::Cancelled,
        State::Expired => payments::PaymentState::Expired,
        State::Submitted => payments::PaymentState::Submitted,
        State::Unknown => payments::PaymentState::Unknown,
        State::Succeeded => payments::PaymentState::Succeeded,
        State::Failed => payments::PaymentState::Failed,
    }
}

/// The states that a filter lets through; none when it names no state.
pub fn state_filter(wire: i32) -> Option<StateFilter<State>> {
    match payments::PaymentState::try_from(wire).ok()? {
        payments::PaymentState::Unspecified => Some(StateFilter::Any),
        named => State::ALL.into_iter().find(|one| state(*one) == named).map(StateFilter::Only),
    }
}

/// Which states a filter lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter<S> {
    /// Every one.
    Any,
    /// This one.
    Only(S),
}

/// ISO 20022 ExternalPaymentTransactionStatus1Code.
pub fn iso_status(state: State) -> &'static str {
    match state {
        State::Held | State::Submitted | State::Unknown | State::Investigate => "PDNG",
        State::Authorized => "ACFC",
        State::Cancelled | State::Expired => "CANC",
        State::Succeeded => "ACSC",
        State::Failed => "RJCT",
    }
}

/// An account.
pub fn account(own: &OwnAccount) -> accounts::Account {
    let account = &own.account;
    let state = if account.closed { accounts::AccountState::Closed } else { accounts::AccountState::Open };
    accounts::Account {
        id: account.id.to_string(),
        request_id: own.request_id.clone(),
        display_name: account.display_name.clone(),
        currency: account.currency.code().to_owned(),
        iban: account.iban.clone().unwrap_or_default(),
        state: state.into(),
        balance: Some(accounts::Balance {
            available_minor_units: account.balances.available(),
            posted_minor_units: account.balances.posted(),
            held_minor_units: account.balances.debits_pending,
        }),
        create_time: Some(convert::time_to_wire(own.created_at)),
    }
}

/// An entry of an account in `currency`.
pub fn entry(entry: &Entry, currency: Currency) -> accounts::Entry {
    let direction = match entry.side {
        Side::Debit => accounts::Direction::Debit,
        Side::Credit => accounts::Direction::Credit,
    };
    let (payment, deposit) = match entry.cause {
        Cause::Payment(id) => (id.to_string(), String::new()),
        Cause::Deposit(id) => (String::new(), id.to_string()),
    };
    accounts::Entry {
        id: entry.cause.transfer().to_string(),
        direction: direction.into(),
        amount: Some(convert::money_to_wire(Money::new(entry.minor_units, currency))),
        payment,
        deposit,
        create_time: Some(convert::time_to_wire(entry.at)),
    }
}

/// A deposit.
pub fn deposit(deposit: &Deposit) -> accounts::Deposit {
    let verdict = deposit.decision.as_ref().map(|decision| &decision.verdict);
    accounts::Deposit {
        id: deposit.id.to_string(),
        request_id: deposit.order.request_id.clone(),
        account: deposit.order.account.to_string(),
        amount: Some(convert::money_to_wire(deposit.order.amount)),
        bank_id: deposit.order.bank_id.clone(),
        reference: deposit.order.reference.clone(),
        create_time: Some(convert::time_to_wire(deposit.created_at)),
        state: deposit_state(deposit.state()).into(),
        proposed_by: deposit.proposed_by.clone(),
        expire_time: Some(convert::time_to_wire(deposit.expires_at)),
        decided_by: verdict.and_then(|verdict| verdict.by()).unwrap_or_default().to_owned(),
        decide_time: deposit.decision.as_ref().map(|decision| convert::time_to_wire(decision.at)),
        reject_reason: verdict.and_then(|verdict| verdict.reason()).unwrap_or_default().to_owned(),
    }
}

fn deposit_state(state: DepositState) -> accounts::DepositState {
    match state {
        DepositState::PendingApproval => accounts::DepositState::PendingApproval,
        DepositState::Booked => accounts::DepositState::Booked,
        DepositState::Rejected => accounts::DepositState::Rejected,
        DepositState::Lapsed => accounts::DepositState::Lapsed,
    }
}

/// The states that a filter of deposits lets through; none when it names no state.
pub fn deposit_filter(wire: i32) -> Option<StateFilter<DepositState>> {
    match accounts::DepositState::try_from(wire).ok()? {
        accounts::DepositState::Unspecified => Some(StateFilter::Any),
        named => {
            DepositState::ALL.into_iter().find(|one| deposit_state(*one) == named).map(StateFilter::Only)
        }
    }
}

/// A participant.
pub fn participant(participant: &Participant) -> participants::Participant {
    participants::Participant {
        name: participant.name.clone(),
        create_time: Some(convert::time_to_wire(participant.created_at)),
        disable_time: participant.disabled_at.map(convert::time_to_wire),
    }
}

/// What is on record of an API key.
pub fn api_key(key: &ApiKey) -> participants::ApiKey {
    participants::ApiKey {
        id: key.id.to_string(),
        request_id: key.request_id.clone(),
        participant: key.participant.clone(),
        roles: key.roles.iter().map(|role| role.name().to_owned()).collect(),
        label: key.label.clone(),
        create_time: Some(convert::time_to_wire(key.created_at)),
        expire_time: key.expires_at.map(convert::time_to_wire),
        revoke_time: key.revoked_at.map(convert::time_to_wire),
        replaces: key.replaces.map(|id| id.to_string()).unwrap_or_default(),
        verification_key: key.verification_key.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
    }
}
