//! pacs.004.001.09, a payment return: what a camt.056 asked for is given back.

use quick_xml::escape::escape;

use super::References;
use super::amount::Amount;
use super::answer::Header;

/// The message's name.
pub const MESSAGE: &str = "pacs.004.001.09";
/// `RtrRsnInf/Rsn/Cd`: following a cancellation request.
pub const REASON: &str = "FOCR";

/// One return.
#[derive(Debug, Clone)]
pub struct PaymentReturn {
    /// `RtrId`: the id of the request that it answers.
    pub request_id: Box<str>,
    /// The payment that the money came with.
    pub original: References,
    /// What that payment was about.
    pub original_amount: Amount,
    /// What is given back.
    pub amount: Amount,
}

impl PaymentReturn {
    /// The XML document, its elements in the order of the schema.
    pub fn to_xml(&self, header: &Header) -> String {
        let message = escape(&*self.original.message_id);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.004.001.09\"><PmtRtr>\
             <GrpHdr><MsgId>{id}</MsgId><CreDtTm>{created}</CreDtTm><NbOfTxs>1</NbOfTxs>\
             <SttlmInf><SttlmMtd>CLRG</SttlmMtd></SttlmInf></GrpHdr>\
             <TxInf><RtrId>{request}</RtrId>\
             <OrgnlGrpInf><OrgnlMsgId>{message}</OrgnlMsgId>\
             <OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInf>\
             <OrgnlEndToEndId>{end_to_end}</OrgnlEndToEndId><OrgnlTxId>{message}</OrgnlTxId>\
             <OrgnlUETR>{uetr}</OrgnlUETR>\
             <OrgnlIntrBkSttlmAmt Ccy=\"{original_currency}\">{original}</OrgnlIntrBkSttlmAmt>\
             <RtrdIntrBkSttlmAmt Ccy=\"{currency}\">{amount}</RtrdIntrBkSttlmAmt>\
             <RtrRsnInf><Rsn><Cd>{REASON}</Cd></Rsn></RtrRsnInf></TxInf></PmtRtr></Document>",
            id = header.message_id,
            created = header.created_at,
            request = escape(&*self.request_id),
            end_to_end = escape(&*self.original.end_to_end_id),
            uetr = self.original.uetr.hyphenated(),
            original_currency = self.original_amount.currency,
            original = self.original_amount,
            currency = self.amount.currency,
            amount = self.amount,
        )
    }
}
