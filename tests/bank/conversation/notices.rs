//! What a bank says unasked.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::payments::report_known;
use super::{Arrival, Bank, wait_until};
use crate::books::Broken;
use crate::books::record::{NoticeAnswered, Record, Said};
use crate::messages::amount::Amount;
use crate::messages::answer::Answer;
use crate::messages::pacs002::Report;
use crate::messages::reason::Reason;
use crate::messages::stamp::Stamp;
use crate::messages::{Inbound, References, pacs008};
use crate::script::{Notice, Wrong};

/// Resolves once the bank's own answer may go out.
pub(super) type Told = Option<oneshot::Receiver<()>>;

/// The payment that notices are about, as the message that the rule matched names it.
#[derive(Debug, Clone)]
struct About {
    original: References,
    amount: Option<Amount>,
    /// The trace of that message, which the notice belongs to as well.
    traceparent: Option<Box<str>>,
}

impl Bank {
    /// Begins to send `notices` about the payment of `message`.
    pub(super) fn notify(
        self: &Arc<Self>,
        notices: Vec<Notice>,
        message: &Inbound,
        arrival: Arrival,
        traceparent: Option<&str>,
    ) -> Told {
        let traceparent = traceparent.map(Box::from);
        let (original, amount) = match message {
            Inbound::Payment(payment) => (payment.references.clone(), Some(payment.amount)),
            Inbound::ReturnRequest(request) => (request.original.clone(), Some(request.original_amount)),
            Inbound::Enquiry(enquiry) => (enquiry.original.clone(), None),
        };
        let about = About { original, amount, traceparent };
        let last_before_answer = notices.iter().rposition(|notice| notice.before_answer);
        let (told, may_answer) = oneshot::channel();
        let bank = Arc::clone(self);
        for notice in &notices {
            self.notifier.plan(notice.copies);
        }
        let sends = !notices.is_empty();
        let sending = async move {
            let mut told = Some(told);
            for (index, notice) in notices.iter().enumerate() {
                wait_until(arrival.after(notice.after_ms)).await;
                bank.send_notice(notice, &about).await?;
                if last_before_answer == Some(index) {
                    drop(told.take());
                }
            }
            Ok::<(), Broken>(())
        };
        if sends {
            tokio::spawn(sending);
        }
        last_before_answer.map(|_| may_answer)
    }

    /// Sends one notice, in as many copies as it is to have, until each is taken or refused.
    async fn send_notice(self: &Arc<Self>, notice: &Notice, about: &About) -> Result<(), Broken> {
        let header = self.next_header();
        let answer = Answer::Report(self.notice(notice, about));
        let line = self.books.note(Record::NoticeSent(Said::new(&answer, &header)))?;
        self.books.durable(line).await?;
        let xml: Arc<str> = answer.to_xml(&header).into();
        let signatures = Arc::new(self.signatures.over(&xml, notice.signature));
        let mut copies = JoinSet::new();
        for _ in 0..notice.copies {
            let (bank, xml, signatures) = (Arc::clone(self), Arc::clone(&xml), Arc::clone(&signatures));
            let traceparent = about.traceparent.clone();
            copies
                .spawn(async move { bank.notifier.deliver(&xml, &signatures, traceparent.as_deref()).await });
        }
        while let Some(delivered) = copies.join_next().await {
            let Ok(http_status) = delivered else { continue };
            let (answer_id, time) = (header.message_id.as_str().into(), Stamp::now());
            let uetr = answer.original().uetr;
            self.books.note(Record::NoticeAnswered(NoticeAnswered { answer_id, uetr, http_status, time }))?;
        }
        Ok(())
    }

    fn notice(&self, notice: &Notice, about: &About) -> Report {
        let mut report = self.truth(about);
        if let Some(status) = &notice.status {
            report.status = status.clone();
            report.reason = notice.code.clone().map(|code| Reason { code: Some(code), text: None });
            report.amount = report.amount.or(about.amount);
        }
        match notice.wrong {
            None => {}
            Some(Wrong::Payment) => report.original = nobodys(),
            Some(Wrong::Uetr) => {
                let other = self.books.another(about.original.uetr);
                report.original.uetr = other.map_or_else(Uuid::new_v4, |other| other.references.uetr);
            }
            Some(Wrong::Amount) => report.amount = report.amount.or(about.amount).map(one_more),
            Some(Wrong::Currency) => report.amount = report.amount.or(about.amount).map(in_another_currency),
        }
        report
    }

    /// What an enquiry would hear now.
    fn truth(&self, about: &About) -> Report {
        let known = self.books.find(about.original.uetr);
        match known.map(|known| report_known(&known, known.in_process_until.is_some())) {
            Some(report) => report,
            None => Report::never_received(pacs008::SHAPE.message, &about.original),
        }
    }
}

/// References of a payment that nobody has.
pub(super) fn nobodys() -> References {
    let uetr = Uuid::new_v4();
    let message_id: Box<str> = uetr.simple().to_string().into();
    References { end_to_end_id: message_id.clone(), message_id, uetr }
}

fn one_more(amount: Amount) -> Amount {
    Amount { minor_units: amount.minor_units.saturating_add(1), ..amount }
}

fn in_another_currency(amount: Amount) -> Amount {
    // Both have two digits, so that the decimal text stays what it is for most payments.
    let other = if amount.currency.to_string() == "CHF" { "SEK" } else { "CHF" };
    Amount { currency: other.parse().unwrap_or(amount.currency), ..amount }
}
