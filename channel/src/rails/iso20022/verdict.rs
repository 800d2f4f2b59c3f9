//! What a status report says of an instruction. Whatever doesn't fit together is unknown: only a report that names the
//! payment, agrees with what was sent and has a final status ends it.

use common::money::Money;
use proto::channel::{Accepted, NotFound, Rejected, outcome::Verdict};

use super::{
    pacs002::{Amount, Reference, StatusReport},
    pacs008, status_reason,
};
use crate::{
    instruction::{Instruction, Message},
    rails::unknown,
};

/// What the report says of the instruction that it answers.
pub fn verdict(instruction: &Instruction, report: &StatusReport) -> Verdict {
    if let Some(contradiction) = contradicted_reference(instruction, &report.references) {
        return unknown("ANSWER_CONTRADICTS_REFERENCES", format!("{contradiction} is not what was sent"));
    }
    if !report.references.iter().any(|reference| matches!(reference.name, "OrgnlUETR" | "OrgnlMsgId")) {
        return unknown("ANSWER_WITHOUT_REFERENCES", "neither OrgnlUETR nor OrgnlMsgId");
    }
    if let Some(amount) = &report.amount {
        match agrees(instruction.amount(), amount) {
            Some(true) => {}
            Some(false) => {
                return unknown("ANSWER_CONTRADICTS_AMOUNT", "IntrBkSttlmAmt is not what was sent");
            }
            None => {
                return unknown(
                    "ANSWER_UNREADABLE",
                    "IntrBkSttlmAmt is no plain decimal number of the currency",
                );
            }
        }
    }
    let status = report.status.as_deref().unwrap_or_default();
    if report.group_statuses.iter().any(|group| group != status) {
        return unknown("ANSWER_CONTRADICTS_ITSELF", "GrpSts is not TxSts");
    }
    match status {
        "ACSC" | "ACCC" if report.reasons.is_empty() => {
            Verdict::Accepted(Accepted { bank_message_id: report.message_id.clone() })
        }
        "ACSC" | "ACCC" => unknown("ANSWER_CONTRADICTS_ITSELF", "credited, and a reason why not"),
        "RJCT" => rejection(instruction, report),
        "RCVD" | "PDNG" | "ACTC" | "ACSP" | "ACWP" | "ACCP" | "ACFC" | "ACWC" | "ACIS" | "ACPD" | "PATC" => {
            unknown("PENDING_AT_BANK", format!("still in process: {status}"))
        }
        _ => unknown("STATUS_NOT_KNOWN", "TxSts is absent or none that says what became of the payment"),
    }
}

fn contradicted_reference(instruction: &Instruction, references: &[Reference]) -> Option<&'static str> {
    let sent = |name| match name {
        "OrgnlMsgNmId" => pacs008::NAME,
        "OrgnlEndToEndId" => instruction.end_to_end_id(),
        "OrgnlUETR" => instruction.uetr(),
        _ => instruction.message_id(),
    };
    references
        .iter()
        .find(|reference| reference.value != sent(reference.name))
        .map(|reference| reference.name)
}

/// Whether the amount is the one sent; none if it can't be read as that currency's.
fn agrees(sent: Money, amount: &Amount) -> Option<bool> {
    if amount.currency != sent.currency().code() {
        return Some(false);
    }
    Money::from_decimal(&amount.number, sent.currency()).map(|read| read == sent)
}

fn rejection(instruction: &Instruction, report: &StatusReport) -> Verdict {
    let codes: Option<Vec<&str>> = report.reasons.iter().map(|reason| reason.code.as_deref()).collect();
    let codes = codes.unwrap_or_default();
    let Some(first) = codes.first() else {
        return unknown("REASON_NOT_KNOWN", "rejected without a reason of the external code list");
    };
    if !codes.iter().all(|code| status_reason::is_known(code)) {
        return unknown("REASON_NOT_KNOWN", "rejected with a reason that is not of the external code list");
    }
    let is_payment = matches!(instruction.message(), Message::CreditTransfer(_));
    if is_payment && codes.iter().any(|code| status_reason::DUPLICATE.contains(code)) {
        return unknown(
            "REPORTED_AS_DUPLICATE",
            "the bank has the payment already, and doesn't say what became of it",
        );
    }
    let bank_message_id = report.message_id.clone();
    if !codes.contains(&status_reason::NEVER_RECEIVED) {
        let text = report.words.clone();
        return Verdict::Rejected(Rejected { iso_code: (*first).to_owned(), text, bank_message_id });
    }
    match instruction.message() {
        Message::StatusEnquiry { .. } if codes.iter().all(|code| code == first) => {
            Verdict::NotFound(NotFound { bank_message_id })
        }
        Message::StatusEnquiry { .. } => {
            unknown("ANSWER_CONTRADICTS_ITSELF", "never received, and rejected for another reason")
        }
        Message::CreditTransfer(_) => {
            unknown("ANSWER_CONTRADICTS_ITSELF", "says that what it answers was never received")
        }
    }
}

#[cfg(test)]
mod tests;
