//! pacs.008.001.08, a customer credit transfer: pay one creditor.

use time::{Date, OffsetDateTime};

use super::amount::Amount;
use super::{References, read_amount, read_bic, read_date, read_time};
use crate::fields::{Fields, Fingerprint, Shape};
use crate::gate::{Unreadable, unreadable};

/// The longest name of a party.
const MAX_NAME: usize = 140;
/// The longest account that is not an IBAN.
const MAX_OTHER_ACCOUNT: usize = 34;

/// What this bank reads of the message. `RmtInf/Ustrd` may repeat and is content only, so it is not listed.
pub static SHAPE: Shape = Shape {
    message: "pacs.008.001.08",
    root: "FIToFICstmrCdtTrf",
    groups: &[
        "CdtTrfTxInf",
        "CdtTrfTxInf/Cdtr",
        "CdtTrfTxInf/CdtrAcct",
        "CdtTrfTxInf/CdtrAcct/Id",
        "CdtTrfTxInf/CdtrAcct/Id/Othr",
        "CdtTrfTxInf/CdtrAgt",
        "CdtTrfTxInf/CdtrAgt/FinInstnId",
        "CdtTrfTxInf/Dbtr",
        "CdtTrfTxInf/DbtrAcct",
        "CdtTrfTxInf/DbtrAcct/Id",
        "CdtTrfTxInf/DbtrAcct/Id/Othr",
        "CdtTrfTxInf/DbtrAgt",
        "CdtTrfTxInf/DbtrAgt/FinInstnId",
        "CdtTrfTxInf/InstdAgt",
        "CdtTrfTxInf/InstdAgt/FinInstnId",
        "CdtTrfTxInf/InstgAgt",
        "CdtTrfTxInf/InstgAgt/FinInstnId",
        "CdtTrfTxInf/PmtId",
        "CdtTrfTxInf/RmtInf",
        "GrpHdr",
        "GrpHdr/SttlmInf",
    ],
    leaves: &[
        "CdtTrfTxInf/AccptncDtTm",
        "CdtTrfTxInf/Cdtr/Nm",
        "CdtTrfTxInf/CdtrAcct/Id/IBAN",
        "CdtTrfTxInf/CdtrAcct/Id/Othr/Id",
        "CdtTrfTxInf/CdtrAgt/FinInstnId/BICFI",
        "CdtTrfTxInf/ChrgBr",
        "CdtTrfTxInf/Dbtr/Nm",
        "CdtTrfTxInf/DbtrAcct/Id/IBAN",
        "CdtTrfTxInf/DbtrAcct/Id/Othr/Id",
        "CdtTrfTxInf/DbtrAgt/FinInstnId/BICFI",
        "CdtTrfTxInf/InstdAgt/FinInstnId/BICFI",
        "CdtTrfTxInf/InstgAgt/FinInstnId/BICFI",
        "CdtTrfTxInf/IntrBkSttlmAmt",
        "CdtTrfTxInf/IntrBkSttlmAmt@Ccy",
        "CdtTrfTxInf/IntrBkSttlmDt",
        "CdtTrfTxInf/PmtId/EndToEndId",
        "CdtTrfTxInf/PmtId/InstrId",
        "CdtTrfTxInf/PmtId/TxId",
        "CdtTrfTxInf/PmtId/UETR",
        "GrpHdr/CreDtTm",
        "GrpHdr/MsgId",
        "GrpHdr/NbOfTxs",
        "GrpHdr/SttlmInf/SttlmMtd",
    ],
    // A re-send is a new message about the same payment; the profile keeps only its references and times.
    volatile: &["GrpHdr/CreDtTm"],
};

/// A readable instruction to pay. That it can be read says nothing of whether the bank will pay.
#[derive(Debug, Clone)]
pub struct Payment {
    /// How the payment is named.
    pub references: References,
    /// What the creditor is to receive.
    pub amount: Amount,
    /// The day of settlement.
    pub settlement_date: Date,
    /// When the sender accepted the payer's order; validity runs from here.
    pub accepted_at: OffsetDateTime,
    /// BIC of the bank that keeps the creditor's account.
    pub creditor_agent: Box<str>,
    /// Where the money goes.
    pub creditor_account: Account,
    /// Equal for a re-send, different for any other payment.
    pub fingerprint: Fingerprint,
}

