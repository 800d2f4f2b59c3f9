//! camt.056.001.08, a cancellation request: give back (part of) what an earlier pacs.008 brought.

use time::OffsetDateTime;

use super::amount::Amount;
use super::{MAX_REFERENCE, References, pacs008, read_amount, read_bic, read_date, read_time};
use crate::fields::{Fields, Fingerprint, Shape};
use crate::gate::Unreadable;

/// What this bank reads of the message. `CxlRsnInf/AddtlInf` may repeat and is content only, so it is not listed.
pub static SHAPE: Shape = Shape {
    message: "camt.056.001.08",
    root: "FIToFIPmtCxlReq",
    groups: &[
        "Assgnmt",
        "Assgnmt/Assgne",
        "Assgnmt/Assgne/Agt",
        "Assgnmt/Assgne/Agt/FinInstnId",
        "Assgnmt/Assgnr",
        "Assgnmt/Assgnr/Agt",
        "Assgnmt/Assgnr/Agt/FinInstnId",
        "Undrlyg",
        "Undrlyg/TxInf",
        "Undrlyg/TxInf/CxlRsnInf",
        "Undrlyg/TxInf/CxlRsnInf/Rsn",
        "Undrlyg/TxInf/OrgnlGrpInf",
        "Undrlyg/TxInf/OrgnlTxRef",
    ],
    leaves: &[
        "Assgnmt/Assgne/Agt/FinInstnId/BICFI",
        "Assgnmt/Assgnr/Agt/FinInstnId/BICFI",
        "Assgnmt/CreDtTm",
        "Assgnmt/Id",
        "Undrlyg/TxInf/CxlId",
        "Undrlyg/TxInf/CxlRsnInf/Rsn/Cd",
        "Undrlyg/TxInf/OrgnlEndToEndId",
        "Undrlyg/TxInf/OrgnlGrpInf/OrgnlMsgId",
        "Undrlyg/TxInf/OrgnlGrpInf/OrgnlMsgNmId",
        "Undrlyg/TxInf/OrgnlInstrId",
        "Undrlyg/TxInf/OrgnlIntrBkSttlmAmt",
        "Undrlyg/TxInf/OrgnlIntrBkSttlmAmt@Ccy",
        "Undrlyg/TxInf/OrgnlIntrBkSttlmDt",
        "Undrlyg/TxInf/OrgnlTxId",
        "Undrlyg/TxInf/OrgnlTxRef/IntrBkSttlmAmt",
        "Undrlyg/TxInf/OrgnlTxRef/IntrBkSttlmAmt@Ccy",
        "Undrlyg/TxInf/OrgnlUETR",
    ],
    // The profile lets a re-send change nothing, the creation time included.
    volatile: &[],
};

/// A readable request for a return.
#[derive(Debug, Clone)]
pub struct ReturnRequest {
    /// `CxlId`, which is also `Assgnmt/Id`.
    pub request_id: Box<str>,
    /// The payment that the money came with.
    pub original: References,
    /// What is asked back.
    pub amount: Amount,
    /// What the payment was about, as the sender has it.
    pub original_amount: Amount,
    /// When the request was made; validity runs from here.
    pub created_at: OffsetDateTime,
    /// BIC of who asks.
    pub assigner: Box<str>,
    /// BIC of the bank that is asked.
    pub assignee: Box<str>,
    /// Equal for a re-send, different for any other request.
    pub fingerprint: Fingerprint,
}

