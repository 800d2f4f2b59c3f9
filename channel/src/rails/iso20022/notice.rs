//! What a bank says unasked: a pacs.002, read without knowing what was sent.

use common::money::{Currency, Money};
use proto::channel::{self as wire, notice, outcome};
use uuid::Uuid;

use super::{
    answer::{Amount, Reference},
    gate::Unreadable,
    pacs002::StatusReport,
    pacs008, verdict,
};

/// The longest message id or reference (`Max35Text`).
const MAX_REFERENCE_CHARS: usize = 35;

/// Why a report is no notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoNotice {
    /// It can't be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It can be about nothing that the channel has ever sent, or contradicts itself.
    #[error("{0} is not what was sent")]
    Contradiction(&'static str),
    /// It can be read, and what it says can't be.
    #[error("{0}")]
    Invalid(String),
}

/// What is named of the instruction that a message is about.
pub(super) struct Original {
    pub(super) message_id: String,
    pub(super) uetr: Option<String>,
    pub(super) end_to_end_id: Option<String>,
}

impl Original {
    /// What these references name: one credit transfer.
    pub(super) fn named_by(references: &[Reference]) -> Result<Self, NoNotice> {
        let message_id = the_one(references, "OrgnlMsgId", is_reference)?;
        let message_id = message_id.ok_or(Unreadable::Missing("OrgnlMsgId"))?;
        for name in ["OrgnlInstrId", "OrgnlTxId"] {
            the_one(references, name, |id| id == message_id)?;
        }
        the_one(references, "OrgnlMsgNmId", |name| name == pacs008::NAME)?;
        let uetr = the_one(references, "OrgnlUETR", |uetr| {
            Uuid::try_parse(uetr).is_ok_and(|read| read.hyphenated().to_string() == uetr)
        })?;
        let end_to_end_id = the_one(references, "OrgnlEndToEndId", is_reference)?;
        let [uetr, end_to_end_id] = [uetr, end_to_end_id].map(|found| found.map(str::to_owned));
        Ok(Self { message_id: message_id.to_owned(), uetr, end_to_end_id })
    }
}

/// Reads a report that a bank sent unasked; the notice has neither id nor trace yet. Whether it is about a payment, and
/// agrees with it, is for the platform to say.
///
/// # Errors
/// When it is no readable report on one payment, or can't be about any.
pub fn read(bank_id: &str, body: &[u8]) -> Result<wire::Notice, NoNotice> {
    let report = StatusReport::read(body)?;
    let original = Original::named_by(&report.references)?;
    Ok(wire::Notice {
        notice_id: 0,
        traceparent: String::new(),
        bank_id: bank_id.to_owned(),
        message_id: original.message_id,
        uetr: original.uetr.unwrap_or_default(),
        end_to_end_id: original.end_to_end_id.unwrap_or_default(),
        amount: report.amount.as_ref().map(money).transpose()?,
        bank_message: super::kept(body.to_vec()),
        verdict: Some(match verdict::unasked(&report) {
            outcome::Verdict::Accepted(accepted) => notice::Verdict::Accepted(accepted),
            outcome::Verdict::Rejected(rejected) => notice::Verdict::Rejected(rejected),
            outcome::Verdict::Unknown(unknown) => notice::Verdict::Unknown(unknown),
            outcome::Verdict::NotSent(_) | outcome::Verdict::NotFound(_) => {
                return Err(NoNotice::Contradiction("TxSts"));
            }
        }),
    })
}

/// What the report says under a name, wherever it does: always the same, and something that can have been sent.
fn the_one<'a>(
    references: &'a [Reference],
    name: &'static str,
    can_be_sent: impl Fn(&str) -> bool,
) -> Result<Option<&'a str>, NoNotice> {
    let mut values = references.iter().filter(|reference| reference.name == name).map(|found| &*found.value);
    let first = values.next();
    if values.any(|other| Some(other) != first) || first.is_some_and(|value| !can_be_sent(value)) {
        return Err(NoNotice::Contradiction(name));
    }
    Ok(first)
}

fn is_reference(text: &str) -> bool {
    (1..=MAX_REFERENCE_CHARS).contains(&text.chars().count())
}

pub(super) fn money(amount: &Amount) -> Result<proto::money::Money, Unreadable> {
    let currency = Currency::parse(&amount.currency);
    let money = currency.and_then(|currency| Money::from_decimal(&amount.number, currency));
    let money = money.ok_or(Unreadable::Amount)?;
    Ok(proto::money::Money { minor_units: money.minor_units(), currency: money.currency().to_string() })
}

#[cfg(test)]
pub(crate) mod tests;
