//! pacs.004.001.09: money is given back, as far as its reader needs to know.

use super::{
    answer::{Amount, AmountKind, Reference, amount, message, message_id, references, text_of},
    gate::{Element, Schema, Unreadable},
};

/// The namespace of its elements.
pub const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pacs.004.001.09";

/// What its elements may be.
pub const SCHEMA: Schema =
    Schema { namespace: NAMESPACE, repeatable: &["Authstn", "ChrgsInf", "RtrRsnInf", "TxInf"] };

/// A return of exactly one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentReturn {
    /// The return's own id (`MsgId`).
    pub message_id: String,
    /// Every reference that it carries: to the credit transfer, and to the request (`RtrId`).
    pub references: Vec<Reference>,
    /// Every amount that it names, of the credit transfer and of what is given back; `RtrdIntrBkSttlmAmt` among them.
    pub amounts: Vec<Amount>,
}

impl PaymentReturn {
    /// Reads a return from a document that passed the gate.
    pub(super) fn from_document(document: &Element) -> Result<Self, Unreadable> {
        let returned = message(document, "PmtRtr")?;
        let header = returned.child("GrpHdr");
        if header.and_then(|header| text_of(header, "NbOfTxs")).as_deref() != Some("1") {
            return Err(Unreadable::Missing("NbOfTxs of 1"));
        }
        let transaction = returned.only("TxInf").ok_or(Unreadable::Missing("TxInf, or several"))?;
        let given_back = amount(Some(transaction), "RtrdIntrBkSttlmAmt", AmountKind::AskedBack);
        let given_back = given_back.ok_or(Unreadable::Missing("RtrdIntrBkSttlmAmt"))?;
        let others = [
            amount(header, "TtlRtrdIntrBkSttlmAmt", AmountKind::AskedBack),
            amount(Some(transaction), "OrgnlIntrBkSttlmAmt", AmountKind::Original),
            amount(transaction.child("OrgnlTxRef"), "IntrBkSttlmAmt", AmountKind::Original),
        ];
        let groups = returned.child("OrgnlGrpInf").into_iter().chain(transaction.child("OrgnlGrpInf"));
        Ok(Self {
            message_id: message_id(header, "MsgId")?,
            references: references(groups.chain([transaction])),
            amounts: [given_back].into_iter().chain(others.into_iter().flatten()).collect(),
        })
    }
}
