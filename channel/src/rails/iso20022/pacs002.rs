//! pacs.002.001.10: what became of a credit transfer, as far as its reader needs to know.

use super::gate::{self, Element, Unreadable};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10";
/// How much of the bank's own words is kept.
const MAX_WORDS_CHARS: usize = 350;

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

/// Something of the original that the report repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The element's name, e.g. `OrgnlUETR`.
    pub name: &'static str,
    /// What it says.
    pub value: String,
}

/// Why a bank gave a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The code (`Rsn/Cd`); none if the bank used one of its own or no code.
    pub code: Option<String>,
}

/// An amount as it stands in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// The number.
    pub number: String,
    /// The currency (`Ccy`).
    pub currency: String,
}

impl StatusReport {
    /// Reads a report.
    ///
    /// # Errors
    /// When the document doesn't pass the gate, or is no report on exactly one transaction.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let document = gate::read(body, NAMESPACE)?;
        if document.name() != "Document" {
            return Err(Unreadable::Missing("Document"));
        }
        let report = document.child("FIToFIPmtStsRpt").ok_or(Unreadable::Missing("FIToFIPmtStsRpt"))?;
        let message_id = report.child("GrpHdr").and_then(|header| header.child("MsgId"));
        let message_id = message_id.map(Element::text).filter(|id| (1..=35).contains(&id.chars().count()));
        let mut transactions = report.children("TxInfAndSts");
        let (Some(transaction), None) = (transactions.next(), transactions.next()) else {
            return Err(Unreadable::Missing("TxInfAndSts, or several"));
        };
        let text_of = |element: &Element, name| element.child(name).map(|child| child.text().to_owned());
        let groups = || report.children("OrgnlGrpInfAndSts");
        let reasons = || transaction.children("StsRsnInf");
        Ok(Self {
            message_id: message_id.ok_or(Unreadable::Missing("MsgId of at most 35 characters"))?.to_owned(),
            references: references(groups().chain(transaction.child("OrgnlGrpInf")).chain([transaction])),
            group_statuses: groups().filter_map(|group| text_of(group, "GrpSts")).collect(),
            status: text_of(transaction, "TxSts"),
            reasons: reasons()
                .map(|reason| Reason { code: reason.child("Rsn").and_then(|code| text_of(code, "Cd")) })
                .collect(),
            words: words(reasons()),
            amount: transaction
                .child("OrgnlTxRef")
                .and_then(|original| original.child("IntrBkSttlmAmt"))
                .map(|amount| Amount {
                    number: amount.text().to_owned(),
                    currency: amount.attribute("Ccy").unwrap_or_default().to_owned(),
                }),
        })
    }
}

fn references<'a>(carriers: impl Iterator<Item = &'a Element>) -> Vec<Reference> {
    const NAMES: [&str; 6] =
        ["OrgnlMsgId", "OrgnlMsgNmId", "OrgnlInstrId", "OrgnlEndToEndId", "OrgnlTxId", "OrgnlUETR"];
    let mut found = Vec::new();
    for carrier in carriers {
        for name in NAMES {
            if let Some(element) = carrier.child(name) {
                found.push(Reference { name, value: element.text().to_owned() });
            }
        }
    }
    found
}

fn words<'a>(reasons: impl Iterator<Item = &'a Element>) -> String {
    let texts: Vec<&str> =
        reasons.flat_map(|reason| reason.children("AddtlInf").map(Element::text)).collect();
    texts.join(" ").chars().take(MAX_WORDS_CHARS).collect()
}
