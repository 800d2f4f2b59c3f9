//! pacs.002.001.10: what became of a payment or of a return request, as far as its reader needs to know; and the one that we write, to a
//! bank that has paid an account here.

use std::time::SystemTime;

use proto::channel::{self as wire, notice_receipt::Verdict};
use uuid::Uuid;

use super::{
    answer::{
        Amount, AmountKind, Reason, Reference, amount, message, message_id, reasons, references, text_of,
        words,
    },
    codes::NEVER_RECEIVED,
    gate::{self, Element, Schema, Unreadable},
    message::date_time,
    pacs008,
    xml::XmlWriter,
};

/// What its elements may be.
pub const SCHEMA: Schema = Schema {
    namespace: "urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10",
    repeatable: &["ChrgsInf", "NbOfTxsPerSts", "OrgnlGrpInfAndSts", "StsRsnInf", "TxInfAndSts"],
};

/// The longest words beside a reason (`Max105Text`).
const MAX_WORDS_CHARS: usize = 105;

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

/// Writes what became of the credit transfer that `about` is, or asks about.
pub fn document(about: &wire::Instruction, verdict: &Verdict, created: SystemTime) -> String {
    let (message_id, status, reason) = match verdict {
        Verdict::Accepted(accepted) => (accepted.bank_message_id.as_str(), "ACCC", None),
        Verdict::Rejected(rejected) => {
            let reason = (rejected.iso_code.as_str(), rejected.text.as_str());
            (rejected.bank_message_id.as_str(), "RJCT", Some(reason))
        }
        Verdict::NotFound(not_found) => {
            (not_found.bank_message_id.as_str(), "RJCT", Some((NEVER_RECEIVED, "")))
        }
        Verdict::Unknown(_) => ("", "PDNG", None),
    };
    // What is said once of a transfer has one id for ever; what may change has one of its own each time.
    let message_id = match message_id {
        "" => Uuid::new_v4().simple().to_string(),
        lasting => lasting.to_owned(),
    };
    XmlWriter::document("pacs.002.001.10", |xml| {
        xml.element("FIToFIPmtStsRpt", |xml| {
            xml.element("GrpHdr", |xml| {
                xml.text("MsgId", &message_id);
                xml.text("CreDtTm", &date_time(created));
            });
            xml.element("TxInfAndSts", |xml| {
                xml.element("OrgnlGrpInf", |xml| {
                    xml.text("OrgnlMsgId", &about.message_id);
                    xml.text("OrgnlMsgNmId", pacs008::NAME);
                });
                if !about.end_to_end_id.is_empty() {
                    xml.text("OrgnlEndToEndId", &about.end_to_end_id);
                }
                xml.text("OrgnlUETR", &about.uetr);
                xml.text("TxSts", status);
                if let Some((code, text)) = reason {
                    xml.element("StsRsnInf", |xml| {
                        xml.element("Rsn", |xml| xml.text("Cd", code));
                        if !text.is_empty() {
                            xml.text("AddtlInf", &text.chars().take(MAX_WORDS_CHARS).collect::<String>());
                        }
                    });
                }
            });
        });
    })
}
