//! pacs.028.001.03: what became of the credit transfer, or of the return request, with these references?

use std::time::SystemTime;

use common::money::Money;

use super::{
    camt056,
    message::{Correspondents, agent, date_time, money},
    pacs008,
    xml::XmlWriter,
};
use crate::instruction::{Instruction, Original};

/// What is asked about, and the message id of the question.
#[derive(Debug)]
pub struct Enquiry<'a> {
    enquiry_id: &'a str,
    message_id: &'a str,
    message_name: &'static str,
    end_to_end_id: &'a str,
    uetr: &'a str,
    accept_time: SystemTime,
    /// Of a credit transfer, so that a bank that never had it can put on record that it takes it no more.
    amount: Option<Money>,
}

impl<'a> Enquiry<'a> {
    /// About the instruction whose references `instruction` carries: a credit transfer, or, with `returned`, the request
    /// to return that.
    pub fn new(enquiry_id: &'a str, instruction: &'a Instruction, returned: Option<&'a Original>) -> Self {
        let (message_name, end_to_end_id, uetr) = match returned {
            None => (pacs008::NAME, instruction.end_to_end_id(), instruction.uetr()),
            Some(original) => (camt056::NAME, original.end_to_end_id(), original.uetr()),
        };
        let (message_id, accept_time) = (instruction.message_id(), instruction.accept_time());
        let amount = returned.is_none().then(|| instruction.amount());
        Self { enquiry_id, message_id, message_name, end_to_end_id, uetr, accept_time, amount }
    }

    /// About a credit transfer that nobody has made: `id` and `uetr` are nobody else's.
    pub fn about_nothing(id: &'a str, uetr: &'a str, now: SystemTime) -> Self {
        Self {
            enquiry_id: id,
            message_id: id,
            message_name: pacs008::NAME,
            end_to_end_id: id,
            uetr,
            accept_time: now,
            amount: None,
        }
    }
}

/// Writes the message that asks.
pub fn document(enquiry: &Enquiry<'_>, correspondents: &Correspondents, created: SystemTime) -> String {
    XmlWriter::document("pacs.028.001.03", |xml| {
        xml.element("FIToFIPmtStsReq", |xml| {
            xml.element("GrpHdr", |xml| {
                xml.text("MsgId", enquiry.enquiry_id);
                xml.text("CreDtTm", &date_time(created));
            });
            xml.element("TxInf", |xml| {
                xml.element("OrgnlGrpInf", |xml| {
                    xml.text("OrgnlMsgId", enquiry.message_id);
                    xml.text("OrgnlMsgNmId", enquiry.message_name);
                });
                xml.text("OrgnlInstrId", enquiry.message_id);
                xml.text("OrgnlEndToEndId", enquiry.end_to_end_id);
                xml.text("OrgnlTxId", enquiry.message_id);
                xml.text("OrgnlUETR", enquiry.uetr);
                xml.text("AccptncDtTm", &date_time(enquiry.accept_time));
                agent(xml, "InstgAgt", &correspondents.sender);
                agent(xml, "InstdAgt", &correspondents.bank);
                if let Some(amount) = enquiry.amount {
                    xml.element("OrgnlTxRef", |xml| money(xml, "IntrBkSttlmAmt", amount));
                }
            });
        });
    })
}
