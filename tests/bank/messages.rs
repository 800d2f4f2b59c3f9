//! The messages of the bank profile, as this bank reads and writes them.

pub mod amount;
pub mod answer;
pub mod camt029;
pub mod camt056;
pub mod pacs002;
pub mod pacs004;
pub mod pacs008;
pub mod pacs028;
pub mod reason;
pub mod stamp;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::{Uuid, Variant};

use crate::fields::Fields;
use crate::gate::{self, Unreadable, unreadable};
use amount::Amount;
use camt056::ReturnRequest;
use pacs008::Payment;
use pacs028::Enquiry;

/// Longest reference (`Max35Text`).
const MAX_REFERENCE: usize = 35;

/// A message that the bank takes.
#[derive(Debug, Clone)]
pub enum Inbound {
    /// A pacs.008: pay one creditor.
    Payment(Payment),
    /// A pacs.028: what became of a payment, or of a return request?
    Enquiry(Enquiry),
    /// A camt.056: give back what a payment brought.
    ReturnRequest(ReturnRequest),
}

/// Reads a body through the gate and into a message.
pub fn read(body: &[u8]) -> Result<Inbound, Unreadable> {
    let fields = gate::read(body, &[&pacs008::SHAPE, &pacs028::SHAPE, &camt056::SHAPE])?;
    if fields.shape().message == pacs008::SHAPE.message {
        Payment::read(&fields).map(Inbound::Payment)
    } else if fields.shape().message == camt056::SHAPE.message {
        ReturnRequest::read(&fields).map(Inbound::ReturnRequest)
    } else {
        Enquiry::read(&fields).map(Inbound::Enquiry)
    }
}

/// How a payment is named. `InstrId` and `TxId` equal the message id in this profile, so they are not kept apart.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct References {
    /// `MsgId` of the pacs.008, which is also its `InstrId` and `TxId`.
    pub message_id: Box<str>,
    /// `EndToEndId`.
    pub end_to_end_id: Box<str>,
    /// `UETR`, a version 4 UUID.
    pub uetr: Uuid,
}

impl References {
    /// Reads references from their places, given in the order message, instruction, end-to-end, transaction, UETR.
    fn read(fields: &Fields, places: [&str; 5]) -> Result<Self, Unreadable> {
        let [message, instruction, end_to_end, transaction, uetr] = places;
        let message_id = fields.required(message, MAX_REFERENCE)?;
        fields.fixed(instruction, message_id)?;
        fields.fixed(transaction, message_id)?;
        Ok(Self {
            message_id: message_id.into(),
            end_to_end_id: fields.required(end_to_end, MAX_REFERENCE)?.into(),
            uetr: read_uetr(fields.required(uetr, 36)?)?,
        })
    }
}

fn read_uetr(text: &str) -> Result<Uuid, Unreadable> {
    match Uuid::try_parse(text) {
        Ok(uuid)
            if uuid.get_version_num() == 4
                && uuid.get_variant() == Variant::RFC4122
                && uuid.hyphenated().to_string() == text =>
        {
            Ok(uuid)
        }
        _ => unreadable("the UETR is not a lower-case UUID of version 4"),
    }
}

/// How the profile writes a time: UTC, milliseconds, `Z`.
const TIME_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

fn read_time(fields: &Fields, path: &str) -> Result<OffsetDateTime, Unreadable> {
    match PrimitiveDateTime::parse(fields.required(path, 24)?, TIME_FORMAT) {
        Ok(time) => Ok(time.assume_utc()),
        Err(_) => unreadable(format!("{path} is not a UTC time with milliseconds and Z")),
    }
}

fn read_date(fields: &Fields, path: &str) -> Result<time::Date, Unreadable> {
    match time::Date::parse(fields.required(path, 10)?, format_description!("[year]-[month]-[day]")) {
        Ok(date) => Ok(date),
        Err(_) => unreadable(format!("{path} is not a date")),
    }
}

/// Reads the amount at `path` with the currency in its attribute.
fn read_amount(fields: &Fields, path: &str) -> Result<Amount, Unreadable> {
    let currency = fields.required(&format!("{path}@Ccy"), 3)?.parse()?;
    Amount::read(fields.required(path, 19)?, currency)
}

fn read_bic<'a>(fields: &'a Fields, path: &str) -> Result<&'a str, Unreadable> {
    let bic = fields.required(path, 11)?;
    if is_bic(bic) { Ok(bic) } else { unreadable(format!("{path} is not a BIC")) }
}

/// Whether `text` has the form of a BIC (ISO 9362): 8 or 11 characters, the country in the fifth and sixth.
pub fn is_bic(text: &str) -> bool {
    let upper_or_digit = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    matches!(text.len(), 8 | 11)
        && text.bytes().skip(4).take(2).all(|b| b.is_ascii_uppercase())
        && text.as_bytes().iter().all(upper_or_digit)
}

/// The payment of the sample order `number`, for tests.
#[cfg(test)]
pub fn sample(number: u64) -> Payment {
    match read(crate::sample::Order::new(number).payment_xml().as_bytes()) {
        Ok(Inbound::Payment(payment)) => payment,
        other => panic!("{other:?}"),
    }
}

/// A request for `amount` (decimal text) of the sample order `number`, for tests.
#[cfg(test)]
pub fn sample_return(number: u64, request_id: &str, amount: &str) -> ReturnRequest {
    let order = crate::sample::Order::new(number);
    match read(order.return_xml(request_id, amount, &order.accepted_at).as_bytes()) {
        Ok(Inbound::ReturnRequest(request)) => request,
        other => panic!("{other:?}"),
    }
}
