//! pacs.028.001.03: what became of the credit transfer, or of the return request, with these references?

use std::time::SystemTime;

use super::{
    camt056,
    message::{Correspondents, agent, date_time},
    pacs008,
    xml::XmlWriter,
};
use crate::instruction::{Instruction, Original};

/// Writes the message that asks about the instruction whose references `instruction` carries: a credit transfer, or, with
/// `returned`, the request to return that. `enquiry_id` is the enquiry's own message id.
pub fn document(
    instruction: &Instruction,
    enquiry_id: &str,
    returned: Option<&Original>,
    correspondents: &Correspondents,
    created: SystemTime,
) -> String {
    let (message_name, end_to_end_id, uetr) = match returned {
        None => (pacs008::NAME, instruction.end_to_end_id(), instruction.uetr()),
        Some(original) => (camt056::NAME, original.end_to_end_id(), original.uetr()),
    };
    XmlWriter::document("pacs.028.001.03", |xml| {
        xml.element("FIToFIPmtStsReq", |xml| {
            xml.element("GrpHdr", |xml| {
                xml.text("MsgId", enquiry_id);
                xml.text("CreDtTm", &date_time(created));
            });
            xml.element("TxInf", |xml| {
                xml.element("OrgnlGrpInf", |xml| {
                    xml.text("OrgnlMsgId", instruction.message_id());
                    xml.text("OrgnlMsgNmId", message_name);
                });
                xml.text("OrgnlInstrId", instruction.message_id());
                xml.text("OrgnlEndToEndId", end_to_end_id);
                xml.text("OrgnlTxId", instruction.message_id());
                xml.text("OrgnlUETR", uetr);
                xml.text("AccptncDtTm", &date_time(instruction.accept_time()));
                agent(xml, "InstgAgt", &correspondents.sender);
                agent(xml, "InstdAgt", &correspondents.bank);
            });
        });
    })
}
