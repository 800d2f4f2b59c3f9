//! Deposits: one operator proposes, another one approves, either rejects, and what nobody decides on lapses.

use std::{sync::Arc, time::Duration};

use common::{
    fault::Fault,
    id::{DecisionId, DepositId},
    lifecycle::Lifecycle,
    order::DepositOrder,
    trace::TraceParent,
};

use super::{Flow, intake::Caller};
use crate::domain::{
    deposit::Deposit,
    ledger::{Arrival, Command, DecideDeposit, Outcome, Ruling},
    payment::Fingerprint,
};

/// How often to look for deposits whose time is over.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Deposits that lapse in one look.
const MAX_AT_ONCE: i64 = 256;

impl Flow {
    /// Proposes to book money that arrived. Returns the deposit, and whether an earlier request proposed it.
    ///
    /// # Errors
    /// When nothing was proposed, or when it is not known yet whether it was.
    pub async fn deposit(
        &self,
        caller: &Caller,
        order: DepositOrder,
        fingerprint: Fingerprint,
    ) -> Result<(Deposit, bool), Fault> {
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let settlement_account =
            self.directory.settlement_account(&order.bank_id, order.amount.currency())?;
        let arrival = Arrival {
            id: DepositId::new(&self.clock),
            participant: caller.participant.clone(),
            actor: caller.actor.clone(),
            order,
            fingerprint,
            settlement_account,
            lapses_after: self.limits.deposits_lapse_after,
            max_pending: self.limits.max_pending_deposits,
        };
        deposit_of(self.write(caller, Command::Deposit(Box::new(arrival)), None).await?)
    }

    /// Decides on a deposit. Returns it, and whether it was decided so before.
    ///
    /// # Errors
    /// When it was not decided so, or when it is not known yet whether it was.
    pub async fn decide_deposit(
        &self,
        caller: &Caller,
        id: DepositId,
        ruling: Ruling,
    ) -> Result<(Deposit, bool), Fault> {
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let deposit = self.store.deposit(&caller.participant, id).await?;
        let deposit = deposit.ok_or_else(|| Fault::not_found("deposit"))?;
        deposit_of(self.write(caller, self.decision_on(deposit, ruling), None).await?)
    }

    fn decision_on(&self, deposit: Deposit, ruling: Ruling) -> Command {
        Command::DecideDeposit(Box::new(DecideDeposit {
            id: DecisionId::new(&self.clock),
            participant: deposit.participant,
            deposit: deposit.id,
            accounts: [deposit.order.account, deposit.settlement_account],
            ruling,
        }))
    }

    /// Has deposits lapse whose time is over. Returns how many.
    async fn lapse_deposits(&self) -> Result<usize, Fault> {
        let due = self.store.deposits_past_their_time(self.clock.now(), MAX_AT_ONCE).await?;
        let count = due.len();
        for deposit in due {
            self.book.write(self.decision_on(deposit, Ruling::Lapse), TraceParent::unsampled()).await?;
        }
        Ok(count)
    }
}

fn deposit_of(outcome: Outcome) -> Result<(Deposit, bool), Fault> {
    match outcome {
        Outcome::Deposit(deposit, replayed) => Ok((*deposit, replayed)),
        Outcome::Declined(declined) => Err(declined.into()),
        _ => Err(Fault::internal()),
    }
}

/// Has deposits lapse until the lifecycle drains.
pub(super) async fn run(flow: Arc<Flow>, lifecycle: Lifecycle) {
    while !lifecycle.is_draining() {
        match flow.lapse_deposits().await {
            Ok(0) => {}
            Ok(deposits) => tracing::info!(deposits, "deposits lapsed"),
            Err(error) => tracing::warn!(%error, "cannot have deposits lapse; trying again later"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = lifecycle.draining() => {}
        }
    }
}
