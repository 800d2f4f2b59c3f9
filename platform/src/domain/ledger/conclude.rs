//! What the bank says of a payment, and the making of its attempts.

use super::{Alarm, Conclude, Declined, KeptMessage, Ledger, Outcome, Submit, Witness, permitted};
use crate::domain::{
    alarm::AlarmKind,
    payment::{Attempt, Evidence, Operation, Payment, Permit, State, Work},
};
use common::planted;

impl Ledger {
    pub(super) fn submit(&mut self, submit: &Submit) -> Result<Outcome, Declined> {
        let (payment, lease) = self.payment(submit.payment)?;
        if permitted(&payment, Operation::Submit)? == Permit::Done {
            return Ok(Outcome::Payment(Box::new(payment)));
        }
        let lease = lease.filter(|lease| lease.token == submit.token).ok_or(Declined::LeaseLost)?;
        let taken_back = payment.original.filter(|_| payment.kind.is_taken_back());
        if taken_back.is_some_and(|original| !self.snapshot.attempts.contains_key(&original)) {
            // What cannot be named to the bank must not go out as a payment: it is left to people.
            return Err(Declined::NotPermitted(Operation::Submit, payment.state));
        }
        let earlier = self.snapshot.attempts.get(&payment.id);
        let attempt = Attempt::after(earlier, self.now, submit.valid_for);
        self.postpone(&payment, submit.token, Work::Enquire, submit.lease);
        let next = Payment { state: State::Submitted, reason: None, ..payment.clone() };
        let submitted = self.step_to(&payment, next, Some(attempt), "");
        Ok(self.submission(submitted, attempt, lease))
    }

    /// Takes note of evidence, and keeps the bank's message if anything follows from it: a bank that is asked for days and always says
    /// the same fills nothing.
    pub(super) fn conclude(&mut self, conclude: &Conclude) -> Result<Outcome, Declined> {
        let (steps, alarms) = (self.writes.events.len(), self.writes.alarms.len());
        let outcome = self.weigh(conclude)?;
        let mut new_steps = self.writes.events.iter().skip(steps);
        let step = new_steps.find(|step| step.payment == conclude.payment).map(|step| step.sequence);
        if let Some(message) = &conclude.bank_message
            && (step.is_some() || self.writes.alarms.len() > alarms)
        {
            let kept = KeptMessage { payment: conclude.payment, sequence: step, message: message.clone() };
            self.writes.bank_messages.push(kept);
        }
        Ok(outcome)
    }

    fn weigh(&mut self, conclude: &Conclude) -> Result<Outcome, Declined> {
        let (payment, lease) = self.payment(conclude.payment)?;
        match payment.state.permits(Operation::Conclude) {
            Permit::Yes => {}
            Permit::Done if planted::is("M8") => {
                let (state, reason) = conclude.evidence.verdict();
                return Ok(Outcome::Payment(Box::new(self.step(&payment, state, reason, ""))));
            }
            Permit::Done => {
                self.late(&payment, conclude);
                return Ok(Outcome::Payment(Box::new(payment)));
            }
            Permit::No => return Ok(Outcome::Payment(Box::new(self.unexpected(payment, lease, conclude)))),
        }
        let token = match (conclude.witness, lease) {
            (Witness::Lease(token), Some(lease)) if lease.token == token => token,
            (Witness::Lease(_), Some(lease)) if planted::is("M13") => lease.token,
            (Witness::Bank, Some(lease)) if conclude.evidence.is_the_banks_verdict() => lease.token,
            (Witness::Bank, _) if !conclude.evidence.is_the_banks_verdict() => {
                return Ok(Outcome::Payment(Box::new(payment)));
            }
            _ => return Err(Declined::LeaseLost),
        };
        let (state, reason) = conclude.evidence.verdict();
        self.postpone_open(&payment, token, &conclude.evidence);
        if !payment.state.may_become(state) {
            return Ok(Outcome::Payment(Box::new(payment)));
        }
        if state == State::Investigate {
            let reason = reason.as_ref().map(|reason| reason.message.as_str()).unwrap_or_default();
            self.raise(AlarmKind::PaymentParked, &payment, reason);
        }
        if state == State::Investigate || state.is_final() {
            self.leave_queue(payment.id, lease);
        }
        let next = self.step(&payment, state, reason, conclude.evidence.source());
        if next.state.is_final() {
            self.end_of_child(&next);
            self.note_refused_return(&next);
        }
        Ok(Outcome::Payment(Box::new(next)))
    }

    /// Leaves to the queue of work what is to be done next, while the end is open.
    fn postpone_open(&mut self, payment: &Payment, token: i64, evidence: &Evidence) {
        match evidence {
            Evidence::Inconclusive { resume_after, .. } => {
                self.postpone(payment, token, Work::Enquire, *resume_after);
            }
            Evidence::NeverSent { next_attempt_after: Some(pause), .. }
            | Evidence::NeverReceived { next_attempt_after: Some(pause) } => {
                self.postpone(payment, token, Work::Send, *pause);
            }
            _ => {}
        }
    }

    pub(super) fn raise(&mut self, kind: AlarmKind, payment: &Payment, detail: &str) {
        let alarm = Alarm { kind, payment: payment.id, detail: detail.to_owned(), at: self.now };
        if !self.writes.alarms.iter().any(|one| (one.kind, one.payment) == (kind, payment.id)) {
            self.writes.alarms.push(alarm);
        }
    }
}
