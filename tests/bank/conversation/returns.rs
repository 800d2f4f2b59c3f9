//! What a bank does with a camt.056.

use std::sync::Arc;

use super::{Arrival, Bank, Done, milliseconds, wait_until};
use crate::acceptance::returns::refusal;
use crate::books::record::ReturnEntry;
use crate::books::{Broken, Decision, Known};
use crate::counters::count;
use crate::messages::answer::Answer;
use crate::messages::camt029::{Resolution, ResolutionStatus};
use crate::messages::camt056::ReturnRequest;
use crate::messages::pacs004::PaymentReturn;
use crate::messages::reason::{Reason, ReturnCode};
use crate::messages::stamp::Stamp;
use crate::script::Behaviour;

impl Bank {
    /// Decides, or puts the decision off, and takes its time if it is scripted to.
    pub(super) async fn give_back(
        self: &Arc<Self>,
        request: &ReturnRequest,
        behaviour: &Behaviour,
        arrival: Arrival,
    ) -> Result<Done, Broken> {
        let until = match behaviour {
            Behaviour::Delay { ms } => arrival.after(*ms),
            _ => None,
        };
        let (scripted, due) = match behaviour {
            Behaviour::Reject(reason) => (Some(reason.clone()), None),
            Behaviour::Undecided { ms, rejection } => {
                let due = arrival.time.time().checked_add(milliseconds(*ms)).map(Stamp::new);
                (rejection.clone(), due)
            }
            _ => (None, None),
        };
        let judge =
            |original: Option<&_>| match refusal(&self.config, request, original, arrival.judged_as_of) {
                Some(reason) => Err(reason),
                None => Ok(scripted),
            };
        let decision = self.books.decide_return(request, judge, due, until, arrival.time)?;
        let known = match decision {
            Decision::New(known) => {
                self.decide_later(&known.entry);
                known
            }
            Decision::Repeat(known) => {
                count(&self.counters.repeated);
                known
            }
            Decision::OtherContent => {
                count(&self.counters.repeated);
                wait_until(until).await;
                let reason = Reason::new(ReturnCode::AlreadyReturned, "the id was used for another request");
                let entry = ReturnEntry::new(request, Some(reason), None, arrival.time);
                return Ok(Done { answer: self.resolution(&entry, ResolutionStatus::Refused), line: 0 });
            }
        };
        wait_until(known.in_process_until.max(until)).await;
        // What was undecided may have been decided while the bank took its time.
        let known = self.books.find_return(&request.request_id).unwrap_or(known);
        let pending = *behaviour == Behaviour::Pending;
        Ok(Done { answer: self.answer_return(&known, pending), line: known.line })
    }

    /// Says what the books hold, under the references of the books.
    pub(super) fn answer_return(&self, known: &Known<ReturnEntry>, pending: bool) -> Answer {
        let entry = &known.entry;
        if pending || entry.due.is_some() {
            return self.resolution(entry, ResolutionStatus::Undecided);
        }
        if entry.rejection.is_some() {
            return self.resolution(entry, ResolutionStatus::Refused);
        }
        Answer::Return(PaymentReturn {
            request_id: entry.request_id.clone(),
            original: entry.original.clone(),
            original_amount: entry.original_amount,
            amount: entry.amount,
        })
    }

    fn resolution(&self, entry: &ReturnEntry, status: ResolutionStatus) -> Answer {
        let refused = status == ResolutionStatus::Refused;
        Answer::Resolution(Resolution {
            request_id: entry.request_id.clone(),
            original: entry.original.clone(),
            status,
            reason: entry.rejection.as_deref().filter(|_| refused).cloned(),
            assigner: self.config.bic.as_str().into(),
            assignee: entry.assigner.clone(),
        })
    }
}
