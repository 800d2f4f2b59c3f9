//! Two operators, who end what no machine can know: one proposes what the bank's own books say, the other approves it.

use std::{path::Path, time::Duration};

use common::{clock::Clock, id::PaymentId};
use harness::{BenchError, client::Client};
use proto::{
    operations::{Resolution, ResolvePaymentRequest},
    payments::{ListPaymentsRequest, Payment, PaymentState},
};

use super::{
    World,
    call::{Call, Message},
    caller::{Manner, ask},
};
use crate::{
    check::is_done,
    journal::{kind_name, state_name},
};

/// How often they look for work.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// How long a call of theirs may take.
const WITHIN: Duration = Duration::from_millis(1_500);
/// After this time a bank no longer takes what stands in its books neither way.
const BANK_HAS_DECIDED_AFTER: Duration = Duration::from_secs(5);

/// Ends what waits for operators, for ever.
///
/// # Errors
/// When the journal can't be written, or a bank's books can't be read.
pub async fn resolve(world: &World, operators: &[Client; 2], folder: &Path) -> Result<(), BenchError> {
    let [proposes, approves] = operators;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for payment in waiting(proposes).await {
            let Some(call) = finding(&payment, folder)? else { continue };
            // Whatever is said twice is said once.
            for operator in [proposes, proposes, approves, approves] {
                ask(world, operator, &call, Manner::Within(WITHIN)).await?;
            }
        }
    }
}

/// What waits for operators; nothing while nobody answers.
async fn waiting(operator: &Client) -> Vec<Payment> {
    let message =
        ListPaymentsRequest { state: PaymentState::Investigate.into(), ..ListPaymentsRequest::default() };
    let listed = operator.payments.clone().list_payments(operator.request(message, Some(WITHIN))).await;
    listed.map(|listed| listed.into_inner().payments).unwrap_or_default()
}

/// What the bank's books say of a payment; nothing as long as it may still execute it.
fn finding(payment: &Payment, folder: &Path) -> Result<Option<Call>, BenchError> {
    let id = PaymentId::parse(&payment.id).ok_or("an answer without an id")?;
    let is_done = is_done(folder, &payment.bank_id, id.uuid(), payment.uetr.parse()?)?;
    let changed_at = payment.update_time.ok_or("a payment without a time")?.try_into()?;
    let is_old =
        Clock::system().now().duration_since(changed_at).is_ok_and(|age| age > BANK_HAS_DECIDED_AFTER);
    if !is_done && !is_old {
        return Ok(None);
    }
    let mut message = ResolvePaymentRequest {
        payment: payment.id.clone(),
        evidence_reference: format!("{} {}", payment.bank_id, payment.uetr),
        ..ResolvePaymentRequest::default()
    };
    message.set_resolution(if is_done { Resolution::Succeeded } else { Resolution::Failed });
    Ok(Some(Call {
        message: Message::Resolve(message),
        request_id: payment.request_id.clone(),
        // Whatever goes back to a payment has its end-to-end id, which is its request id.
        family: payment.end_to_end_id.clone(),
        original_seen: format!("{} {}", kind_name(payment.kind()), state_name(payment)),
    }))
}
