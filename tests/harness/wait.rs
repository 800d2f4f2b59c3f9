//! Waiting for what is to come, with an end.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use proto::payments::{Payment, PaymentState};

use crate::{BenchError, client::Client};

/// Asks `check` again and again until it has an answer.
///
/// # Errors
/// When there is none within `timeout`; says that `what` did not come.
pub async fn until<T, F>(what: &str, timeout: Duration, mut check: impl FnMut() -> F) -> Result<T, BenchError>
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = check().await {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!("not within {timeout:?}: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Whether the payment never changes again.
pub fn is_final(payment: &Payment) -> bool {
    use PaymentState::{Cancelled, Expired, Failed, Succeeded};
    matches!(payment.state(), Succeeded | Failed | Cancelled | Expired)
}

/// Reads the payment until it is final.
///
/// # Errors
/// When it is not within `timeout`.
pub async fn final_payment(client: &Client, id: &str, timeout: Duration) -> Result<Payment, BenchError> {
    let read = || async { client.payment(id).await.ok().filter(is_final) };
    until(&format!("{id} is final"), timeout, read).await
}
