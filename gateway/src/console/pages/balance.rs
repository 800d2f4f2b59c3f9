//! The trial balance.

use askama::Template;
use axum::response::Response;
use proto::operations::{BalanceCheck, GetTrialBalanceRequest, GetTrialBalanceResponse};

use crate::console::{
    show,
    visitor::{Frame, Visitor, call, page},
};

#[derive(Template)]
#[template(path = "balance.html")]
struct BalancePage {
    frame: Frame,
    is_house: bool,
    found: GetTrialBalanceResponse,
}

impl BalancePage {
    fn name<'a>(&self, check: &'a BalanceCheck) -> &'a str {
        match check.name.as_str() {
            "DEBITS_EQUAL_CREDITS" => self.frame.t.check_equal,
            "HOLDS_EQUAL_PAYMENTS_UNDER_WAY" => self.frame.t.check_holds,
            "NO_ACCOUNT_OVERDRAWN" => self.frame.t.check_overdrawn,
            other => other,
        }
    }
}

/// Takes one, and shows it.
pub(in crate::console) async fn show(visitor: Visitor) -> Response {
    let request = GetTrialBalanceRequest { participant: visitor.whose() };
    match call!(visitor, ReadOperations, GetTrialBalance, request).await {
        Ok(found) => {
            page(&BalancePage { frame: visitor.frame("balance"), is_house: visitor.is_house(), found })
        }
        Err(status) => visitor.problem(&status),
    }
}
