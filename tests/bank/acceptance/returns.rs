//! Whether a bank gives back what a return request that it has not seen before asks for: pure, the time is an argument.

use time::Duration;

use crate::books::returns::Original;
use crate::config::{BankConfig, normal_bic};
use crate::messages::camt056::ReturnRequest;
use crate::messages::reason::{Reason, ReturnCode};
use crate::messages::stamp::Stamp;

/// Why `bank` refuses `request` at `now`, given the payment that it is about; none if it gives the amount back.
pub fn refusal(
    bank: &BankConfig,
    request: &ReturnRequest,
    original: Option<&Original>,
    now: Stamp,
) -> Option<Reason> {
    if normal_bic(&request.assignee) != normal_bic(&bank.bic) {
        return Some(Reason::new(ReturnCode::NotThisBank, "the assignee is another bank"));
    }
    let Some(original) = original.filter(|original| original.entry.rejection.is_none()) else {
        return Some(Reason::new(ReturnCode::NeverReceived, "no such payment was credited"));
    };
    let Original { entry, returned_minor_units } = original;
    if entry.references != request.original {
        return Some(Reason::new(ReturnCode::Narrative, "the references are of different payments"));
    }
    if request.original_amount != entry.reported() {
        return Some(Reason::new(ReturnCode::Narrative, "the payment was about another amount"));
    }
    if request.amount.currency != entry.amount.currency || request.amount.minor_units == 0 {
        return Some(Reason::new(ReturnCode::Narrative, "the amount is zero or of another currency"));
    }
    let left = entry.amount.minor_units.saturating_sub(*returned_minor_units);
    if left == 0 {
        return Some(Reason::new(ReturnCode::AlreadyReturned, "all of it was returned before"));
    }
    if request.amount.minor_units > left {
        return Some(Reason::new(ReturnCode::TooMuch, "more is asked back than is left"));
    }
    // Last of all and never undone: the sender relies on it to know that a lost request stays lost.
    if now.time() > request.created_at + Duration::milliseconds(bank.valid_for_ms.into()) {
        return Some(Reason::new(ReturnCode::TooLate, "the request arrived after its validity"));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use time::Duration;

    use super::{Original, refusal};
    use crate::acceptance::tests::bank;
    use crate::books::record::Entry;
    use crate::messages::camt056::ReturnRequest;
    use crate::messages::reason::{Code, Reason};
    use crate::messages::stamp::Stamp;
    use crate::messages::{sample, sample_return};

    fn original(returned_minor_units: u64) -> Original {
        let payment = sample(1);
        let entry = Entry {
            references: payment.references.clone(),
            amount: payment.amount,
            reported: None,
            creditor_account: payment.creditor_account.as_str().into(),
            time: Stamp::new(payment.accepted_at),
            content: payment.fingerprint,
            again: false,
            rejection: None,
        };
        Original { entry: Arc::new(entry), returned_minor_units }
    }

    fn code(request: &ReturnRequest, original: Option<&Original>) -> Option<Box<str>> {
        refusal(&bank(), request, original, Stamp::new(request.created_at)).and_then(|reason| reason.code)
    }

    #[test]
    fn a_request_is_refused_for_the_reason_that_it_gives() {
        let good = sample_return(1, "RTN-1", "12.34");
        assert_eq!(code(&good, Some(&original(0))), None);
        assert_eq!(code(&good, None).as_deref(), Some("NOOR"));
        let mut rejected = original(0);
        let reason = Box::new(Reason::new(Code::ZeroAmount, "zero"));
        Arc::get_mut(&mut rejected.entry).unwrap().rejection = Some(reason);
        assert_eq!(code(&good, Some(&rejected)).as_deref(), Some("NOOR"));
        let case = |expected: &str, change: &dyn Fn(&mut ReturnRequest)| {
            let mut request = good.clone();
            change(&mut request);
            assert_eq!(code(&request, Some(&original(0))).as_deref(), Some(expected), "{request:?}");
        };
        case("AGNT", &|r| r.assignee = "BOREFRPP".into());
        case("NARR", &|r| r.original.message_id = "MSG-2".into());
        case("NARR", &|r| r.original.end_to_end_id = "other".into());
        case("NARR", &|r| r.original_amount.minor_units += 1);
        case("NARR", &|r| r.amount.currency = "USD".parse().unwrap());
        case("NARR", &|r| r.amount.minor_units = 0);
        case("AM04", &|r| r.amount.minor_units += 1);
    }

    #[test]
    fn never_more_than_is_left() {
        let one = sample_return(1, "RTN-1", "0.01");
        assert_eq!(code(&one, Some(&original(1_233))), None);
        assert_eq!(code(&one, Some(&original(1_234))).as_deref(), Some("ARDT"));
        let two = sample_return(1, "RTN-1", "0.02");
        assert_eq!(code(&two, Some(&original(1_233))).as_deref(), Some("AM04"));
    }

    #[test]
    fn validity_ends_with_its_last_millisecond() {
        let request = sample_return(1, "RTN-1", "12.34");
        let at = |ms: i64| {
            let now = Stamp::new(request.created_at + Duration::milliseconds(ms));
            refusal(&bank(), &request, Some(&original(0)), now).and_then(|reason| reason.code)
        };
        assert_eq!(at(60_000), None);
        assert_eq!(at(60_001).as_deref(), Some("NOAS"));
    }
}
