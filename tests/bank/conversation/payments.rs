//! What a bank does with a pacs.008.

use super::{Arrival, Bank, Done, wait_until};
use crate::acceptance;
use crate::books::record::Entry;
use crate::books::{Broken, Credit, Decision, Known};
use crate::counters::count;
use crate::messages::answer::Answer;
use crate::messages::pacs002::{CREDITED, PENDING, REJECTED, Report};
use crate::messages::pacs008::Payment;
use crate::messages::reason::{Code, Reason};
use crate::messages::{References, pacs008};
use crate::script::Behaviour;

impl Bank {
    /// Decides and, if it is scripted to take its time, takes it.
    pub(super) async fn pay(
        &self,
        payment: &Payment,
        behaviour: &Behaviour,
        arrival: Arrival,
    ) -> Result<Done, Broken> {
        if let Behaviour::Say { executed: false, .. } = behaviour {
            return Ok(Done { answer: Answer::Report(promised(payment)), line: 0 });
        }
        let until = match behaviour {
            Behaviour::Delay { ms } => arrival.after(*ms),
            _ => None,
        };
        let scripted = match behaviour {
            Behaviour::Reject(reason) => Err(reason.clone()),
            Behaviour::Twice => Ok(Credit { times: 2, ..Credit::PLAIN }),
            Behaviour::Deduct { minor_units, told } => {
                Ok(Credit { less_minor_units: *minor_units, told: *told, ..Credit::PLAIN })
            }
            _ => Ok(Credit::PLAIN),
        };
        let judgement =
            acceptance::refusal(&self.config, payment, arrival.judged_as_of).map_or(scripted, Err);
        let decision = self.books.decide(payment, judgement, until, arrival.time)?;
        let known = match decision {
            Decision::New(known) => known,
            Decision::Repeat(known) => {
                count(&self.counters.repeated);
                known
            }
            Decision::OtherContent => {
                count(&self.counters.repeated);
                wait_until(until).await;
                let reason = Reason::new(Code::Duplicate, "the UETR was used for another payment");
                return Ok(Done { answer: report_unknown(&payment.references, reason), line: 0 });
            }
        };
        wait_until(known.in_process_until.max(until)).await;
        let pending = *behaviour == Behaviour::Pending;
        Ok(Done { answer: Answer::Report(report_known(&known, pending)), line: known.line })
    }
}

/// Reports what the books hold, under the references of the books: an enquiry that mixes references of two payments
/// must hear an answer that contradicts it.
pub(super) fn report_known(known: &Known<Entry>, pending: bool) -> Report {
    let entry = &known.entry;
    let reason = entry.rejection.as_deref().filter(|_| !pending).cloned();
    let status = match (pending, &entry.rejection) {
        (true, _) => PENDING,
        (false, Some(_)) => REJECTED,
        (false, None) => CREDITED,
    };
    Report {
        original_message: pacs008::SHAPE.message,
        original: entry.references.clone(),
        status: status.into(),
        reason,
        amount: Some(entry.reported()),
    }
}

/// What the bank would say had it executed the payment.
fn promised(payment: &Payment) -> Report {
    Report {
        original_message: pacs008::SHAPE.message,
        original: payment.references.clone(),
        status: CREDITED.into(),
        reason: None,
        amount: Some(payment.amount),
    }
}

fn report_unknown(original: &References, reason: Reason) -> Answer {
    Answer::Report(Report {
        original_message: pacs008::SHAPE.message,
        original: original.clone(),
        status: REJECTED.into(),
        reason: Some(reason),
        amount: None,
    })
}
