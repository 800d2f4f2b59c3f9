//! Deposits: what an operator proposes, and what another one decides on it.

use common::{
    fault::Violation,
    id::{AccountId, DepositId},
    money::Money,
    order::DepositOrder,
    text,
};

use super::{
    amount, id,
    order::{BANK_ID_FORM, check, check_readable, is_bank_id},
};
use crate::accounts::{ApproveDepositRequest, DepositRequest, RejectDepositRequest};

/// Reads a deposit order.
///
/// # Errors
/// Everything that is wrong with it.
pub fn deposit_order(wire: &DepositRequest) -> Result<DepositOrder, Vec<Violation>> {
    let mut violations = Vec::new();
    check("request_id", text::request_id(&wire.request_id), &mut violations);
    let account = id("account", &wire.account, "acc_", AccountId::parse, &mut violations);
    let amount = amount("amount", wire.amount.as_ref(), &mut violations);
    if !is_bank_id(&wire.bank_id) {
        violations.push(Violation::new("bank_id", BANK_ID_FORM));
    }
    if !wire.reference.is_empty() {
        check_readable("reference", &wire.reference, &mut violations);
    }
    match (account, amount) {
        (Some(account), Some(amount)) if violations.is_empty() => Ok(DepositOrder {
            request_id: wire.request_id.clone(),
            account,
            amount,
            bank_id: wire.bank_id.clone(),
            reference: wire.reference.clone(),
        }),
        _ => Err(violations),
    }
}

/// Reads which deposit is approved, at which amount.
///
/// # Errors
/// Everything that is wrong with it.
pub fn approval(wire: &ApproveDepositRequest) -> Result<(DepositId, Money), Vec<Violation>> {
    let mut violations = Vec::new();
    let deposit = id("deposit", &wire.deposit, "dep_", DepositId::parse, &mut violations);
    let amount = amount("amount", wire.amount.as_ref(), &mut violations);
    deposit.zip(amount).ok_or(violations)
}

/// Reads which deposit is rejected, and why.
///
/// # Errors
/// Everything that is wrong with it.
pub fn rejection(wire: &RejectDepositRequest) -> Result<(DepositId, String), Vec<Violation>> {
    let mut violations = Vec::new();
    let deposit = id("deposit", &wire.deposit, "dep_", DepositId::parse, &mut violations);
    check_readable("reason", &wire.reason, &mut violations);
    deposit.filter(|_| violations.is_empty()).map(|id| (id, wire.reason.clone())).ok_or(violations)
}
