//! What one of us writes another reads as it was meant, and what can't be meant is refused.

use std::time::Duration;

use common::{bic::Bic, clock::Clock};
use proto::channel::{Accepted, NotFound, Rejected, Unknown, notice_receipt::Verdict, outcome};

use super::*;
use crate::{
    instruction::{
        Message as Carried,
        tests::{credit_transfer, return_enquiry, return_request, status_enquiry},
    },
    rails::iso20022::{answer::Answer, camt056, pacs002, pacs008, pacs028, verdict::verdict},
};

fn correspondents(sender: &str, bank: &str) -> Correspondents {
    let bic = |text| Bic::parse(text).expect("a BIC");
    Correspondents { sender: bic(sender), bank: bic(bank) }
}

fn theirs() -> Correspondents {
    correspondents("NORDDEFFXXX", "SUEDDEFFXXX")
}

fn ours() -> Correspondents {
    correspondents("SUEDDEFFXXX", "NORDDEFFXXX")
}

/// What another channel writes to carry an instruction to us.
pub(crate) fn written(instruction: wire::Instruction) -> String {
    let instruction = Instruction::parse(instruction).expect("good");
    match instruction.message() {
        Carried::CreditTransfer(transfer) => pacs008::document(&instruction, transfer, &theirs()),
        Carried::ReturnRequest(request) => camt056::document(&instruction, request, &theirs()),
        Carried::StatusEnquiry { enquiry_id, returned } => {
            let enquiry = pacs028::Enquiry::new(enquiry_id, &instruction, returned.as_ref());
            pacs028::document(&enquiry, &theirs(), SystemTime::UNIX_EPOCH + Duration::from_secs(1))
        }
    }
}

fn read_text(document: &str) -> Result<wire::Instruction, NoNotice> {
    read("north", &ours(), document.as_bytes())
}

/// An instruction as it arrives: with what its hop was for left behind, and its time to the millisecond.
fn arrived(instruction: wire::Instruction) -> wire::Instruction {
    let accept_time = instruction
        .accept_time
        .map(|time| prost_types::Timestamp { nanos: time.nanos / 1_000_000 * 1_000_000, ..time });
    wire::Instruction {
        correlation_id: 0,
        traceparent: String::new(),
        bank_id: "north".to_owned(),
        accept_time,
        ..instruction
    }
}

#[test]
fn what_one_of_us_writes_another_reads() {
    for instruction in [credit_transfer(), status_enquiry()] {
        assert_eq!(read_text(&written(instruction.clone())), Ok(arrived(instruction)));
    }
    // A probe asks about nothing, of no amount.
    let probe =
        pacs028::Enquiry::about_nothing("P-1", "8a562c67-ca16-48ba-b074-65581be6f001", Clock::system().now());
    let asked = read_text(&pacs028::document(&probe, &theirs(), Clock::system().now())).expect("readable");
    assert_eq!((&*asked.message_id, asked.amount), ("P-1", None));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let (transfer, enquiry) = (written(credit_transfer()), written(status_enquiry()));
    let once_more = |document: &str, element: &str| {
        let (begin, end) = (format!("<{element}>"), format!("</{element}>"));
        let from = document.find(&begin).expect(element);
        let to = document.find(&end).expect(element) + end.len();
        format!("{}{}{}", &document[..to], &document[from..to], &document[to..])
    };
    for (what, document) in [
        ("two transactions", once_more(&transfer, "CdtTrfTxInf")),
        ("two of what stands once", once_more(&transfer, "UETR")),
        ("several announced", transfer.replace("<NbOfTxs>1<", "<NbOfTxs>2<")),
        ("no number of them", transfer.replace("<NbOfTxs>1</NbOfTxs>", "")),
        ("for another bank", transfer.replace("SUEDDEFFXXX", "WESTDEFFXXX")),
        ("from another bank", transfer.replace("NORDDEFFXXX", "WESTDEFFXXX")),
        ("an agent without a BIC", transfer.replace("BICFI>", "LEI>")),
        ("no UETR", transfer.replace("UETR>", "ClrSysRef>")),
        ("a UETR that is none", transfer.replace("8a562c67-ca16-48ba", "8a562c67-ca16-18ba")),
        ("no message id", transfer.replacen("MsgId>", "BtchBookg>", 2)),
        ("no time", transfer.replace("AccptncDtTm>", "CdtDtTm>")),
        ("a time of no place", transfer.replace("Z</AccptncDtTm>", "</AccptncDtTm>")),
        ("no amount", transfer.replace("IntrBkSttlmAmt", "InstdAmt")),
        ("half a cent", transfer.replace(">12.34<", ">12.345<")),
        ("nothing", transfer.replace(">12.34<", ">0.00<")),
        ("less than nothing", transfer.replace(">12.34<", ">-12.34<")),
        ("no such currency", transfer.replace("\"EUR\"", "\"EUX\"")),
        ("no creditor's name", transfer.replace("<Nm>Zoë</Nm>", "")),
        ("no creditor's account", transfer.replace("DE89370400440532013000", "")),
        ("no IBAN", transfer.replace("DE89370400440532013000", "DE00370400440532013000")),
        ("another message", written(return_request())),
        ("an enquiry about a return request", written(return_enquiry())),
        ("two enquiries", once_more(&enquiry, "TxInf")),
        ("an enquiry about two", enquiry.replace("<OrgnlTxId>MSG-1", "<OrgnlTxId>MSG-2")),
        ("an enquiry for another", enquiry.replace("SUEDDEFFXXX", "WESTDEFFXXX")),
        ("an enquiry about nothing", enquiry.replace("OrgnlUETR>", "ClrSysRef>")),
        ("an enquiry of no time", enquiry.replace("AccptncDtTm>", "CdtDtTm>")),
        ("an enquiry about what is no amount", enquiry.replace(">12.34<", ">12,34<")),
    ] {
        assert!(![&transfer, &enquiry].contains(&&document), "{what}: nothing was changed");
        assert!(read_text(&document).is_err(), "{what}");
    }
}

#[test]
fn whoever_asked_understands_what_is_answered() {
    let bank_message_id = "0123456789abcdef0123456789abcdef".to_owned();
    let said = |instruction: wire::Instruction, verdict_here: Verdict| {
        let about = read_text(&written(instruction.clone())).expect("readable");
        let document = pacs002::document(&about, &verdict_here, Clock::system().now());
        let answer = Answer::read(document.as_bytes()).expect("an answer");
        verdict(&Instruction::parse(instruction).expect("good"), &answer)
    };
    let accepted = Accepted { bank_message_id: bank_message_id.clone() };
    let rejected = Rejected {
        iso_code: "AC01".to_owned(),
        text: "no account here is the payee's".to_owned(),
        bank_message_id,
    };
    let unknown = Unknown { reason: "PENDING".to_owned(), detail: String::new() };
    for instruction in [credit_transfer(), status_enquiry()] {
        let heard = said(instruction.clone(), Verdict::Accepted(accepted.clone()));
        assert_eq!(heard, outcome::Verdict::Accepted(accepted.clone()));
        let heard = said(instruction.clone(), Verdict::Rejected(rejected.clone()));
        assert_eq!(heard, outcome::Verdict::Rejected(rejected.clone()));
        let heard = said(instruction, Verdict::Unknown(unknown.clone()));
        assert!(matches!(heard, outcome::Verdict::Unknown(why) if why.reason == "PENDING_AT_BANK"));
    }
    let nothing = NotFound { bank_message_id: String::new() };
    let heard = said(status_enquiry(), Verdict::NotFound(nothing));
    assert!(matches!(heard, outcome::Verdict::NotFound(_)));
}
