//! What a bank instructs us to do: to pay an account here (pacs.008), or to say what became of that (pacs.028). It is read into what the
//! bank was told to carry, and answered with a pacs.002: to whoever sends it we are a bank (`docs/bank-profile.md`).

use std::time::SystemTime;

use proto::channel::{self as wire, instruction::Message, party::Account};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    answer::{AmountKind, amount, message, message_id, references, text_of},
    gate::{self, Element, Schema, Unreadable},
    message::Correspondents,
    notice::{NoNotice, Original, money},
};
use crate::instruction::{Instruction, described};

/// What a credit transfer's elements may be.
const CREDIT_TRANSFER: Schema = Schema {
    namespace: "urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08",
    repeatable: &["CdtTrfTxInf", "ChrgsInf", "InstrForCdtrAgt", "InstrForNxtAgt", "RgltryRptg", "RltdRmtInf"],
};
/// What an enquiry's elements may be.
const ENQUIRY: Schema = Schema {
    namespace: "urn:iso:std:iso:20022:tech:xsd:pacs.028.001.03",
    repeatable: &["OrgnlGrpInf", "TxInf"],
};

/// As much of what the payee is to read is kept (`Max140Text`).
const MAX_REMITTANCE_CHARS: usize = 140;

/// Reads what a bank instructs us to do. Whether it is done is for the platform to say.
///
/// # Errors
/// When it is no readable instruction about one payment, or is not for us.
pub fn read(
    bank_id: &str,
    correspondents: &Correspondents,
    body: &[u8],
) -> Result<wire::Instruction, NoNotice> {
    let (schema, document) = gate::read(body, &[&CREDIT_TRANSFER, &ENQUIRY])?;
    let instruction = match schema.namespace == ENQUIRY.namespace {
        true => enquiry(correspondents, &document)?,
        false => credit_transfer(correspondents, &document)?,
    };
    Ok(wire::Instruction { bank_id: bank_id.to_owned(), ..instruction })
}

fn credit_transfer(
    correspondents: &Correspondents,
    document: &Element,
) -> Result<wire::Instruction, NoNotice> {
    let transfer = message(document, "FIToFICstmrCdtTrf")?;
    let header = transfer.only("GrpHdr").ok_or(Unreadable::Missing("GrpHdr"))?;
    let transaction = transfer.only("CdtTrfTxInf").ok_or(Unreadable::Missing("CdtTrfTxInf, or several"))?;
    if text_of(header, "NbOfTxs").as_deref() != Some("1") {
        return Err(NoNotice::Contradiction("NbOfTxs"));
    }
    for (name, agent) in [("DbtrAgt", &correspondents.bank), ("CdtrAgt", &correspondents.sender)] {
        is_agent(transaction, name, agent.as_str())?;
    }
    are_for_us(correspondents, transaction)?;
    let ids = transaction.child("PmtId").ok_or(Unreadable::Missing("PmtId"))?;
    let instruction = wire::Instruction {
        message_id: message_id(Some(header), "MsgId")?,
        uetr: text_of(ids, "UETR").ok_or(Unreadable::Missing("UETR"))?,
        end_to_end_id: text_of(ids, "EndToEndId").ok_or(Unreadable::Missing("EndToEndId"))?,
        amount: settled(Some(transaction))?,
        accept_time: Some(accepted(transaction)?),
        message: Some(Message::CreditTransfer(wire::CreditTransfer {
            debtor: Some(party(transaction, "Dbtr", "DbtrAcct")),
            creditor: Some(party(transaction, "Cdtr", "CdtrAcct")),
            remittance_information: remittance(transaction),
        })),
        ..wire::Instruction::default()
    };
    // By the rules of what we send, whose names of fields say what is meant.
    let checkable = wire::Instruction { bank_id: "checked".to_owned(), ..instruction.clone() };
    Instruction::parse(checkable).map_err(|violations| NoNotice::Invalid(described(&violations)))?;
    Ok(instruction)
}

fn enquiry(correspondents: &Correspondents, document: &Element) -> Result<wire::Instruction, NoNotice> {
    let request = message(document, "FIToFIPmtStsReq")?;
    let enquiry_id = message_id(request.only("GrpHdr"), "MsgId")?;
    let transaction = request.only("TxInf").ok_or(Unreadable::Missing("TxInf, or several"))?;
    let groups = request.children("OrgnlGrpInf").chain(transaction.children("OrgnlGrpInf"));
    let original = Original::named_by(&references(groups.chain([transaction])))?;
    are_for_us(correspondents, transaction)?;
    Ok(wire::Instruction {
        message_id: original.message_id,
        uetr: original.uetr.ok_or(Unreadable::Missing("OrgnlUETR"))?,
        end_to_end_id: original.end_to_end_id.unwrap_or_default(),
        amount: settled(transaction.child("OrgnlTxRef"))?,
        accept_time: Some(accepted(transaction)?),
        message: Some(Message::StatusEnquiry(wire::StatusEnquiry { enquiry_id, return_request: None })),
        ..wire::Instruction::default()
    })
}

fn are_for_us(correspondents: &Correspondents, transaction: &Element) -> Result<(), NoNotice> {
    for (name, agent) in [("InstgAgt", &correspondents.bank), ("InstdAgt", &correspondents.sender)] {
        is_agent(transaction, name, agent.as_str())?;
    }
    Ok(())
}

/// An agent, where it stands, is named by its BIC.
fn is_agent(transaction: &Element, name: &'static str, bic: &str) -> Result<(), NoNotice> {
    let Some(agent) = transaction.child(name) else { return Ok(()) };
    match agent.child("FinInstnId").and_then(|institution| text_of(institution, "BICFI")) {
        Some(named) if named == bic => Ok(()),
        _ => Err(NoNotice::Contradiction(name)),
    }
}

fn settled(transaction: Option<&Element>) -> Result<Option<proto::money::Money>, Unreadable> {
    let amount = amount(transaction, "IntrBkSttlmAmt", AmountKind::Original);
    amount.as_ref().map(money).transpose()
}

fn accepted(transaction: &Element) -> Result<prost_types::Timestamp, Unreadable> {
    let text = text_of(transaction, "AccptncDtTm");
    let time = text.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
    let time = time.ok_or(Unreadable::Missing("AccptncDtTm with an offset"))?;
    Ok(SystemTime::from(time).into())
}

fn party(transaction: &Element, holder: &str, account: &str) -> wire::Party {
    let name = transaction.child(holder).and_then(|holder| text_of(holder, "Nm"));
    let id = transaction.child(account).and_then(|account| account.only("Id"));
    let iban = id.and_then(|id| text_of(id, "IBAN")).map(Account::Iban);
    let number = || id.and_then(|id| text_of(id.only("Othr")?, "Id")).map(Account::AccountNumber);
    wire::Party { name: name.unwrap_or_default(), account: iban.or_else(number) }
}

fn remittance(transaction: &Element) -> String {
    let Some(information) = transaction.child("RmtInf") else { return String::new() };
    let texts: Vec<&str> = information.children("Ustrd").map(Element::text).collect();
    texts.join(" ").chars().take(MAX_REMITTANCE_CHARS).collect()
}

#[cfg(test)]
pub(crate) mod tests;
