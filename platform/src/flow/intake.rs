//! Intake: a checked order becomes a command, and its sender waits for the payment's end as long as its deadline lets it.

use std::time::Duration;

use common::{
    deadline::Deadline,
    fault::Fault,
    id::{DepositId, PaymentId, TransferId},
    order::{DepositOrder, PaymentOrder},
    trace::TraceParent,
};
use tokio::time::{timeout, timeout_at};
use uuid::Uuid;

use super::{Flow, book::NotWritten};
use crate::domain::{
    ledger::{Arrival, Command, Deposit, NoRoute, Outcome, Pay},
    payment::{Fingerprint, Payment},
    refusal::Refusal,
};

/// How often to look in the database for a payment that another process may be settling.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Who asks, in which trace, and until when.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The participant.
    pub participant: String,
    /// The trace.
    pub trace: TraceParent,
    /// When the answer must be there.
    pub deadline: Deadline,
}

/// What came of an order to pay.
#[derive(Debug)]
pub enum Paid {
    /// A payment, and whether an earlier request made it.
    Payment(Box<Payment>, bool),
    /// Nothing was written: whether the payment would be accepted.
    Validated(Result<(), Refusal>),
}

impl Flow {
    /// Makes a payment and waits for its end, or for the caller's deadline.
    ///
    /// # Errors
    /// When no payment came to be, or when it is not known yet whether one did.
    pub async fn pay(
        &self,
        caller: &Caller,
        order: PaymentOrder,
        fingerprint: Fingerprint,
        validate_only: bool,
    ) -> Result<Paid, Fault> {
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        if self.settling.len() >= self.limits.max_under_way {
            return Err(NotWritten::Overloaded.into());
        }
        let bank = self.directory.route(&order.payee, order.amount.currency());
        let bank = if self.channel.is_open() { bank } else { bank.and(Err(NoRoute::NoChannel)) };
        let id = PaymentId::new(&self.clock);
        let pay = Pay {
            id,
            uetr: Uuid::new_v4(),
            participant: caller.participant.clone(),
            order,
            fingerprint,
            bank,
            validate_only,
        };
        let mut waiter = self.waiters.wait_for(id);
        let answer_by = caller.deadline.answer_by();
        let writing = self.book.write(Command::Pay(Box::new(pay)), caller.trace);
        let outcome = timeout_at(answer_by, writing).await.map_err(|_| Fault::deadline_exceeded())??;
        match outcome {
            Outcome::Validated(found) => Ok(Paid::Validated(found)),
            Outcome::Submitted(submission) => {
                let payment = match timeout_at(answer_by, waiter.finished()).await {
                    Ok(payment) => payment,
                    Err(_) => waiter.latest().unwrap_or(submission.payment),
                };
                Ok(Paid::Payment(Box::new(payment), false))
            }
            Outcome::Payment(payment) => {
                Ok(Paid::Payment(Box::new(self.end_of(*payment, caller).await), false))
            }
            Outcome::Replayed(payment) => {
                Ok(Paid::Payment(Box::new(self.end_of(*payment, caller).await), true))
            }
            Outcome::Declined(declined) => Err(declined.into()),
            Outcome::Deposit(..) => Err(Fault::internal()),
        }
    }

    /// Waits for the end of a payment that somebody else may be settling, here or in another process.
    async fn end_of(&self, mut payment: Payment, caller: &Caller) -> Payment {
        let answer_by = caller.deadline.answer_by();
        let mut waiter = self.waiters.wait_for(payment.id);
        while !payment.state.is_final() && tokio::time::Instant::now() < answer_by {
            let pause = LOOK_EVERY.min(caller.deadline.remaining());
            if let Ok(finished) = timeout(pause, waiter.finished()).await {
                return finished;
            }
            if let Ok(Some(read)) = self.store.payment(&caller.participant, payment.id).await {
                payment = read;
            }
        }
        payment
    }

    /// Books money that arrived. Returns the deposit, and whether an earlier request booked it.
    ///
    /// # Errors
    /// When nothing was booked, or when it is not known yet whether it was.
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
            transfer: TransferId::new(&self.clock),
            participant: caller.participant.clone(),
            order,
            fingerprint,
            settlement_account,
        };
        let writing = self.book.write(Command::Deposit(Box::new(arrival)), caller.trace);
        let outcome = timeout_at(caller.deadline.answer_by(), writing).await;
        match outcome.map_err(|_| Fault::deadline_exceeded())?? {
            Outcome::Deposit(deposit, replayed) => Ok((*deposit, replayed)),
            Outcome::Declined(declined) => Err(declined.into()),
            Outcome::Submitted(_) | Outcome::Payment(_) | Outcome::Replayed(_) | Outcome::Validated(_) => {
                Err(Fault::internal())
            }
        }
    }
}
