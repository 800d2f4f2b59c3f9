//! pacs.028.001.03, a payment status request: what became of a pacs.008?

use super::{MAX_REFERENCE, References, read_bic, read_time};
use crate::fields::{Fields, Shape};
use crate::gate::Unreadable;

/// What this bank reads of the message.
pub static SHAPE: Shape = Shape {
    message: "pacs.028.001.03",
    root: "FIToFIPmtStsReq",
    groups: &[
        "GrpHdr",
        "TxInf",
        "TxInf/InstdAgt",
        "TxInf/InstdAgt/FinInstnId",
        "TxInf/InstgAgt",
        "TxInf/InstgAgt/FinInstnId",
        "TxInf/OrgnlGrpInf",
    ],
    leaves: &[
        "GrpHdr/CreDtTm",
        "GrpHdr/MsgId",
        "TxInf/AccptncDtTm",
        "TxInf/InstdAgt/FinInstnId/BICFI",
        "TxInf/InstgAgt/FinInstnId/BICFI",
        "TxInf/OrgnlEndToEndId",
        "TxInf/OrgnlGrpInf/OrgnlMsgId",
        "TxInf/OrgnlGrpInf/OrgnlMsgNmId",
        "TxInf/OrgnlInstrId",
        "TxInf/OrgnlTxId",
        "TxInf/OrgnlUETR",
    ],
    volatile: &[],
};

/// A readable enquiry.
#[derive(Debug, Clone)]
pub struct Enquiry {
    /// The payment that is asked for.
    pub original: References,
}

impl Enquiry {
    /// Reads an enquiry out of fields of [`SHAPE`].
    pub fn read(fields: &Fields) -> Result<Self, Unreadable> {
        fields.required("GrpHdr/MsgId", MAX_REFERENCE)?;
        read_time(fields, "GrpHdr/CreDtTm")?;
        fields.fixed("TxInf/OrgnlGrpInf/OrgnlMsgNmId", "pacs.008.001.08")?;
        read_time(fields, "TxInf/AccptncDtTm")?;
        for agent in ["InstgAgt", "InstdAgt"] {
            read_bic(fields, &format!("TxInf/{agent}/FinInstnId/BICFI"))?;
        }
        let original = References::read(
            fields,
            [
                "TxInf/OrgnlGrpInf/OrgnlMsgId",
                "TxInf/OrgnlInstrId",
                "TxInf/OrgnlEndToEndId",
                "TxInf/OrgnlTxId",
                "TxInf/OrgnlUETR",
            ],
        )?;
        Ok(Self { original })
    }
}

#[cfg(test)]
mod tests {
    use crate::messages::{Inbound, read};
    use crate::sample::Order;

    #[test]
    fn an_enquiry_names_the_payment_it_asks_for() {
        let xml = Order::new(5).enquiry_xml();
        let Ok(Inbound::Enquiry(enquiry)) = read(xml.as_bytes()) else { panic!("unreadable") };
        assert_eq!(&*enquiry.original.message_id, "MSG-5");
        assert_eq!(&*enquiry.original.end_to_end_id, "E2E & MSG-5");
        for missing in ["OrgnlUETR", "OrgnlTxId", "AccptncDtTm", "OrgnlMsgNmId"] {
            let without =
                xml.replace(&format!("<{missing}>"), "<Other>").replace(&format!("</{missing}>"), "</Other>");
            let why = read(without.as_bytes()).unwrap_err().0;
            assert!(why.ends_with(&format!("{missing} is missing")), "{why}");
        }
    }
}
