//! pacs.028.001.03, a payment status request: what became of a pacs.008, or of a camt.056?

use super::{MAX_REFERENCE, References, read_bic, read_time};
use crate::fields::{Fields, Shape};
use crate::gate::{Unreadable, unreadable};
use crate::messages::{camt056, pacs008};

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

/// What an enquiry asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A pacs.008.
    Payment,
    /// A camt.056, whose id stands for the message id.
    ReturnRequest,
}

impl About {
    /// The name of the message that is asked for.
    pub fn message(self) -> &'static str {
        match self {
            Self::Payment => pacs008::SHAPE.message,
            Self::ReturnRequest => camt056::SHAPE.message,
        }
    }
}

/// A readable enquiry.
#[derive(Debug, Clone)]
pub struct Enquiry {
    /// `MsgId` of the enquiry itself.
    pub message_id: Box<str>,
    /// What kind of message is asked for.
    pub about: About,
    /// The references of that message.
    pub original: References,
}

impl Enquiry {
    /// Reads an enquiry out of fields of [`SHAPE`].
    pub fn read(fields: &Fields) -> Result<Self, Unreadable> {
        let message_id = fields.required("GrpHdr/MsgId", MAX_REFERENCE)?.into();
        read_time(fields, "GrpHdr/CreDtTm")?;
        let name = fields.required("TxInf/OrgnlGrpInf/OrgnlMsgNmId", MAX_REFERENCE)?;
        let Some(about) = [About::Payment, About::ReturnRequest].into_iter().find(|a| a.message() == name)
        else {
            return unreadable("TxInf/OrgnlGrpInf/OrgnlMsgNmId is no message that this bank is asked for");
        };
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
        Ok(Self { message_id, about, original })
    }
}

#[cfg(test)]
mod tests {
    use super::About;
    use crate::messages::{Inbound, read};
    use crate::sample::Order;

    #[test]
    fn an_enquiry_names_the_payment_it_asks_for() {
        let xml = Order::new(5).enquiry_xml();
        let Ok(Inbound::Enquiry(enquiry)) = read(xml.as_bytes()) else { panic!("unreadable") };
        assert_eq!(&*enquiry.original.message_id, "MSG-5");
        assert_eq!(&*enquiry.original.end_to_end_id, "E2E & MSG-5");
        assert_eq!((enquiry.about, &*enquiry.message_id), (About::Payment, "ASK-MSG-5"));
        let Ok(Inbound::Enquiry(enquiry)) = read(Order::new(5).return_enquiry_xml("RTN-1").as_bytes()) else {
            panic!("unreadable")
        };
        assert_eq!((enquiry.about, &*enquiry.original.message_id), (About::ReturnRequest, "RTN-1"));
        assert!(read(xml.replace("pacs.008", "pacs.009").as_bytes()).is_err());
        for missing in ["OrgnlUETR", "OrgnlTxId", "AccptncDtTm", "OrgnlMsgNmId"] {
            let without =
                xml.replace(&format!("<{missing}>"), "<Other>").replace(&format!("</{missing}>"), "</Other>");
            let why = read(without.as_bytes()).unwrap_err().0;
            assert!(why.ends_with(&format!("{missing} is missing")), "{why}");
        }
    }
}
