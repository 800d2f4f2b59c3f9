//! Return requests in the books: each decided once, and never more returned of a payment than it brought.

use std::sync::Arc;

use tokio::time::Instant;

use super::record::{Entry, ReturnEntry};
use super::state::{Numbered, State};
use super::{Books, Broken, Decision, Known};
use crate::messages::camt056::ReturnRequest;
use crate::messages::reason::Reason;
use crate::messages::stamp::Stamp;

/// What the books know of the payment that a return is asked of.
#[derive(Debug)]
pub struct Original {
    /// The payment.
    pub entry: Arc<Entry>,
    /// What was returned of it, or may be because a request is undecided, in minor units.
    pub returned_minor_units: u64,
}

impl Books {
    /// Decides what becomes of `request`, unless it is known: `judge` says why it is refused, given the payment. With
    /// `due` what it says comes to be only then, and the money is reserved meanwhile.
    pub fn decide_return(
        &self,
        request: &ReturnRequest,
        judge: impl FnOnce(Option<&Original>) -> Result<Option<Reason>, Reason>,
        due: Option<Stamp>,
        in_process_until: Option<Instant>,
        now: Stamp,
    ) -> Result<Decision<ReturnEntry>, Broken> {
        let mut state = self.shared.lock();
        if let Some(known) = known_return(&mut state, &request.request_id) {
            let same = known.entry.content == request.fingerprint;
            return Ok(if same { Decision::Repeat(known) } else { Decision::OtherContent });
        }
        let uetr = request.original.uetr;
        let original = state.find(uetr).map(|known| Original {
            entry: Arc::clone(&known.item),
            returned_minor_units: state.returned(uetr),
        });
        let entry = match judge(original.as_ref()) {
            Ok(scripted) => ReturnEntry::new(request, scripted, due, now),
            Err(reason) => ReturnEntry::new(request, Some(reason), None, now),
        };
        self.append(&mut state, entry.into_record())?;
        if let Some(until) = in_process_until {
            state.returns_in_process.set(request.request_id.clone(), until);
        }
        known_return(&mut state, &request.request_id).map(Decision::New).ok_or(Broken)
    }

    /// Makes what was undecided come to be; nothing if it was decided or forgotten meanwhile.
    pub fn conclude_return(&self, request_id: &str, now: Stamp) -> Result<(), Broken> {
        let mut state = self.shared.lock();
        let Some(Numbered { item, .. }) = state.returns.get(request_id).filter(|one| one.item.due.is_some())
        else {
            return Ok(());
        };
        let entry = ReturnEntry { due: None, time: now, ..ReturnEntry::clone(item) };
        self.append(&mut state, entry.into_record()).map(drop)
    }

    /// What the books know of a return request. Not to be told before it is [`durable`](Books::durable).
    pub fn find_return(&self, request_id: &str) -> Option<Known<ReturnEntry>> {
        known_return(&mut self.shared.lock(), request_id)
    }
}

fn known_return(state: &mut State, request_id: &str) -> Option<Known<ReturnEntry>> {
    let in_process_until = state.returns_in_process.until(&request_id.into());
    let Numbered { line, item } = state.returns.get(request_id)?;
    Some(Known { entry: Arc::clone(item), line: *line, in_process_until })
}
