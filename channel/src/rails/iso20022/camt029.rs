//! camt.029.001.09: what was asked for is not given back, or not yet, as far as its reader needs to know.

use super::{
    answer::{
        Amount, AmountKind, Reason, Reference, amount, message, message_id, reasons, references, text_of,
        words,
    },
    gate::{Element, Schema, Unreadable},
};

/// The namespace of its elements.
pub const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:camt.029.001.09";

/// What its elements may be.
pub const SCHEMA: Schema = Schema {
    namespace: NAMESPACE,
    repeatable: &[
        "Chrgs",
        "CxlDtls",
        "CxlStsRsnInf",
        "ModStsRsnInf",
        "NbOfTxsPerCxlSts",
        "OrgnlPmtInfAndSts",
        "RjctdMod",
        "TxInfAndSts",
    ],
};

/// A resolution about exactly one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The resolution's own id (`Assgnmt/Id`).
    pub message_id: String,
    /// Every reference that it carries: to the credit transfer, and to the request (`CxlStsId`).
    pub references: Vec<Reference>,
    /// What was decided (`Sts/Conf`).
    pub confirmation: Option<String>,
    /// The same, said again for the group (`GrpCxlSts`) or the transaction (`TxCxlSts`).
    pub statuses: Vec<String>,
    /// Why (`CxlStsRsnInf`), in order.
    pub reasons: Vec<Reason>,
    /// The bank's words (`AddtlInf`).
    pub words: String,
    /// Every amount that it names.
    pub amounts: Vec<Amount>,
}

impl Resolution {
    /// Reads a resolution from a document that passed the gate.
    pub(super) fn from_document(document: &Element) -> Result<Self, Unreadable> {
        let resolution = message(document, "RsltnOfInvstgtn")?;
        let details = resolution.only("CxlDtls").ok_or(Unreadable::Missing("CxlDtls, or several"))?;
        if details.child("OrgnlPmtInfAndSts").is_some() {
            return Err(Unreadable::Missing("transaction between banks: OrgnlPmtInfAndSts"));
        }
        let transaction =
            details.only("TxInfAndSts").ok_or(Unreadable::Missing("TxInfAndSts, or several"))?;
        let group = details.child("OrgnlGrpInfAndSts");
        let carriers = || group.into_iter().chain([transaction]);
        let given = || carriers().flat_map(|carrier| carrier.children("CxlStsRsnInf"));
        let statuses =
            [group.and_then(|group| text_of(group, "GrpCxlSts")), text_of(transaction, "TxCxlSts")];
        let amounts = [
            amount(Some(transaction), "OrgnlIntrBkSttlmAmt", AmountKind::AskedBack),
            amount(transaction.child("OrgnlTxRef"), "IntrBkSttlmAmt", AmountKind::Original),
        ];
        Ok(Self {
            message_id: message_id(resolution.child("Assgnmt"), "Id")?,
            references: references(carriers().chain(transaction.child("OrgnlGrpInf"))),
            confirmation: resolution.child("Sts").and_then(|status| text_of(status, "Conf")),
            statuses: statuses.into_iter().flatten().collect(),
            reasons: reasons(given()),
            words: words(given()),
            amounts: amounts.into_iter().flatten().collect(),
        })
    }
}
