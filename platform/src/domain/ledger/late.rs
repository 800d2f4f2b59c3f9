//! What a bank says when the books are closed: history is never rewritten, a new entry puts it right.

use common::{
    id::PaymentId,
    order::{Payee, PayeeAccount},
    text::HOUSE,
};

use super::{BankRoute, Child, Compensation, Conclude, Ledger, Request};
use crate::domain::{
    alarm::AlarmKind,
    payment::{Evidence, Kind, Lease, Payment, State, Terms},
    refusal::Reason,
    transfer::{Cause, Transfer},
};

/// The request id of the return that takes back what was paid late: there is at most one for a payment.
pub fn return_request_id(payment: PaymentId) -> String {
    format!("return-{payment}")
}

impl Ledger {
    /// Evidence for a payment whose end is on record. What agrees with it changes nothing.
    pub(super) fn late(&mut self, payment: &Payment, conclude: &Conclude) {
        match (&conclude.evidence, payment.state) {
            (Evidence::Rejected { iso_code, .. }, State::Succeeded) => {
                let detail = format!(
                    "the bank now says that it refused the payment ({iso_code}); it is SUCCEEDED here"
                );
                self.raise(AlarmKind::Contradiction, payment, &detail);
            }
            (Evidence::Accepted { .. }, State::Failed | State::Cancelled | State::Expired) => {
                self.late_success(payment, conclude);
            }
            _ => {}
        }
    }

    /// Evidence for a payment that nothing was sent of, or that people look at.
    pub(super) fn unexpected(
        &mut self,
        payment: Payment,
        lease: Option<Lease>,
        conclude: &Conclude,
    ) -> Payment {
        if !conclude.evidence.is_the_banks_verdict() {
            return payment;
        }
        let detail = "the bank gives its verdict on a payment that waits here, not on one that it has";
        self.raise(AlarmKind::Contradiction, &payment, detail);
        if payment.state == State::Held && matches!(conclude.evidence, Evidence::Accepted { .. }) {
            self.leave_queue(payment.id, lease);
            let reason = Reason::new("ACCEPTED_UNASKED", "", detail);
            return self.step(&payment, State::Investigate, Some(reason), conclude.evidence.source());
        }
        payment
    }

    /// The bank paid what is recorded as not paid, and the payer has the money. What is owed to the bank goes to suspense,
    /// and the bank is asked to take it back.
    fn late_success(&mut self, payment: &Payment, conclude: &Conclude) {
        let key = (HOUSE.to_owned(), return_request_id(payment.id));
        if self.snapshot.payment_requests.contains_key(&key) {
            return;
        }
        let detail = format!("the bank paid, and it is {} here", payment.state.name());
        self.raise(AlarmKind::LateSuccess, payment, &detail);
        let returnable = matches!(payment.kind, Kind::Payment | Kind::Capture);
        let Some(compensation) = conclude.compensation.as_ref().filter(|_| returnable) else { return };
        let suspense = compensation.suspense_account;
        let request = Request { participant: key.0, request_id: key.1, fingerprint: [0; 16] };
        let back = self.taking_back(payment, compensation, &request);
        self.begin(back, Some(&waiting(compensation, payment)));
        self.book(Transfer {
            cause: Cause::Payment(payment.id),
            debit: suspense,
            credit: payment.credit_account,
            credit_is_house: true,
            amount: payment.amount,
            at: self.now,
        });
    }

    fn taking_back(&self, payment: &Payment, compensation: &Compensation, request: &Request) -> Payment {
        let suspense = compensation.suspense_account;
        let child = Child {
            id: compensation.payment,
            uetr: compensation.uetr,
            request,
            kind: Kind::Return,
            minor_units: payment.amount.minor_units(),
        };
        let reason = Reason::new("LATE_SUCCESS", "", "takes back what the bank paid late");
        let terms = Terms {
            payer_account: payment.credit_account,
            credit_account: suspense,
            payee: Payee { name: "Suspense".to_owned(), account: PayeeAccount::Ledger(suspense) },
            remittance_information: "paid after it was reported as not paid".to_owned(),
            ..child.of(payment, self.now)
        };
        Payment::new(terms, State::Held, Some(reason))
    }

    /// A bank that keeps what it paid late leaves the house with the loss until people have dealt with it.
    pub(super) fn note_refused_return(&mut self, payment: &Payment) {
        if payment.kind == Kind::Return && payment.state == State::Failed {
            let detail = "the bank does not return what it paid late; the amount stays in suspense";
            // About the payment that was paid late: its participant's operators see it.
            let about = payment.original.and_then(|id| self.payment(id).ok());
            let about = about.map_or_else(|| payment.clone(), |(original, _)| original);
            self.raise(AlarmKind::ReturnRefused, &about, detail);
        }
    }
}

/// A return waits in the queue like any payment to a bank that is not there: recovery sends it.
fn waiting(compensation: &Compensation, payment: &Payment) -> BankRoute {
    BankRoute {
        bank_id: compensation.bank_id.clone(),
        settlement_account: payment.credit_account,
        valid_for: std::time::Duration::ZERO,
        lease: std::time::Duration::ZERO,
        waits: true,
    }
}