impl Payment {
    /// Reads a payment out of fields of [`SHAPE`], checking form and the values that the profile fixes.
    pub fn read(fields: &Fields) -> Result<Self, Unreadable> {
        let references = References::read(
            fields,
            [
                "GrpHdr/MsgId",
                "CdtTrfTxInf/PmtId/InstrId",
                "CdtTrfTxInf/PmtId/EndToEndId",
                "CdtTrfTxInf/PmtId/TxId",
                "CdtTrfTxInf/PmtId/UETR",
            ],
        )?;
        read_time(fields, "GrpHdr/CreDtTm")?;
        fields.fixed("GrpHdr/NbOfTxs", "1")?;
        fields.fixed("GrpHdr/SttlmInf/SttlmMtd", "CLRG")?;
        fields.fixed("CdtTrfTxInf/ChrgBr", "SLEV")?;
        for agent in ["InstgAgt", "InstdAgt", "DbtrAgt"] {
            read_bic(fields, &format!("CdtTrfTxInf/{agent}/FinInstnId/BICFI"))?;
        }
        fields.required("CdtTrfTxInf/Dbtr/Nm", MAX_NAME)?;
        fields.required("CdtTrfTxInf/Cdtr/Nm", MAX_NAME)?;
        Account::read(fields, "CdtTrfTxInf/DbtrAcct/Id/IBAN", "CdtTrfTxInf/DbtrAcct/Id/Othr/Id")?;
        Ok(Self {
            references,
            amount: read_amount(fields, "CdtTrfTxInf/IntrBkSttlmAmt")?,
            settlement_date: read_date(fields, "CdtTrfTxInf/IntrBkSttlmDt")?,
            accepted_at: read_time(fields, "CdtTrfTxInf/AccptncDtTm")?,
            creditor_agent: read_bic(fields, "CdtTrfTxInf/CdtrAgt/FinInstnId/BICFI")?.into(),
            creditor_account: Account::read(
                fields,
                "CdtTrfTxInf/CdtrAcct/Id/IBAN",
                "CdtTrfTxInf/CdtrAcct/Id/Othr/Id",
            )?,
            fingerprint: fields.fingerprint(),
        })
    }
}

/// An account, in one of the two ways that the profile writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// An IBAN of the right form; whether its check digits hold is for the bank to judge.
    Iban(Box<str>),
    /// Any other identification, at most 34 characters.
    Other(Box<str>),
}

impl Account {
    fn read(fields: &Fields, iban: &str, other: &str) -> Result<Self, Unreadable> {
        match (fields.optional(iban), fields.optional(other)) {
            (Some(text), None) if has_iban_form(text) => Ok(Self::Iban(text.into())),
            (Some(_), None) => unreadable(format!("{iban} has not the form of an IBAN")),
            (None, Some(_)) => Ok(Self::Other(fields.required(other, MAX_OTHER_ACCOUNT)?.into())),
            _ => unreadable(format!("either {iban} or {other} must stand")),
        }
    }

    /// The account as it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Iban(text) | Self::Other(text) => text,
        }
    }
}

fn has_iban_form(text: &str) -> bool {
    let bytes = text.as_bytes();
    (5..=34).contains(&bytes.len())
        && bytes.iter().take(2).all(u8::is_ascii_uppercase)
        && bytes.iter().skip(2).take(2).all(u8::is_ascii_digit)
        && bytes.iter().all(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_group_of_a_shape_has_a_bit() {
        for shape in [&super::SHAPE, &crate::messages::pacs028::SHAPE, &crate::messages::camt056::SHAPE] {
            assert!(shape.groups.len() <= 64, "{}", shape.message);
        }
    }
}
