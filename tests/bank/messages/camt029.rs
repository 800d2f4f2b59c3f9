//! camt.029.001.09, a resolution of investigation: what a camt.056 asked for is not given back, or not yet.

use quick_xml::escape::escape;

use super::References;
use super::answer::Header;
use super::reason::Reason;

/// The message's name.
pub const MESSAGE: &str = "camt.029.001.09";

/// The `Sts/Conf` values that this bank uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolutionStatus {
    /// `RJCR`: refused for good.
    Refused,
    /// `PDCR`: not decided yet.
    Undecided,
}

impl ResolutionStatus {
    /// The code as it stands in a message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "RJCR",
            Self::Undecided => "PDCR",
        }
    }
}

/// One resolution.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// `CxlStsId`: the id of the request that it answers.
    pub request_id: Box<str>,
    /// The payment that the request is about.
    pub original: References,
    /// Whether it is refused or not decided yet.
    pub status: ResolutionStatus,
    /// Why, when it is refused.
    pub reason: Option<Reason>,
    /// BIC of the bank that answers.
    pub assigner: Box<str>,
    /// BIC of who asked.
    pub assignee: Box<str>,
}

impl Resolution {
    /// The XML document, its elements in the order of the schema.
    pub fn to_xml(&self, header: &Header) -> String {
        let message = escape(&*self.original.message_id);
        let agent = |bic: &str| format!("<Agt><FinInstnId><BICFI>{bic}</BICFI></FinInstnId></Agt>");
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.029.001.09\"><RsltnOfInvstgtn>\
             <Assgnmt><Id>{id}</Id><Assgnr>{assigner}</Assgnr><Assgne>{assignee}</Assgne>\
             <CreDtTm>{created}</CreDtTm></Assgnmt><Sts><Conf>{status}</Conf></Sts>\
             <CxlDtls><TxInfAndSts><CxlStsId>{request}</CxlStsId>\
             <OrgnlGrpInf><OrgnlMsgId>{message}</OrgnlMsgId>\
             <OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInf>\
             <OrgnlEndToEndId>{end_to_end}</OrgnlEndToEndId><OrgnlTxId>{message}</OrgnlTxId>\
             <OrgnlUETR>{uetr}</OrgnlUETR>{reason}</TxInfAndSts></CxlDtls></RsltnOfInvstgtn></Document>",
            id = header.message_id,
            assigner = agent(&self.assigner),
            assignee = agent(&self.assignee),
            created = header.created_at,
            status = self.status.as_str(),
            request = escape(&*self.request_id),
            end_to_end = escape(&*self.original.end_to_end_id),
            uetr = self.original.uetr.hyphenated(),
            reason = self.reason.as_ref().map(|reason| reason.to_xml("CxlStsRsnInf")).unwrap_or_default(),
        )
    }
}
