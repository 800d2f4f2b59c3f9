//! One line of the books' file: something that happened, told so that a stranger to this program can judge it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fields::Fingerprint;
use crate::messages::References;
use crate::messages::amount::Amount;
use crate::messages::answer::{Answer, Header};
use crate::messages::camt056::ReturnRequest;
use crate::messages::reason::Reason;
use crate::messages::stamp::Stamp;
use crate::messages::{Inbound, pacs008};

/// What happened. The name of the variant is the line's `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A readable message arrived.
    Received(Received),
    /// A creditor was credited.
    Executed(Entry),
    /// A payment was refused for good.
    Refused(Entry),
    /// A return request waits for its decision.
    ReturnUndecided(ReturnEntry),
    /// Money was given back.
    Returned(ReturnEntry),
    /// A return request was refused for good.
    ReturnRefused(ReturnEntry),
    /// The bank is about to answer.
    Answered(Said),
    /// The bank is about to say something unasked.
    NoticeSent(Said),
    /// Something that it said unasked was taken or refused.
    NoticeAnswered(NoticeAnswered),
    /// The bank lost its memory of whatever it decided from a time on, as after restoring an old backup.
    Restored(Restored),
}

/// A message that arrived, repeats included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The message's name, e.g. `pacs.008.001.08`.
    pub message: Box<str>,
    /// The UETR that it names.
    pub uetr: Uuid,
    /// Its own id: `MsgId`, of a camt.056 `CxlId`.
    pub message_id: Box<str>,
    /// The id of the message that it asks about; only an enquiry's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_message_id: Option<Box<str>>,
    /// What is to be paid or asked back; an enquiry has none.
    #[serde(flatten)]
    pub amount: Option<Amount>,
    /// When it had arrived.
    pub time: Stamp,
    /// The `traceparent` that it came with, if its trace is sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Box<str>>,
}

impl Received {
    /// The record of `message`, which arrived at `time` with this `traceparent`.
    pub fn new(message: &Inbound, time: Stamp, traceparent: Option<&str>) -> Self {
        let traceparent = traceparent.filter(|own| own.ends_with("-01")).map(Box::from);
        match message {
            Inbound::Payment(payment) => Self {
                message: pacs008::SHAPE.message.into(),
                uetr: payment.references.uetr,
                message_id: payment.references.message_id.clone(),
                original_message_id: None,
                amount: Some(payment.amount),
                time,
                traceparent,
            },
            Inbound::ReturnRequest(request) => Self {
                message: crate::messages::camt056::SHAPE.message.into(),
                uetr: request.original.uetr,
                message_id: request.request_id.clone(),
                original_message_id: None,
                amount: Some(request.amount),
                time,
                traceparent,
            },
            Inbound::Enquiry(enquiry) => Self {
                message: crate::messages::pacs028::SHAPE.message.into(),
                uetr: enquiry.original.uetr,
                message_id: enquiry.message_id.clone(),
                original_message_id: Some(enquiry.original.message_id.clone()),
                amount: None,
                time,
                traceparent,
            },
        }
    }
}

/// What the bank did with one UETR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How the payment is named.
    #[serde(flatten)]
    pub references: References,
    /// What the creditor got; of a refused payment, what he was to get.
    #[serde(flatten)]
    pub amount: Amount,
    /// What the bank says that the payment was about, where that is not the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Amount>,
    /// The creditor's account as the message wrote it.
    pub creditor_account: Box<str>,
    /// When it was decided.
    pub time: Stamp,
    /// Tells a re-send from another payment under the same UETR.
    pub content: Fingerprint,
    /// Whether the same payment was credited before, which no bank should do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Why it was refused; none: it was credited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Box<Reason>>,
}

impl Entry {
    /// What the bank says that the payment was about.
    pub fn reported(&self) -> Amount {
        self.reported.unwrap_or(self.amount)
    }
}

/// What the bank did with one return request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnEntry {
    /// `CxlId`.
    pub request_id: Box<str>,
    /// The payment that the money came with, as the request names it.
    #[serde(flatten)]
    pub original: References,
    /// What was asked back, and once it is returned, given back.
    #[serde(flatten)]
    pub amount: Amount,
    /// What the payment was about, as the request says.
    pub original_amount: Amount,
    /// BIC of who asks.
    pub assigner: Box<str>,
    /// When this was decided, or put off.
    pub time: Stamp,
    /// Tells a re-send from another request under the same id.
    pub content: Fingerprint,
    /// When it is decided; only of what is undecided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Stamp>,
    /// Why it was refused, or, of what is undecided, will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Box<Reason>>,
}

impl ReturnEntry {
    /// What becomes of `request`.
    pub fn new(request: &ReturnRequest, rejection: Option<Reason>, due: Option<Stamp>, time: Stamp) -> Self {
        Self {
            request_id: request.request_id.clone(),
            original: request.original.clone(),
            amount: request.amount,
            original_amount: request.original_amount,
            assigner: request.assigner.clone(),
            time,
            content: request.fingerprint,
            due,
            rejection: rejection.map(Box::new),
        }
    }

    /// What it is in the file.
    pub fn into_record(self) -> Record {
        match (&self.due, &self.rejection) {
            (Some(_), _) => Record::ReturnUndecided(self),
            (None, Some(_)) => Record::ReturnRefused(self),
            (None, None) => Record::Returned(self),
        }
    }
}

/// Something that the bank says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The message's name, e.g. `pacs.002.001.10`.
    pub message: Box<str>,
    /// The bank's own id of it.
    pub answer_id: Box<str>,
    /// The UETR that it names.
    pub uetr: Uuid,
    /// `OrgnlMsgId`.
    pub message_id: Box<str>,
    /// The return request that it is about, where it carries its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
    /// `TxSts` or `Conf`; a pacs.004 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<str>>,
    /// The reason's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// The amount that it tells.
    #[serde(flatten)]
    pub amount: Option<Amount>,
    /// When it was written.
    pub time: Stamp,
}

impl Said {
    /// The record of `answer` under `header`.
    pub fn new(answer: &Answer, header: &Header) -> Self {
        Self {
            message: answer.message().into(),
            answer_id: header.message_id.as_str().into(),
            uetr: answer.original().uetr,
            message_id: answer.original().message_id.clone(),
            request_id: answer.request_id().map(Into::into),
            status: answer.status().map(Into::into),
            code: answer.code().map(Into::into),
            amount: answer.amount(),
            time: header.created_at,
        }
    }
}

/// How a notice was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeAnswered {
    /// The bank's own id of the notice.
    pub answer_id: Box<str>,
    /// The UETR that it names.
    pub uetr: Uuid,
    /// 200 if it was taken, 400 to 499 if it was refused.
    pub http_status: u16,
    /// When the answer came.
    pub time: Stamp,
}

/// A loss of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// What was decided at this time or later is forgotten.
    pub forgotten_since: Stamp,
    /// When it was forgotten.
    pub time: Stamp,
}