impl ReturnRequest {
    /// Reads a request out of fields of [`SHAPE`], checking form and the values that the profile fixes.
    pub fn read(fields: &Fields) -> Result<Self, Unreadable> {
        let request_id = fields.required("Undrlyg/TxInf/CxlId", MAX_REFERENCE)?;
        fields.fixed("Assgnmt/Id", request_id)?;
        fields.fixed("Undrlyg/TxInf/OrgnlGrpInf/OrgnlMsgNmId", pacs008::SHAPE.message)?;
        fields.required("Undrlyg/TxInf/CxlRsnInf/Rsn/Cd", 4)?;
        read_date(fields, "Undrlyg/TxInf/OrgnlIntrBkSttlmDt")?;
        let original = References::read(
            fields,
            [
                "Undrlyg/TxInf/OrgnlGrpInf/OrgnlMsgId",
                "Undrlyg/TxInf/OrgnlInstrId",
                "Undrlyg/TxInf/OrgnlEndToEndId",
                "Undrlyg/TxInf/OrgnlTxId",
                "Undrlyg/TxInf/OrgnlUETR",
            ],
        )?;
        Ok(Self {
            request_id: request_id.into(),
            original,
            amount: read_amount(fields, "Undrlyg/TxInf/OrgnlIntrBkSttlmAmt")?,
            original_amount: read_amount(fields, "Undrlyg/TxInf/OrgnlTxRef/IntrBkSttlmAmt")?,
            created_at: read_time(fields, "Assgnmt/CreDtTm")?,
            assigner: read_bic(fields, "Assgnmt/Assgnr/Agt/FinInstnId/BICFI")?.into(),
            assignee: read_bic(fields, "Assgnmt/Assgne/Agt/FinInstnId/BICFI")?.into(),
            fingerprint: fields.fingerprint(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::messages::{Inbound, read, sample_return};
    use crate::sample::Order;

    #[test]
    fn a_request_says_what_is_asked_back_of_which_payment() {
        let request = sample_return(5, "RTN-1", "2.30");
        assert_eq!((&*request.request_id, &*request.original.message_id), ("RTN-1", "MSG-5"));
        assert_eq!((request.amount.minor_units, request.original_amount.minor_units), (230, 1_234));
        assert_eq!((&*request.assigner, &*request.assignee), ("RIALITMMXXX", "AURODEFFXXX"));
    }

    #[test]
    fn every_part_of_the_profile_must_stand_once() {
        let order = Order::new(5);
        let xml = order.return_xml("RTN-1", "2.30", &order.accepted_at);
        for name in [
            "Id",
            "Assgnr",
            "Assgne",
            "CreDtTm",
            "CxlId",
            "OrgnlMsgId",
            "OrgnlMsgNmId",
            "OrgnlInstrId",
            "OrgnlEndToEndId",
            "OrgnlTxId",
            "OrgnlUETR",
            "OrgnlIntrBkSttlmDt",
            "Cd",
            "OrgnlTxRef",
        ] {
            let (open, close) = (format!("<{name}>"), format!("</{name}>"));
            let without = xml.replace(&open, "<Other>").replace(&close, "</Other>");
            let why = read(without.as_bytes()).unwrap_err().0;
            assert!(why.ends_with("is missing"), "{name}: {why}");
            let (before, rest) = xml.split_once(&open).unwrap();
            let (inside, after) = rest.split_once(&close).unwrap();
            let twice = format!("{before}{open}{inside}{close}{open}{inside}{close}{after}");
            let why = read(twice.as_bytes()).unwrap_err().0;
            assert!(why.contains("twice"), "{name}: {why}");
        }
        for (from, to) in [("<Id>RTN-1", "<Id>RTN-2"), ("<OrgnlTxId>MSG-5", "<OrgnlTxId>MSG-6")] {
            assert!(read(xml.replace(from, to).as_bytes()).unwrap_err().0.contains("is not"));
        }
    }

    #[test]
    fn a_re_send_is_recognised_by_its_whole_content() {
        let print = |amount: &str| sample_return(5, "RTN-1", amount).fingerprint;
        assert_eq!(print("2.30"), print("2.30"));
        assert_ne!(print("2.30"), print("2.31"));
        let order = Order::new(5);
        let later = order.return_xml("RTN-1", "2.30", "2030-05-06T07:08:10.000Z");
        let Ok(Inbound::ReturnRequest(later)) = read(later.as_bytes()) else { panic!("unreadable") };
        assert_ne!(later.fingerprint, print("2.30"), "the creation time is the same on a re-send");
    }
}
