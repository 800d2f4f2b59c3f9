//! pacs.002.001.10, a payment status report: what became of a pacs.008, or that a camt.056 was never received.

use quick_xml::escape::escape;

use super::References;
use super::amount::Amount;
use super::answer::Header;
use super::reason::{Code, Reason};

/// The message's name.
pub const MESSAGE: &str = "pacs.002.001.10";
/// The longest `AddtlInf`.
pub const MAX_ADDITIONAL_INFORMATION: usize = 105;
/// `TxSts`: the creditor is credited.
pub const CREDITED: &str = "ACSC";
/// `TxSts`: still in process.
pub const PENDING: &str = "PDNG";
/// `TxSts`: not credited, and not going to be.
pub const REJECTED: &str = "RJCT";

/// One report.
#[derive(Debug, Clone)]
pub struct Report {
    /// The name of the message that it is about.
    pub original_message: &'static str,
    /// The references of that message.
    pub original: References,
    /// `TxSts`; anything of 1 to 4 characters when a script asks for it.
    pub status: Box<str>,
    /// Why, when it is rejected.
    pub reason: Option<Reason>,
    /// Its amount, when the bank knows the payment.
    pub amount: Option<Amount>,
}

impl Report {
    /// Says of a message of that name that it never arrived.
    pub fn never_received(message: &'static str, original: &References) -> Self {
        Self {
            original_message: message,
            original: original.clone(),
            status: REJECTED.into(),
            reason: Some(Reason::new(Code::NeverReceived, "it was never received")),
            amount: None,
        }
    }

    /// The XML document, its elements in the order of the schema.
    pub fn to_xml(&self, header: &Header) -> String {
        let message = escape(&*self.original.message_id);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><FIToFIPmtStsRpt>\
             <GrpHdr><MsgId>{id}</MsgId><CreDtTm>{created}</CreDtTm></GrpHdr><TxInfAndSts>\
             <OrgnlGrpInf><OrgnlMsgId>{message}</OrgnlMsgId>\
             <OrgnlMsgNmId>{name}</OrgnlMsgNmId></OrgnlGrpInf>\
             <OrgnlInstrId>{message}</OrgnlInstrId><OrgnlEndToEndId>{end_to_end}</OrgnlEndToEndId>\
             <OrgnlTxId>{message}</OrgnlTxId><OrgnlUETR>{uetr}</OrgnlUETR>\
             <TxSts>{status}</TxSts>{reason}{amount}</TxInfAndSts></FIToFIPmtStsRpt></Document>",
            id = header.message_id,
            created = header.created_at,
            name = self.original_message,
            end_to_end = escape(&*self.original.end_to_end_id),
            uetr = self.original.uetr.hyphenated(),
            status = escape(&*self.status),
            reason = self.reason.as_ref().map(|reason| reason.to_xml("StsRsnInf")).unwrap_or_default(),
            amount = self.amount.map(amount_xml).unwrap_or_default(),
        )
    }
}

fn amount_xml(amount: Amount) -> String {
    let currency = amount.currency;
    format!("<OrgnlTxRef><IntrBkSttlmAmt Ccy=\"{currency}\">{amount}</IntrBkSttlmAmt></OrgnlTxRef>")
}
