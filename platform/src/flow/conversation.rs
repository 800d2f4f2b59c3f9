//! What was sent to a bank about a payment, written once more for people: it follows from the payment and its attempts.

use std::{collections::HashMap, time::Duration};

use common::trace::TraceParent;
use tokio::{task::JoinSet, time::timeout};

use super::{
    Flow,
    message::{instruction, order},
};
use crate::{
    domain::payment::Payment,
    store::{StoreError, stories::Step},
};

/// How long the channel may take; whoever looks sees the rest of the story without it.
const PATIENCE: Duration = Duration::from_secs(1);

impl Flow {
    /// The messages that carried a payment's attempts, by the attempts' steps, as far as the channel is there to write them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn said(&self, payment: &Payment, steps: &[Step]) -> Result<HashMap<i32, String>, StoreError> {
        let mut writing = JoinSet::new();
        for (sequence, submission) in self.store.said(payment, steps).await? {
            let instruction = instruction(&submission, order(&submission), TraceParent::unsampled());
            let composer = self.composer.clone();
            writing.spawn(async move { (sequence, composer.compose(instruction).await) });
        }
        let mut said = HashMap::new();
        let all = async {
            while let Some(Ok((sequence, written))) = writing.join_next().await {
                match written {
                    Ok(document) => drop(said.insert(sequence, document)),
                    Err(status) => tracing::info!(code = ?status.code(), "the channel wrote no message"),
                }
            }
        };
        // What has come by then is shown.
        let _ = timeout(PATIENCE, all).await;
        Ok(said)
    }
}
