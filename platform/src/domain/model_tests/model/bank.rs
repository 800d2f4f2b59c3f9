//! What is sent to banks, and what they say.

use common::{id::PaymentId, text::HOUSE};

use super::{Known, Model, Told, reply::Reply};
use crate::domain::{
    alarm::AlarmKind,
    ledger::{Compensation, Conclude, Declined, Submit, Witness},
    payment::{Evidence, Kind, Operation, State},
};

fn is_verdict(evidence: &Evidence) -> bool {
    matches!(evidence, Evidence::Accepted { .. } | Evidence::Rejected { .. })
}

impl Model {
    /// Puts an attempt on record.
    pub(super) fn put_on_record(&mut self, payment: PaymentId) -> Reply {
        let known = self.payments.get_mut(&payment).expect("a known payment");
        known.attempts += 1;
        let (attempts, token) = (known.attempts, known.token);
        // Who is to give back is told what it was paid with.
        let gives_back = matches!(known.kind, Kind::Refund | Kind::Return);
        Reply::Submitted(self.view(payment), attempts, token, gives_back)
    }

    /// Whether the bank can be told what it is to give back, if it is to: what it was never sent it cannot find.
    fn can_be_named(&self, known: &Known) -> bool {
        let gives_back = matches!(known.kind, Kind::Refund | Kind::Return);
        known.original.filter(|_| gives_back).is_none_or(|original| self.payments[&original].attempts > 0)
    }

    pub(super) fn submit(&mut self, submit: &Submit) -> Told {
        let known = self.known(submit.payment)?;
        match self.state(known) {
            State::Held if known.token != submit.token => Err(Declined::LeaseLost),
            State::Held if !self.can_be_named(known) => {
                Err(Declined::NotPermitted(Operation::Submit, State::Held))
            }
            State::Held => {
                self.set(submit.payment, State::Submitted, "");
                Ok(self.put_on_record(submit.payment))
            }
            State::Authorized => Err(Declined::NotPermitted(Operation::Submit, State::Authorized)),
            _ => Ok(Reply::Payment(self.view(submit.payment))),
        }
    }

    pub(super) fn conclude(&mut self, said: &Conclude) -> Told {
        let id = said.payment;
        match self.state(self.known(id)?) {
            State::Submitted | State::Unknown => self.learn(said)?,
            state @ (State::Held | State::Authorized | State::Investigate) => {
                if is_verdict(&said.evidence) {
                    self.alarms.insert((id, AlarmKind::Contradiction));
                }
                if state == State::Held && matches!(said.evidence, Evidence::Accepted { .. }) {
                    self.set(id, State::Investigate, "ACCEPTED_UNASKED");
                }
            }
            state @ (State::Succeeded | State::Failed | State::Cancelled | State::Expired) => {
                self.hear_late(said, state);
            }
        }
        Ok(Reply::Payment(self.view(id)))
    }

    /// Evidence on a payment that its bank may have.
    fn learn(&mut self, said: &Conclude) -> Result<(), Declined> {
        let known = self.known(said.payment)?;
        match said.witness {
            Witness::Bank if !is_verdict(&said.evidence) => return Ok(()),
            Witness::Lease(token) if token != known.token => return Err(Declined::LeaseLost),
            Witness::Bank | Witness::Lease(_) => {}
        }
        let (state, reason) = match &said.evidence {
            Evidence::Accepted { .. } => (State::Succeeded, ""),
            Evidence::Rejected { .. } => (State::Failed, "REJECTED_BY_BANK"),
            Evidence::NeverSent { next_attempt_after: None, .. } => (State::Failed, "BANK_UNREACHABLE"),
            Evidence::NeverReceived { next_attempt_after: None } => (State::Failed, "NEVER_RECEIVED_BY_BANK"),
            Evidence::NeverSent { .. } | Evidence::NeverReceived { .. } => (State::Held, "BANK_OFFLINE"),
            Evidence::Inconclusive { .. } if known.said == State::Unknown => return Ok(()),
            Evidence::Inconclusive { reason, .. } => (State::Unknown, reason.as_str()),
            Evidence::Contradictory { reason, .. } => {
                self.alarms.insert((said.payment, AlarmKind::PaymentParked));
                (State::Investigate, reason.as_str())
            }
            Evidence::Resolved { .. } => unreachable!("only operators resolve"),
        };
        self.set(said.payment, state, reason);
        Ok(())
    }

    /// What a bank says when the books are closed.
    fn hear_late(&mut self, said: &Conclude, state: State) {
        let id = said.payment;
        match (&said.evidence, state) {
            (Evidence::Rejected { .. }, State::Succeeded) => {
                self.alarms.insert((id, AlarmKind::Contradiction));
            }
            (Evidence::Accepted { .. }, State::Failed | State::Cancelled | State::Expired) => {
                self.alarms.insert((id, AlarmKind::LateSuccess));
                let is_return = |other: &&Known| other.kind == Kind::Return && other.original == Some(id);
                let is_taken_back = self.payments.values().find(is_return).is_some();
                let can_be = matches!(self.payments[&id].kind, Kind::Payment | Kind::Capture);
                if let Some(compensation) = said.compensation.as_ref().filter(|_| can_be && !is_taken_back) {
                    self.take_back(id, compensation);
                }
            }
            _ => {}
        }
    }

    /// What is owed to the bank goes to suspense, and the bank is asked to return it.
    fn take_back(&mut self, paid: PaymentId, compensation: &Compensation) {
        let paid = &self.payments[&paid];
        let (suspense, settlement, minor_units) =
            (compensation.suspense_account, paid.credit, paid.minor_units);
        let back = Known {
            id: compensation.payment,
            participant: HOUSE.to_owned(),
            fingerprint: [0; 16],
            kind: Kind::Return,
            original: Some(paid.id),
            payer: settlement,
            credit: suspense,
            minor_units,
            is_at_bank: true,
            reason: "LATE_SUCCESS".to_owned(),
            token: 1,
            attempts: 0,
            said: State::Held,
            closing: None,
            expires_at: None,
            made_at_s: self.now_s,
            counted: Vec::new(),
        };
        self.payments.insert(back.id, back);
        self.late.push((suspense, settlement, minor_units));
    }
}
