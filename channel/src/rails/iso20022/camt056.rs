//! camt.056.001.08: give back (part of) what an earlier pacs.008 brought.

use super::{
    message::{Correspondents, agent, date, date_time},
    pacs008,
    xml::XmlWriter,
};
use crate::instruction::{Instruction, ReturnRequest};

/// The message's name, which answers refer to (`OrgnlMsgNmId`).
pub const NAME: &str = "camt.056.001.08";
/// The longest `AddtlInf`; a longer text goes on in another one.
const MAX_WORDS_CHARS: usize = 105;

/// Writes the message that asks for a return. It is the same for every re-send.
pub fn document(
    instruction: &Instruction,
    request: &ReturnRequest,
    correspondents: &Correspondents,
) -> String {
    XmlWriter::document(NAME, |xml| {
        xml.element("FIToFIPmtCxlReq", |xml| {
            xml.element("Assgnmt", |xml| {
                xml.text("Id", instruction.message_id());
                xml.element("Assgnr", |xml| agent(xml, "Agt", &correspondents.sender));
                xml.element("Assgne", |xml| agent(xml, "Agt", &correspondents.bank));
                xml.text("CreDtTm", &date_time(instruction.accept_time()));
            });
            xml.element("Undrlyg", |xml| {
                xml.element("TxInf", |xml| transaction(xml, instruction, request));
            });
        });
    })
}

fn transaction(xml: &mut XmlWriter, instruction: &Instruction, request: &ReturnRequest) {
    let original = request.original();
    let (asked_back, whole) = (instruction.amount(), original.amount());
    xml.text("CxlId", instruction.message_id());
    xml.element("OrgnlGrpInf", |xml| {
        xml.text("OrgnlMsgId", original.message_id());
        xml.text("OrgnlMsgNmId", pacs008::NAME);
    });
    xml.text("OrgnlInstrId", original.message_id());
    xml.text("OrgnlEndToEndId", original.end_to_end_id());
    xml.text("OrgnlTxId", original.message_id());
    xml.text("OrgnlUETR", original.uetr());
    xml.text_with("OrgnlIntrBkSttlmAmt", "Ccy", asked_back.currency().code(), &asked_back.to_decimal());
    xml.text("OrgnlIntrBkSttlmDt", &date(original.accept_time()));
    xml.element("CxlRsnInf", |xml| {
        xml.element("Rsn", |xml| xml.text("Cd", request.reason_code()));
        let text: Vec<char> = request.text().unwrap_or_default().chars().collect();
        for part in text.chunks(MAX_WORDS_CHARS) {
            xml.text("AddtlInf", &part.iter().collect::<String>());
        }
    });
    xml.element("OrgnlTxRef", |xml| {
        xml.text_with("IntrBkSttlmAmt", "Ccy", whole.currency().code(), &whole.to_decimal());
    });
}
