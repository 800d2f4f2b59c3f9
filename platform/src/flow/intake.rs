//! Intake: a checked order becomes a command, and its sender waits for the payment's end as long as its deadline lets it.

use std::time::Duration;

use common::{
    deadline::Deadline,
    fault::Fault,
    id::{ActId, PaymentId, new_uetr},
    order::{CaptureOrder, PaymentOrder, RefundOrder},
    trace::TraceParent,
};
use proto::platform::Signature;
use tokio::time::{timeout, timeout_at};

use super::{
    Flow,
    book::{Context, NotWritten},
};
use crate::{
    directory::Admitted,
    domain::{
        ledger::{Cancel, Capture, Command, Finding, NoRoute, Outcome, Pay, Refund, Request, Resolve},
        payment::{Fingerprint, Payment},
        refusal::Refusal,
    },
    gate::Place,
};

/// How soon to look in the database for a payment that another process may be settling, and how rarely at last.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Who asks, in which trace, and until when.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The participant.
    pub participant: String,
    /// Whose credential it was.
    pub actor: String,
    /// Whether the participant is the house's, whose operators administer the others.
    pub is_house: bool,
    /// The signature of the call, if it had one.
    pub signature: Option<Signature>,
    /// The trace.
    pub trace: TraceParent,
    /// When the answer must be there.
    pub deadline: Deadline,
}

impl Caller {
    fn request(&self, request_id: &str, fingerprint: Fingerprint) -> Request {
        Request { participant: self.participant.clone(), request_id: request_id.to_owned(), fingerprint }
    }
}

