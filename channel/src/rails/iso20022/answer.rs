//! What a bank may answer with, and what its messages have in common.

use super::{
    camt029::{self, Resolution},
    gate::{self, Element, Unreadable},
    pacs002::{self, StatusReport},
    pacs004::{self, PaymentReturn},
};

/// How much of the bank's own words is kept.
const MAX_WORDS_CHARS: usize = 350;

/// An answer of a bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// pacs.002: a status.
    Status(StatusReport),
    /// pacs.004: money is given back.
    Return(PaymentReturn),
    /// camt.029: it is not, or not yet.
    Resolution(Resolution),
}

/// Something of what was sent that the answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The element's name, e.g. `OrgnlUETR`.
    pub name: &'static str,
    /// What it says.
    pub value: String,
}

/// An amount as it stands in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// The element's name, e.g. `IntrBkSttlmAmt`.
    pub name: &'static str,
    /// What it is an amount of.
    pub kind: AmountKind,
    /// The number.
    pub number: String,
    /// The currency (`Ccy`).
    pub currency: String,
}

/// What an amount is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountKind {
    /// The credit transfer.
    Original,
    /// What was asked back of it.
    AskedBack,
}

/// Why a bank gave a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The code (`Rsn/Cd`); none if the bank used one of its own or no code.
    pub code: Option<String>,
}

impl Answer {
    /// Reads an answer, whichever message it is.
    ///
    /// # Errors
    /// When the document doesn't pass the gate, or is not about exactly one transaction.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let schemas = [&pacs002::SCHEMA, &pacs004::SCHEMA, &camt029::SCHEMA];
        let (schema, document) = gate::read(body, &schemas)?;
        match schema.namespace {
            pacs004::NAMESPACE => PaymentReturn::from_document(&document).map(Self::Return),
            camt029::NAMESPACE => Resolution::from_document(&document).map(Self::Resolution),
            _ => StatusReport::from_document(&document).map(Self::Status),
        }
    }
}

/// The message inside of a document.
pub(super) fn message<'a>(document: &'a Element, name: &'static str) -> Result<&'a Element, Unreadable> {
    if document.name() != "Document" {
        return Err(Unreadable::Missing("Document"));
    }
    document.child(name).ok_or(Unreadable::Missing(name))
}

/// The bank's id of its message, which stands once in `header`.
pub(super) fn message_id(header: Option<&Element>, name: &'static str) -> Result<String, Unreadable> {
    let id = header.and_then(|header| header.only(name)).map(Element::text);
    let id = id.filter(|id| (1..=35).contains(&id.chars().count()));
    id.map(str::to_owned).ok_or(Unreadable::Missing("id of at most 35 characters of its own"))
}

/// The text of a child.
pub(super) fn text_of(element: &Element, name: &str) -> Option<String> {
    element.child(name).map(|child| child.text().to_owned())
}

/// Every reference that the elements carry.
pub(super) fn references<'a>(carriers: impl Iterator<Item = &'a Element>) -> Vec<Reference> {
    const NAMES: [&str; 8] = [
        "OrgnlMsgId",
        "OrgnlMsgNmId",
        "OrgnlInstrId",
        "OrgnlEndToEndId",
        "OrgnlTxId",
        "OrgnlUETR",
        "RtrId",
        "CxlStsId",
    ];
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

/// The amount that stands in a child, if it does.
pub(super) fn amount(element: Option<&Element>, name: &'static str, kind: AmountKind) -> Option<Amount> {
    element.and_then(|element| element.child(name)).map(|amount| Amount {
        name,
        kind,
        number: amount.text().to_owned(),
        currency: amount.attribute("Ccy").unwrap_or_default().to_owned(),
    })
}

/// The codes of reasons, in order.
pub(super) fn reasons<'a>(reasons: impl Iterator<Item = &'a Element>) -> Vec<Reason> {
    reasons.map(|reason| Reason { code: reason.child("Rsn").and_then(|code| text_of(code, "Cd")) }).collect()
}

/// The bank's words beside its reasons.
pub(super) fn words<'a>(reasons: impl Iterator<Item = &'a Element>) -> String {
    let texts: Vec<&str> =
        reasons.flat_map(|reason| reason.children("AddtlInf").map(Element::text)).collect();
    texts.join(" ").chars().take(MAX_WORDS_CHARS).collect()
}
