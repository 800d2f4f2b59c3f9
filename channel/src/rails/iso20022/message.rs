//! What all messages to banks have in common.

use std::time::SystemTime;

use common::{bic::Bic, money::Money};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::xml::XmlWriter;

/// The two ends of a conversation.
#[derive(Debug, Clone)]
pub struct Correspondents {
    /// Who sends: the instructing agent, and the debtor's.
    pub sender: Bic,
    /// The bank: the instructed agent, and the creditor's.
    pub bank: Bic,
}

const DATE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// `ISODateTime` in UTC, with milliseconds. Formatting can't fail: no instruction's time is later than the year 9999.
pub(super) fn date_time(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(DATE_TIME).unwrap_or_default()
}

/// `ISODate` in UTC.
pub(super) fn date(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(DATE).unwrap_or_default()
}

/// An agent, identified by its BIC.
pub(super) fn agent(xml: &mut XmlWriter, name: &str, bic: &Bic) {
    xml.element(name, |xml| xml.element("FinInstnId", |xml| xml.text("BICFI", bic.as_str())));
}

/// An amount with its currency.
pub(super) fn money(xml: &mut XmlWriter, name: &str, amount: Money) {
    xml.text_with(name, "Ccy", amount.currency().code(), &amount.to_decimal());
}
