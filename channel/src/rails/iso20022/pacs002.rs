//! pacs.002.001.10: what became of a payment or of a return request, as far as its reader needs to know.

use super::{
    answer::{
        Amount, AmountKind, Reason, Reference, amount, message, message_id, reasons, references, text_of,
        words,
    },
    gate::{self, Element, Schema, Unreadable},
};

/// What its elements may be.
pub const SCHEMA: Schema = Schema {
    namespace: "urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10",
    repeatable: &["ChrgsInf", "NbOfTxsPerSts", "OrgnlGrpInfAndSts", "StsRsnInf", "TxInfAndSts"],
};

/// A status report on exactly one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// The report's own id (`MsgId`).
    pub message_id: String,
    /// Every reference to the original that the report carries, in the header or with the transaction.
    pub references: Vec<Reference>,
    /// The statuses of the whole message (`GrpSts`).
    pub group_statuses: Vec<String>,
    /// The transaction's status (`TxSts`).
    pub status: Option<String>,
    /// Why (`StsRsnInf`), in order.
    pub reasons: Vec<Reason>,
    /// The bank's words (`AddtlInf`).
    pub words: String,
    /// The original's amount (`IntrBkSttlmAmt`).
    pub amount: Option<Amount>,
}

impl StatusReport {
    /// Reads a report where nothing else is expected.
    ///
    /// # Errors
    /// When the document doesn't pass the gate, or is no report on exactly one transaction.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let (_, document) = gate::read(body, &[&SCHEMA])?;
        Self::from_document(&document)
    }

    /// Reads a report from a document that passed the gate.
    pub(super) fn from_document(document: &Element) -> Result<Self, Unreadable> {
        let report = message(document, "FIToFIPmtStsRpt")?;
        let transaction = report.only("TxInfAndSts").ok_or(Unreadable::Missing("TxInfAndSts, or several"))?;
        let groups = || report.children("OrgnlGrpInfAndSts");
        let given = || transaction.children("StsRsnInf");
        Ok(Self {
            message_id: message_id(report.child("GrpHdr"), "MsgId")?,
            references: references(groups().chain(transaction.child("OrgnlGrpInf")).chain([transaction])),
            group_statuses: groups().filter_map(|group| text_of(group, "GrpSts")).collect(),
            status: text_of(transaction, "TxSts"),
            reasons: reasons(given()),
            words: words(given()),
            amount: amount(transaction.child("OrgnlTxRef"), "IntrBkSttlmAmt", AmountKind::Original),
        })
    }
}
