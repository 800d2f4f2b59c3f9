//! pacs.028.001.03: what became of the credit transfer with these references?

use std::time::SystemTime;

use super::{
    message::{Correspondents, agent, date_time},
    pacs008,
    xml::XmlWriter,
};
use crate::instruction::Instruction;

/// Writes the message that asks about the credit transfer whose references the instruction carries. `enquiry_id` is the
/// enquiry's own message id.
pub fn document(
    instruction: &Instruction,
    enquiry_id: &str,
    correspondents: &Correspondents,
    created: SystemTime,
) -> String {
    XmlWriter::document("pacs.028.001.03", |xml| {
        xml.element("FIToFIPmtStsReq", |xml| {
            xml.element("GrpHdr", |xml| {
                xml.text("MsgId", enquiry_id);
                xml.text("CreDtTm", &date_time(created));
            });
            xml.element("TxInf", |xml| {
                xml.element("OrgnlGrpInf", |xml| {
                    xml.text("OrgnlMsgId", instruction.message_id());
                    xml.text("OrgnlMsgNmId", pacs008::NAME);
                });
                xml.text("OrgnlInstrId", instruction.message_id());
                xml.text("OrgnlEndToEndId", instruction.end_to_end_id());
                xml.text("OrgnlTxId", instruction.message_id());
                xml.text("OrgnlUETR", instruction.uetr());
                xml.text("AccptncDtTm", &date_time(instruction.accept_time()));
                agent(xml, "InstgAgt", &correspondents.sender);
                agent(xml, "InstdAgt", &correspondents.bank);
            });
        });
    })
}