/// What came of an order.
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
        self.has_room(caller)?;
        let (bank, place) =
            self.directory.admit(&order.payee, order.amount.currency(), self.channel.is_open());
        let id = PaymentId::new(&self.clock);
        let request = caller.request(&order.request_id, fingerprint);
        let is_signed = caller.signature.is_some();
        let pay =
            Pay { id, uetr: new_uetr(), request, order, bank, validate_only, is_signed, incoming: None };
        self.make(caller, id, Command::Pay(Box::new(pay)), place).await
    }

    /// Captures (part of) an authorization and waits for the capture's end, or for the caller's deadline.
    ///
    /// # Errors
    /// When no capture came to be, or when it is not known yet whether one did.
    pub async fn capture(
        &self,
        caller: &Caller,
        order: CaptureOrder,
        fingerprint: Fingerprint,
    ) -> Result<Paid, Fault> {
        self.has_room(caller)?;
        let payment = self.read(order.payment).await?;
        let (bank, place) = self.admit_for(&payment);
        let id = PaymentId::new(&self.clock);
        let capture = Capture {
            id,
            uetr: new_uetr(),
            request: caller.request(&order.request_id, fingerprint),
            payment: payment.id,
            amount: order.amount,
            bank,
        };
        self.make(caller, id, Command::Capture(Box::new(capture)), place).await
    }

    /// Refunds (part of) a payment and waits for the refund's end, or for the caller's deadline.
    ///
    /// # Errors
    /// When no refund came to be, or when it is not known yet whether one did.
    pub async fn refund(
        &self,
        caller: &Caller,
        order: RefundOrder,
        fingerprint: Fingerprint,
    ) -> Result<Paid, Fault> {
        self.has_room(caller)?;
        let payment = self.read(order.payment).await?;
        let returns = payment.bank_id.as_deref().and_then(|bank| self.directory.bank_by_id(bank));
        let (bank, place) = match returns {
            Some(bank) if !bank.takes_returns => (Err(NoRoute::NoReturns(bank.id.clone())), None),
            _ => self.admit_for(&payment),
        };
        let id = PaymentId::new(&self.clock);
        let refund = Refund {
            id,
            uetr: new_uetr(),
            request: caller.request(&order.request_id, fingerprint),
            payment: payment.id,
            amount: order.amount,
            remittance_information: order.remittance_information,
            bank,
        };
        self.make(caller, id, Command::Refund(Box::new(refund)), place).await
    }

    /// Releases what is held of a payment and was never sent.
    ///
    /// # Errors
    /// When it was not released, or when it is not known yet whether it was.
    pub async fn cancel(&self, caller: &Caller, payment: PaymentId) -> Result<Payment, Fault> {
        let original = self.read(payment).await?.original;
        let cancel = Cancel { participant: caller.participant.clone(), payment, original };
        match self.write(caller, Command::Cancel(Box::new(cancel)), None).await? {
            Outcome::Payment(payment) => {
                self.waiters.tell(&payment);
                Ok(*payment)
            }
            Outcome::Declined(declined) => Err(declined.into()),
            _ => Err(Fault::internal()),
        }
    }

    /// Takes note of what an operator found out about a payment. Returns it, and whether a second one has to approve.
    ///
    /// # Errors
    /// When it was not recorded, or when it is not known yet whether it was.
    pub async fn resolve(
        &self,
        caller: &Caller,
        payment: PaymentId,
        finding: Finding,
    ) -> Result<(Payment, bool), Fault> {
        let original = self.read(payment).await?.original;
        let resolve = Resolve {
            id: ActId::new(&self.clock),
            participant: caller.participant.clone(),
            actor: caller.actor.clone(),
            payment,
            original,
            finding,
        };
        match self.write(caller, Command::Resolve(Box::new(resolve)), None).await? {
            Outcome::Resolution(payment, awaits_approval) => {
                self.waiters.tell(&payment);
                Ok((*payment, awaits_approval))
            }
            Outcome::Declined(declined) => Err(declined.into()),
            _ => Err(Fault::internal()),
        }
    }

    fn has_room(&self, caller: &Caller) -> Result<(), Fault> {
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        if self.settling.len() >= self.limits.max_under_way || !self.book.has_room() {
            return Err(NotWritten::Overloaded.into());
        }
        Ok(())
    }

    /// A payment's unchanging parts, whosever it is: the rules say who may do what with it.
    async fn read(&self, payment: PaymentId) -> Result<Payment, Fault> {
        let read = self.store.any_payment(payment).await?;
        read.ok_or_else(|| Fault::not_found("payment"))
    }

    fn admit_for(&self, payment: &Payment) -> Admitted {
        match &payment.bank_id {
            Some(bank) => self.directory.admit_at(bank, payment.amount.currency(), self.channel.is_open()),
            None => (Err(NoRoute::NoChannel), None),
        }
    }

    /// Has a command written, as long as the caller waits.
    pub(super) async fn write(
        &self,
        caller: &Caller,
        command: Command,
        place: Option<Place>,
    ) -> Result<Outcome, Fault> {
        let writing = self.book.write(command, Context { trace: caller.trace, place });
        let written = timeout_at(caller.deadline.answer_by(), writing).await;
        Ok(written.map_err(|_| Fault::deadline_exceeded())??)
    }

    /// Has a command that makes a payment written, and waits for the payment's end as long as the caller does.
    async fn make(
        &self,
        caller: &Caller,
        id: PaymentId,
        command: Command,
        place: Option<Place>,
    ) -> Result<Paid, Fault> {
        let mut waiter = self.waiters.wait_for(id);
        match self.write(caller, command, place).await? {
            Outcome::Validated(found) => Ok(Paid::Validated(found)),
            Outcome::Submitted(submission) => {
                let answer_by = caller.deadline.answer_by();
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
            Outcome::Deposit(..) | Outcome::Resolution(..) => Err(Fault::internal()),
        }
    }

    /// Waits for the end of a payment that somebody else may be settling, here or in another process.
    async fn end_of(&self, payment: Payment, caller: &Caller) -> Payment {
        self.wait(payment, caller, |payment| payment.state.ends_waiting()).await
    }

    /// Waits, as long as the caller does, until a payment is as `is_awaited` says.
    pub async fn wait(
        &self,
        mut payment: Payment,
        caller: &Caller,
        is_awaited: impl Fn(&Payment) -> bool,
    ) -> Payment {
        let answer_by = caller.deadline.answer_by();
        let mut waiter = self.waiters.wait_for(payment.id);
        let mut pause = FIRST_LOOK;
        while !is_awaited(&payment) && tokio::time::Instant::now() < answer_by {
            let told = timeout(pause.min(caller.deadline.remaining()), waiter.told(&is_awaited)).await;
            if let Ok(told) = told {
                return told;
            }
            pause = (pause * 2).min(LAST_LOOK);
            if let Ok(Some(read)) = self.store.any_payment(payment.id).await {
                payment = read;
            }
        }
        payment
    }
}
