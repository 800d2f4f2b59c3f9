//! The three messages of the bank profile, as this bank reads and writes them.

pub mod amount;
pub mod pacs002;
pub mod pacs008;
pub mod pacs028;

use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::{Uuid, Variant};

use crate::fields::Fields;
use crate::gate::{self, Unreadable, unreadable};
use pacs008::Payment;
use pacs028::Enquiry;

/// Longest reference (`Max35Text`).
const MAX_REFERENCE: usize = 35;

/// A message that the bank takes.
#[derive(Debug)]
pub enum Inbound {
    /// A pacs.008: pay one creditor.
    Payment(Payment),
    /// A pacs.028: what became of a payment?
    Enquiry(Enquiry),
}

/// Reads a body through the gate and into a message.
pub fn read(body: &[u8]) -> Result<Inbound, Unreadable> {
    let fields = gate::read(body, &[&pacs008::SHAPE, &pacs028::SHAPE])?;
    if fields.shape().message == pacs008::SHAPE.message {
        Payment::read(&fields).map(Inbound::Payment)
    } else {
        Enquiry::read(&fields).map(Inbound::Enquiry)
    }
}

/// How a payment is named. `InstrId` and `TxId` equal the message id in this profile, so they are not kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Why a payment was not credited: a code of the external status reason list and words for a person.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// At most four characters; absent only when a script asks for a rejection without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// Additional information, at most 105 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Box<str>>,
}

impl Reason {
    /// A reason that the bank gives of its own accord.
    pub fn new(code: Code, text: &str) -> Self {
        Self { code: Some(code.as_str().into()), text: Some(text.into()) }
    }
}

/// Every reason code that the bank emits without being scripted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The creditor's account is not one of this bank's.
    UnknownCreditorAccount,
    /// The enquired payment never arrived.
    NeverReceived,
    /// The amount is zero.
    ZeroAmount,
    /// The bank does not keep accounts in this currency.
    UnsupportedCurrency,
    /// The settlement date does not follow from the acceptance time.
    InvalidDate,
    /// The UETR or the message id was used for something else.
    Duplicate,
    /// The creditor's agent is another bank.
    NotThisBank,
    /// The payment arrived after its validity.
    TooLate,
}

impl Code {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Self; 8] = [
        Self::UnknownCreditorAccount,
        Self::NeverReceived,
        Self::ZeroAmount,
        Self::UnsupportedCurrency,
        Self::InvalidDate,
        Self::Duplicate,
        Self::NotThisBank,
        Self::TooLate,
    ];

    /// The code as it stands in a message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownCreditorAccount => "AC03",
            Self::NeverReceived => "AG09",
            Self::ZeroAmount => "AM01",
            Self::UnsupportedCurrency => "AM03",
            Self::InvalidDate => "DT01",
            Self::Duplicate => "DUPL",
            Self::NotThisBank => "RC04",
            Self::TooLate => "TM01",
        }
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

fn read_time(fields: &Fields, path: &str) -> Result<OffsetDateTime, Unreadable> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    match PrimitiveDateTime::parse(fields.required(path, 24)?, &format) {
        Ok(time) => Ok(time.assume_utc()),
        Err(_) => unreadable(format!("{path} is not a UTC time with milliseconds and Z")),
    }
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

/// A time as the profile writes it: UTC, milliseconds, `Z`.
#[derive(Debug, Clone, Copy)]
pub struct Stamp(pub OffsetDateTime);

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        write!(f, "{:04}-{:02}-{:02}T", date.year(), u8::from(date.month()), date.day())?;
        write!(f, "{:02}:{:02}:{:02}.{:03}Z", time.hour(), time.minute(), time.second(), time.millisecond())
    }
}

/// The payment of the sample order `number`, for tests.
#[cfg(test)]
pub fn sample(number: u64) -> Payment {
    match read(crate::sample::Order::new(number).payment_xml().as_bytes()) {
        Ok(Inbound::Payment(payment)) => payment,
        other => panic!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn every_code_that_the_bank_emits_is_on_the_external_list() {
        let list: serde_json::Value =
            serde_json::from_str(include_str!("../iso20022/codes/status_reason.json")).unwrap();
        for code in Code::ALL {
            assert!(list["codes"].get(code.as_str()).is_some(), "{code:?}");
        }
    }
}
