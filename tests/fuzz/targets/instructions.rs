//! What banks instruct us to do: what is passed on is what the document says, and is written again as what it was.

use channel::{
    instruction::{Instruction, Message as Carried},
    rails::iso20022::{
        incoming,
        message::Correspondents,
        pacs008,
        pacs028::{self, Enquiry},
    },
};
use common::bic::Bic;
use harness::BenchError;
use proto::channel::{self as wire, instruction::Message, party::Account};

use super::{demand, document, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let (_, theirs) = correspondents().ok_or("a BIC was not read")?;
    let party = |name: &str, account| wire::Party { name: name.to_owned(), account: Some(account) };
    let transfer = Message::CreditTransfer(wire::CreditTransfer {
        debtor: Some(party("Bee & Co", Account::AccountNumber("4711".to_owned()))),
        creditor: Some(party("Zoë", Account::Iban("DE89370400440532013000".to_owned()))),
        remittance_information: "order 1".to_owned(),
    });
    let enquiry = wire::StatusEnquiry { enquiry_id: "ENQ-1".to_owned(), return_request: None };
    let mut seeds = Vec::new();
    for message in [transfer, Message::StatusEnquiry(enquiry)] {
        let instruction = wire::Instruction {
            bank_id: "north".to_owned(),
            uetr: "8a562c67-ca16-48ba-b074-65581be6f001".to_owned(),
            message_id: "MSG-1".to_owned(),
            end_to_end_id: "ORDER-1".to_owned(),
            amount: Some(proto::money::Money { minor_units: 1234, currency: "EUR".to_owned() }),
            accept_time: Some(std::time::SystemTime::UNIX_EPOCH.into()),
            message: Some(message),
            ..wire::Instruction::default()
        };
        seeds.push(written(instruction, &theirs)?.into_bytes());
    }
    Ok(Target {
        seeds,
        words: words(&[
            "NORDDEFFXXX",
            "SUEDDEFFXXX",
            "pacs.008.001.08",
            "pacs.028.001.03",
            "camt.056.001.08",
            "MSG-1",
            "MSG-2",
            "12.34",
            "EUR",
            "JPY",
            "92233720368547758.07",
            "9999-12-31T23:59:59.999Z",
            "-0001-01-01T00:00:00Z",
            "<NbOfTxs>1</NbOfTxs>",
            "<UETR>8a562c67-ca16-48ba-b074-65581be6f002</UETR>",
            "<![CDATA[x]]>",
            "&#65;",
        ]),
        form: Form::Text,
        check: Box::new(check),
    })
}

/// We, to whom the other side's bank is `north`; and the other side.
fn correspondents() -> Option<(Correspondents, Correspondents)> {
    let (north, south) = (Bic::parse("NORDDEFFXXX")?, Bic::parse("SUEDDEFFXXX")?);
    let ours = Correspondents { sender: south.clone(), bank: north.clone() };
    Some((ours, Correspondents { sender: north, bank: south }))
}

fn written(instruction: wire::Instruction, by: &Correspondents) -> Result<String, String> {
    let instruction = Instruction::parse(instruction).map_err(|violations| format!("{violations:?}"))?;
    match instruction.message() {
        Carried::CreditTransfer(transfer) => Ok(pacs008::document(&instruction, transfer, by)),
        Carried::StatusEnquiry { enquiry_id, .. } => {
            let enquiry = Enquiry::new(enquiry_id, &instruction, None);
            Ok(pacs028::document(&enquiry, by, instruction.accept_time()))
        }
        Carried::ReturnRequest(_) => Err("a return request is passed on".to_owned()),
    }
}

fn check(body: &[u8]) -> Checked {
    let (ours, theirs) = correspondents().ok_or("a BIC was not read")?;
    let instruction = match incoming::read("north", &ours, body) {
        Ok(instruction) => instruction,
        Err(problem) => {
            let text = problem.to_string();
            demand(text.len() < 600 && text.is_ascii(), "the reason echoes the document")?;
            return Ok(text);
        }
    };
    let leaves = document::leaves(body).ok_or("taken, and not well-formed")?;
    let all = |names: &[&str], is_said: &dyn Fn(&str) -> bool| {
        let mut found = leaves.iter().filter(|leaf| names.iter().any(|name| leaf.path.ends_with(name)));
        demand(found.all(|leaf| is_said(&leaf.text)), &format!("{names:?} says something else as well"))
    };
    all(&["PmtId/UETR", "TxInf/OrgnlUETR"], &|text| text == instruction.uetr)?;
    all(&["TxInf/OrgnlTxId", "TxInf/OrgnlInstrId"], &|text| text == instruction.message_id)?;
    // What is not enough to be written by one of us may still be asked about.
    let is_transfer = matches!(instruction.message, Some(Message::CreditTransfer(_)));
    match written(instruction.clone(), &theirs) {
        Ok(again) => {
            let read = incoming::read("north", &ours, again.as_bytes());
            let read = read.map_err(|problem| format!("written again it can't be read: {problem}"))?;
            let in_ms = |of: &wire::Instruction| {
                of.accept_time.as_ref().map(|time| (time.seconds, time.nanos / 1_000_000))
            };
            demand(in_ms(&read) == in_ms(&instruction), "written again it was accepted at another time")?;
            let read = wire::Instruction { accept_time: instruction.accept_time, ..read };
            demand(read == instruction, "written again it is another one")?;
        }
        Err(why) => demand(!is_transfer, &format!("passed on, and not as we send them: {why}"))?,
    }
    Ok(format!("transfer {is_transfer}, amount {}", instruction.amount.is_some()))
}
