//! What only people can find out, by the four-eyes rule: one operator proposes a payment's end, another approves it.

use super::{Declined, Ledger, Outcome, Proposal, ResolutionAct, Resolve};
use crate::domain::payment::{Evidence, Kind, Lease, Operation, Payment, Permit};
use common::id::PaymentId;

impl Ledger {
    pub(super) fn resolve(&mut self, resolve: &Resolve) -> Result<Outcome, Declined> {
        let (payment, lease) = self.looked_after(resolve.payment, &resolve.participant)?;
        let earlier = self.snapshot.proposals.get(&payment.id).cloned();
        let agrees = earlier.as_ref().is_some_and(|earlier| earlier.finding == resolve.finding);
        if agrees && earlier.as_ref().is_some_and(|earlier| earlier.approved_by.is_some()) {
            return Ok(Outcome::Resolution(Box::new(payment), false));
        }
        if payment.state.permits(Operation::Resolve) != Permit::Yes {
            return Err(Declined::NotPermitted(Operation::Resolve, payment.state));
        }
        match earlier {
            Some(earlier) if earlier.proposed_by != resolve.actor => {
                if !agrees {
                    return Err(Declined::ResolutionDiffers);
                }
                self.propose(resolve, Proposal { approved_by: Some(resolve.actor.clone()), ..earlier });
            }
            Some(_) if agrees => return Ok(Outcome::Resolution(Box::new(payment), true)),
            _ => {
                let (finding, proposed_by) = (resolve.finding.clone(), resolve.actor.clone());
                self.propose(resolve, Proposal { finding, proposed_by, approved_by: None });
                return Ok(Outcome::Resolution(Box::new(payment), true));
            }
        }
        let evidence = Evidence::Resolved {
            succeeded: resolve.finding.succeeded,
            evidence_reference: resolve.finding.evidence_reference.clone(),
        };
        let (state, reason) = evidence.verdict();
        self.leave_queue(payment.id, lease);
        let next = self.step(&payment, state, reason, evidence.source());
        self.end_of_child(&next);
        self.note_refused_return(&next);
        Ok(Outcome::Resolution(Box::new(next), false))
    }

    /// A payment that the participant's operators look after: its own, and what the house takes back of its own.
    fn looked_after(&self, id: PaymentId, participant: &str) -> Result<(Payment, Option<Lease>), Declined> {
        let (payment, lease) = self.payment(id)?;
        match (payment.kind, payment.original) {
            (Kind::Return, Some(original)) => self.own_payment(original, participant)?,
            _ => self.own_payment(id, participant)?,
        };
        Ok((payment, lease))
    }

    fn propose(&mut self, resolve: &Resolve, proposal: Proposal) {
        self.writes.resolution_acts.push(ResolutionAct {
            id: resolve.id,
            payment: resolve.payment,
            is_approval: proposal.approved_by.is_some(),
            finding: resolve.finding.clone(),
            by: resolve.actor.clone(),
            at: self.now,
        });
        self.writes.proposals.insert(resolve.payment, proposal.clone());
        self.snapshot.proposals.insert(resolve.payment, proposal);
    }
}
