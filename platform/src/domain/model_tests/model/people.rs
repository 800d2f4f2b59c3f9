//! What two operators find out.

use super::{Model, Proposed, Told, reply::Reply};
use crate::domain::{
    ledger::{Declined, Resolve},
    payment::{Kind, Operation, State},
};

impl Model {
    pub(super) fn resolve(&mut self, resolve: &Resolve) -> Told {
        let id = resolve.payment;
        let known = self.known(id)?;
        let looked_after = known.original.filter(|_| known.kind == Kind::Return).unwrap_or(id);
        self.own(looked_after, &resolve.participant)?;
        let state = self.state(known);
        let earlier = self.proposals.get(&id).cloned();
        let agrees = earlier.as_ref().is_some_and(|earlier| earlier.finding == resolve.finding);
        if agrees && earlier.as_ref().is_some_and(|earlier| earlier.is_approved) {
            return Ok(Reply::Resolution(self.view(id), false));
        }
        if !matches!(state, State::Unknown | State::Investigate) {
            return Err(Declined::NotPermitted(Operation::Resolve, state));
        }
        let is_anothers = earlier.is_some_and(|earlier| earlier.by != resolve.actor);
        if is_anothers && !agrees {
            return Err(Declined::ResolutionDiffers);
        }
        if !is_anothers {
            let (finding, by) = (resolve.finding.clone(), resolve.actor.clone());
            self.proposals.insert(id, Proposed { finding, by, is_approved: false });
            return Ok(Reply::Resolution(self.view(id), true));
        }
        if let Some(proposed) = self.proposals.get_mut(&id) {
            proposed.is_approved = true;
        }
        match resolve.finding.succeeded {
            true => self.set(id, State::Succeeded, ""),
            false => self.set(id, State::Failed, "RESOLVED_AS_FAILED"),
        }
        Ok(Reply::Resolution(self.view(id), false))
    }
}
