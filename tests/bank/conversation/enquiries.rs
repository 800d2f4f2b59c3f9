//! What a bank says to a pacs.028. An enquiry never changes anything.

use tokio::time::Instant;

use super::payments::report_known;
use super::{Arrival, Bank, Done, wait_until};
use crate::books::Broken;
use crate::messages::answer::Answer;
use crate::messages::pacs002::Report;
use crate::messages::pacs028::{About, Enquiry};
use crate::script::Behaviour;

impl Bank {
    /// Takes its time if it is scripted to, then looks up what is asked for.
    pub(super) async fn inquire(
        &self,
        enquiry: &Enquiry,
        behaviour: &Behaviour,
        arrival: Arrival,
    ) -> Result<Done, Broken> {
        if let Behaviour::Delay { ms } = behaviour {
            wait_until(arrival.after(*ms)).await;
        }
        let pending = *behaviour == Behaviour::Pending;
        let is_pending = |until: Option<Instant>| pending || until.is_some();
        let found = match enquiry.about {
            _ if *behaviour == Behaviour::NotFound => None,
            About::Payment => self.books.find(enquiry.original.uetr).map(|known| Done {
                answer: Answer::Report(report_known(&known, is_pending(known.in_process_until))),
                line: known.line,
            }),
            About::ReturnRequest => self.books.find_return(&enquiry.original.message_id).map(|known| Done {
                answer: self.answer_return(&known, is_pending(known.in_process_until)),
                line: known.line,
            }),
        };
        Ok(found.unwrap_or_else(|| {
            let report = Report::never_received(enquiry.about.message(), &enquiry.original);
            Done { answer: Answer::Report(report), line: 0 }
        }))
    }
}
