//! pacs.008.001.08: pay one creditor.

use super::{
    message::{Correspondents, agent, date, date_time, money},
    xml::XmlWriter,
};
use crate::instruction::{Account, CreditTransfer, Instruction, Party};

/// The message's name, which answers refer to (`OrgnlMsgNmId`).
pub const NAME: &str = "pacs.008.001.08";

/// Writes the message that carries a credit transfer. It is the same for every re-send.
pub fn document(
    instruction: &Instruction,
    transfer: &CreditTransfer,
    correspondents: &Correspondents,
) -> String {
    XmlWriter::document(NAME, |xml| {
        xml.element("FIToFICstmrCdtTrf", |xml| {
            xml.element("GrpHdr", |xml| {
                xml.text("MsgId", instruction.message_id());
                xml.text("CreDtTm", &date_time(instruction.accept_time()));
                xml.text("NbOfTxs", "1");
                xml.element("SttlmInf", |xml| xml.text("SttlmMtd", "CLRG"));
            });
            xml.element("CdtTrfTxInf", |xml| transaction(xml, instruction, transfer, correspondents));
        });
    })
}

fn transaction(
    xml: &mut XmlWriter,
    instruction: &Instruction,
    transfer: &CreditTransfer,
    correspondents: &Correspondents,
) {
    let amount = instruction.amount();
    xml.element("PmtId", |xml| {
        xml.text("InstrId", instruction.message_id());
        xml.text("EndToEndId", instruction.end_to_end_id());
        xml.text("TxId", instruction.message_id());
        xml.text("UETR", instruction.uetr());
    });
    money(xml, "IntrBkSttlmAmt", amount);
    xml.text("IntrBkSttlmDt", &date(instruction.accept_time()));
    xml.text("AccptncDtTm", &date_time(instruction.accept_time()));
    xml.text("ChrgBr", "SLEV");
    agent(xml, "InstgAgt", &correspondents.sender);
    agent(xml, "InstdAgt", &correspondents.bank);
    holder(xml, "Dbtr", transfer.debtor());
    account(xml, "DbtrAcct", transfer.debtor());
    agent(xml, "DbtrAgt", &correspondents.sender);
    agent(xml, "CdtrAgt", &correspondents.bank);
    holder(xml, "Cdtr", transfer.creditor());
    account(xml, "CdtrAcct", transfer.creditor());
    if let Some(text) = transfer.remittance_information() {
        xml.element("RmtInf", |xml| xml.text("Ustrd", text));
    }
}

fn holder(xml: &mut XmlWriter, name: &str, party: &Party) {
    xml.element(name, |xml| xml.text("Nm", party.name()));
}

fn account(xml: &mut XmlWriter, name: &str, party: &Party) {
    xml.element(name, |xml| {
        xml.element("Id", |xml| match party.account() {
            Account::Iban(iban) => xml.text("IBAN", iban.as_str()),
            Account::Number(number) => xml.element("Othr", |xml| xml.text("Id", number)),
        });
    });
}
