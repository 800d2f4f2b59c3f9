//! pacs.002.001.10, a payment status report: what became of a pacs.008.

use quick_xml::escape::escape;
use time::OffsetDateTime;

use super::amount::Amount;
use super::{Reason, References, Stamp};

/// The longest `AddtlInf`.
pub const MAX_ADDITIONAL_INFORMATION: usize = 105;

/// The `TxSts` values that this bank uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `ACSC`: the creditor is credited.
    Credited,
    /// `PDNG`: still in process.
    Pending,
    /// `RJCT`: not credited, and not going to be.
    Rejected,
}

impl TransactionStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Credited => "ACSC",
            Self::Pending => "PDNG",
            Self::Rejected => "RJCT",
        }
    }
}

/// One report, ready to be written.
#[derive(Debug)]
pub struct Report<'a> {
    /// The bank's own message id.
    pub message_id: &'a str,
    /// When the report is made.
    pub created_at: OffsetDateTime,
    /// The payment that it is about.
    pub original: &'a References,
    /// Its status.
    pub status: TransactionStatus,
    /// Why, when it is rejected.
    pub reason: Option<&'a Reason>,
    /// Its amount, when the bank knows the payment.
    pub amount: Option<Amount>,
}

impl Report<'_> {
    /// The XML document, its elements in the order of the schema.
    pub fn to_xml(&self) -> String {
        let message = escape(&*self.original.message_id);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><FIToFIPmtStsRpt>\
             <GrpHdr><MsgId>{id}</MsgId><CreDtTm>{created}</CreDtTm></GrpHdr><TxInfAndSts>\
             <OrgnlGrpInf><OrgnlMsgId>{message}</OrgnlMsgId>\
             <OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInf>\
             <OrgnlInstrId>{message}</OrgnlInstrId><OrgnlEndToEndId>{end_to_end}</OrgnlEndToEndId>\
             <OrgnlTxId>{message}</OrgnlTxId><OrgnlUETR>{uetr}</OrgnlUETR>\
             <TxSts>{status}</TxSts>{reason}{amount}</TxInfAndSts></FIToFIPmtStsRpt></Document>",
            id = self.message_id,
            created = Stamp(self.created_at),
            end_to_end = escape(&*self.original.end_to_end_id),
            uetr = self.original.uetr.hyphenated(),
            status = self.status.as_str(),
            reason = self.reason.map(reason_xml).unwrap_or_default(),
            amount = self.amount.map(amount_xml).unwrap_or_default(),
        )
    }
}

fn reason_xml(reason: &Reason) -> String {
    let code = reason.code.as_deref().map(|code| format!("<Rsn><Cd>{}</Cd></Rsn>", escape(code)));
    let text = reason.text.as_deref().map(|text| format!("<AddtlInf>{}</AddtlInf>", escape(text)));
    if code.is_none() && text.is_none() {
        return String::new();
    }
    format!("<StsRsnInf>{}{}</StsRsnInf>", code.unwrap_or_default(), text.unwrap_or_default())
}

fn amount_xml(amount: Amount) -> String {
    let currency = amount.currency;
    format!("<OrgnlTxRef><IntrBkSttlmAmt Ccy=\"{currency}\">{amount}</IntrBkSttlmAmt></OrgnlTxRef>")
}
