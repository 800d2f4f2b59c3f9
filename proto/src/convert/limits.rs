//! Requests about limits of money.

use common::{
    fault::Violation,
    id::AccountId,
    money::Currency,
    order::{LimitRule, LimitRules},
    text,
};

use super::order::check;
use crate::limits::{Limits, SetAccountLimitsRequest, SetParticipantLimitsRequest};

/// Reads whose account is to be limited, and how.
///
/// # Errors
/// Everything that is wrong with it.
pub fn account_limits(wire: &SetAccountLimitsRequest) -> Result<(AccountId, LimitRules), Vec<Violation>> {
    let mut violations = Vec::new();
    let account = super::id("account", &wire.account, "acc_", AccountId::parse, &mut violations);
    let rules = rules(wire.limits.as_ref(), &mut violations);
    match (account, rules) {
        (Some(account), Some(rules)) if violations.is_empty() => Ok((account, rules)),
        _ => Err(violations),
    }
}

/// Reads which participant is to be limited, in which currency, and how.
///
/// # Errors
/// Everything that is wrong with it.
pub fn participant_limits(
    wire: &SetParticipantLimitsRequest,
) -> Result<(Currency, LimitRules), Vec<Violation>> {
    let mut violations = Vec::new();
    check("participant", text::participant(&wire.participant), &mut violations);
    let currency = super::currency("currency", &wire.currency, &mut violations);
    let rules = rules(wire.limits.as_ref(), &mut violations);
    match (currency, rules) {
        (Some(currency), Some(rules)) if violations.is_empty() => Ok((currency, rules)),
        _ => Err(violations),
    }
}

fn rules(wire: Option<&Limits>, violations: &mut Vec<Violation>) -> Option<LimitRules> {
    let Some(wire) = wire else {
        violations.push(Violation::new("limits", "required; an empty message lifts every limit"));
        return None;
    };
    let all = [
        ("payment_minor_units", wire.payment_minor_units),
        ("hour_minor_units", wire.hour_minor_units),
        ("hour_payments", wire.hour_payments),
        ("day_minor_units", wire.day_minor_units),
        ("day_payments", wire.day_payments),
        ("unsigned_payment_minor_units", wire.unsigned_payment_minor_units),
    ];
    for (field, _) in all.iter().filter(|(_, most)| most.is_some_and(i64::is_negative)) {
        violations.push(Violation::new(format!("limits.{field}"), "must not be negative"));
    }
    Some(LimitRules {
        payment_minor_units: wire.payment_minor_units,
        unsigned_payment_minor_units: wire.unsigned_payment_minor_units,
        hour: LimitRule { minor_units: wire.hour_minor_units, payments: wire.hour_payments },
        day: LimitRule { minor_units: wire.day_minor_units, payments: wire.day_payments },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_said_at_once() {
        let limits =
            Limits { payment_minor_units: Some(-1), day_payments: Some(i64::MIN), ..Limits::default() };
        let wire = SetAccountLimitsRequest { account: "acc_1".to_owned(), limits: Some(limits) };
        let fields: Vec<_> =
            account_limits(&wire).unwrap_err().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(fields, ["account", "limits.payment_minor_units", "limits.day_payments"]);
        let wire = SetParticipantLimitsRequest::default();
        let fields: Vec<_> =
            participant_limits(&wire).unwrap_err().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(fields, ["participant", "currency", "limits"]);
    }

    #[test]
    fn zero_is_a_limit_and_absent_is_none() {
        let limits = Limits { hour_payments: Some(0), ..Limits::default() };
        let wire = SetParticipantLimitsRequest {
            participant: "demo-shop".to_owned(),
            currency: "EUR".to_owned(),
            limits: Some(limits),
        };
        let hour = LimitRule { minor_units: None, payments: Some(0) };
        assert_eq!(participant_limits(&wire).unwrap().1, LimitRules { hour, ..LimitRules::default() });
    }
}
