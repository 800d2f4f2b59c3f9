//! What an answer says of an instruction. Whatever doesn't fit together is unknown: only an answer that names what was
//! sent, agrees with it and is final ends it.

mod comparison;
mod returned;

use proto::channel::{Accepted, NotFound, Rejected, outcome::Verdict};

use super::{
    answer::{Answer, Reason},
    codes::{CodeList, DUPLICATE, NEVER_RECEIVED, STATUS_REASONS},
    pacs002::StatusReport,
};
use crate::{instruction::Instruction, rails::unknown};
use comparison::Sent;

/// What the answer says of the instruction.
pub fn verdict(instruction: &Instruction, answer: &Answer) -> Verdict {
    let judged = match (instruction.returned(), answer) {
        (None, Answer::Status(report)) => payment(instruction, report),
        (None, Answer::Return(_) | Answer::Resolution(_)) => {
            Err(unknown("ANSWER_UNREADABLE", "a message that answers no payment"))
        }
        (Some(original), Answer::Status(report)) => returned::status(instruction, original, report),
        (Some(original), Answer::Return(money)) => returned::given_back(instruction, original, money),
        (Some(original), Answer::Resolution(resolution)) => {
            returned::resolution(instruction, original, resolution)
        }
    };
    judged.unwrap_or_else(|doubt| doubt)
}

/// What a report that nobody asked for says of the payment that it is about, if there is one.
pub(super) fn unasked(report: &StatusReport) -> Verdict {
    status(report, false).unwrap_or_else(|doubt| doubt)
}

fn payment(instruction: &Instruction, report: &StatusReport) -> Result<Verdict, Verdict> {
    let sent = Sent::credit_transfer(instruction);
    sent.names(&report.references)?;
    sent.amounts(report.amount.as_slice())?;
    status(report, instruction.is_enquiry())
}

/// What a report says of a payment, once it is known to be about it; `is_enquired` if the bank was asked for it.
fn status(report: &StatusReport, is_enquired: bool) -> Result<Verdict, Verdict> {
    let status = only_status(report)?;
    match status {
        "ACSC" | "ACCC" if report.reasons.is_empty() => {
            Ok(Verdict::Accepted(Accepted { bank_message_id: report.message_id.clone() }))
        }
        "ACSC" | "ACCC" => Err(unknown("ANSWER_CONTRADICTS_ITSELF", "credited, and a reason why not")),
        "RJCT" => rejection(report, is_enquired),
        _ => Err(undecided(status)),
    }
}

/// The status, which the group's must not contradict.
fn only_status(report: &StatusReport) -> Result<&str, Verdict> {
    let status = report.status.as_deref().unwrap_or_default();
    if report.group_statuses.iter().any(|group| group != status) {
        return Err(unknown("ANSWER_CONTRADICTS_ITSELF", "GrpSts is not TxSts"));
    }
    Ok(status)
}

fn undecided(status: &str) -> Verdict {
    match status {
        "RCVD" | "PDNG" | "ACTC" | "ACSP" | "ACWP" | "ACCP" | "ACFC" | "ACWC" | "ACIS" | "ACPD" | "PATC" => {
            unknown("PENDING_AT_BANK", format!("still in process: {status}"))
        }
        _ => unknown("STATUS_NOT_KNOWN", "TxSts is absent or none that says what became of it"),
    }
}

fn rejection(report: &StatusReport, is_enquired: bool) -> Result<Verdict, Verdict> {
    let (first, codes) = known_codes(&report.reasons, &STATUS_REASONS)?;
    if !is_enquired && codes.iter().any(|code| DUPLICATE.contains(code)) {
        return Err(unknown(
            "REPORTED_AS_DUPLICATE",
            "the bank has the payment already, and doesn't say what became of it",
        ));
    }
    if codes.contains(&NEVER_RECEIVED) {
        return never_received(&codes, is_enquired, report.message_id.clone());
    }
    Ok(Verdict::Rejected(Rejected {
        iso_code: first.to_owned(),
        text: report.words.clone(),
        bank_message_id: report.message_id.clone(),
    }))
}

/// The codes of the reasons, the first of them apart: all of the list, and at least one.
fn known_codes<'a>(reasons: &'a [Reason], list: &CodeList) -> Result<(&'a str, Vec<&'a str>), Verdict> {
    let codes: Option<Vec<&str>> = reasons.iter().map(|reason| reason.code.as_deref()).collect();
    let codes = codes.unwrap_or_default();
    let Some(first) = codes.first() else {
        return Err(unknown("REASON_NOT_KNOWN", "rejected without a reason of the external code list"));
    };
    if !codes.iter().all(|code| list.has(code)) {
        return Err(unknown(
            "REASON_NOT_KNOWN",
            "rejected with a reason that is not of the external code list",
        ));
    }
    Ok((first, codes))
}

/// Never received: the answer to an enquiry, if it is the only reason.
fn never_received(codes: &[&str], is_enquired: bool, bank_message_id: String) -> Result<Verdict, Verdict> {
    if !is_enquired {
        let detail = "says that what it answers was never received";
        return Err(unknown("ANSWER_CONTRADICTS_ITSELF", detail));
    }
    if codes.iter().any(|code| *code != NEVER_RECEIVED) {
        let detail = "never received, and rejected for another reason";
        return Err(unknown("ANSWER_CONTRADICTS_ITSELF", detail));
    }
    Ok(Verdict::NotFound(NotFound { bank_message_id }))
}

#[cfg(test)]
mod tests;
