//! The trial balance, as the gateway can tell it: accounts added up, and what always holds of them.

use common::money::Currency;
use proto::operations::{CurrencyBalance, GetTrialBalanceRequest, GetTrialBalanceResponse};

use crate::{
    failure::Failure,
    gateway_link::{ANSWER_TIMEOUT, Gateway, within},
    screen::{Rows, Screen},
};

/// Add up accounts, and check what always holds.
#[derive(clap::Args, Debug)]
pub struct TrialBalance {
    /// Whose accounts. Absent: yours. `*`: everybody's and the house's, which balance (the house only).
    #[arg(long, default_value = "", hide_default_value = true)]
    participant: String,
}

impl TrialBalance {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<(), Failure> {
        let request = GetTrialBalanceRequest { participant: self.participant.clone() };
        let answer = gateway.operations.clone().get_trial_balance(within(ANSWER_TIMEOUT, request)).await;
        let balance = answer.map_err(Failure::read)?.into_inner();
        screen.show(&balance, rows)?;
        match violations(&balance) {
            violations if violations.is_empty() => Ok(()),
            violations => Err(Failure::Unbalanced(violations)),
        }
    }
}

fn rows(balance: &GetTrialBalanceResponse) -> Rows {
    let row = |sums: &CurrencyBalance| {
        let amount = |minor_units: &str| decimal(minor_units, &sums.currency);
        [
            sums.currency.clone(),
            amount(&sums.debits_posted),
            amount(&sums.credits_posted),
            amount(&sums.debits_pending),
            amount(&sums.credits_pending),
        ]
    };
    Rows::below(["CURRENCY", "DEBITS", "CREDITS", "HELD", "EXPECTED"], balance.currencies.iter().map(row))
}

fn violations(balance: &GetTrialBalanceResponse) -> Vec<String> {
    let broken = balance.checks.iter().filter(|check| check.violations != 0);
    broken.map(|check| format!("{} does not hold in {} places", check.name, check.violations)).collect()
}

/// A sum of minor units as people write amounts. As text, since it may exceed 64 bits.
fn decimal(minor_units: &str, currency: &str) -> String {
    let places = Currency::parse(currency).map_or(0, Currency::exponent);
    let places = usize::try_from(places).unwrap_or_default();
    if places == 0 {
        return minor_units.to_owned();
    }
    let digits = format!("{minor_units:0>width$}", width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    format!("{whole}.{part}")
}

#[cfg(test)]
mod tests {
    use proto::operations::BalanceCheck;

    use super::*;

    #[test]
    fn sums_are_written_with_their_currencys_places() {
        assert_eq!(decimal("0", "EUR"), "0.00");
        assert_eq!(decimal("7", "EUR"), "0.07");
        assert_eq!(decimal("123456789012345678901234567890", "EUR"), "1234567890123456789012345678.90");
        assert_eq!(decimal("500", "JPY"), "500");
    }

    #[test]
    fn what_does_not_hold_is_named() {
        let check = |name: &str, violations| BalanceCheck { name: name.to_owned(), violations };
        let checks = vec![check("NO_ACCOUNT_OVERDRAWN", 0), check("DEBITS_EQUAL_CREDITS", 2)];
        let balance = GetTrialBalanceResponse { checks, ..Default::default() };
        assert_eq!(violations(&balance), ["DEBITS_EQUAL_CREDITS does not hold in 2 places"]);
    }
}
