//! What an answer says of a return request. Several requests may be about one credit transfer, so an answer must name
//! the request itself.

use proto::channel::{Accepted, Rejected, outcome::Verdict};

use super::{
    super::{
        camt029::Resolution,
        codes::{ALREADY_RETURNED, CANCELLATION_REJECTIONS, NEVER_RECEIVED, STATUS_REASONS},
        pacs002::StatusReport,
        pacs004::PaymentReturn,
    },
    comparison::{Sent, demand},
    known_codes, never_received, only_status, undecided,
};
use crate::{
    instruction::{Instruction, Original},
    rails::unknown,
};

/// What a return says of the request: it is the return of just that.
pub(super) fn given_back(
    instruction: &Instruction,
    original: &Original,
    money: &PaymentReturn,
) -> Result<Verdict, Verdict> {
    let sent = Sent::returned(instruction, original);
    sent.names(&money.references)?;
    demand(&money.references, "RtrId")?;
    sent.amounts(&money.amounts)?;
    Ok(Verdict::Accepted(Accepted { bank_message_id: money.message_id.clone() }))
}

/// What a resolution says of the request.
pub(super) fn resolution(
    instruction: &Instruction,
    original: &Original,
    resolution: &Resolution,
) -> Result<Verdict, Verdict> {
    let sent = Sent::returned(instruction, original);
    sent.names(&resolution.references)?;
    demand(&resolution.references, "CxlStsId")?;
    sent.amounts(&resolution.amounts)?;
    let status = resolution.confirmation.as_deref().unwrap_or_default();
    if resolution.statuses.iter().any(|other| other != status) {
        return Err(unknown("ANSWER_CONTRADICTS_ITSELF", "TxCxlSts or GrpCxlSts is not Conf"));
    }
    match status {
        "RJCR" => refusal(instruction, resolution),
        "PDCR" => Err(unknown("PENDING_AT_BANK", "not decided yet: PDCR")),
        _ => Err(unknown("STATUS_NOT_KNOWN", "Conf is absent or none that says what became of it")),
    }
}

fn refusal(instruction: &Instruction, resolution: &Resolution) -> Result<Verdict, Verdict> {
    let (first, codes) = known_codes(&resolution.reasons, &CANCELLATION_REJECTIONS)?;
    if !instruction.is_enquiry() && codes.contains(&ALREADY_RETURNED) {
        return Err(unknown(
            "REPORTED_AS_DUPLICATE",
            "the bank has returned the payment already, and doesn't say whether for this request",
        ));
    }
    Ok(Verdict::Rejected(Rejected {
        iso_code: first.to_owned(),
        text: resolution.words.clone(),
        bank_message_id: resolution.message_id.clone(),
    }))
}

/// What a status report says of the request: at most that it was never received.
pub(super) fn status(
    instruction: &Instruction,
    original: &Original,
    report: &StatusReport,
) -> Result<Verdict, Verdict> {
    let sent = Sent::return_request(instruction, original);
    sent.names(&report.references)?;
    // The UETR is the credit transfer's: alone it does not say which of the two was never received.
    demand(&report.references, "OrgnlMsgId")?;
    demand(&report.references, "OrgnlMsgNmId")?;
    sent.amounts(report.amount.as_slice())?;
    let status = only_status(report)?;
    if status != "RJCT" {
        return Err(undecided(status));
    }
    let (_, codes) = known_codes(&report.reasons, &STATUS_REASONS)?;
    if !codes.contains(&NEVER_RECEIVED) {
        return Err(unknown("STATUS_NOT_KNOWN", "only a camt.029 refuses a return request"));
    }
    never_received(&codes, instruction.is_enquiry(), report.message_id.clone())
}

#[cfg(test)]
mod tests;
