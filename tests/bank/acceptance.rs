//! Whether a bank takes a payment that it has not seen before: pure, the time is an argument.

use time::Duration;

use crate::config::{BankConfig, normal_bic};
use crate::messages::pacs008::{Account, Payment};
use crate::messages::reason::{Code, Reason};
use crate::messages::stamp::Stamp;

pub mod returns;

/// Why `bank` refuses `payment` at `now`; none if it credits it.
pub fn refusal(bank: &BankConfig, payment: &Payment, now: Stamp) -> Option<Reason> {
    if normal_bic(&payment.creditor_agent) != normal_bic(&bank.bic) {
        return Some(Reason::new(Code::NotThisBank, "the creditor agent is another bank"));
    }
    if !bank.currencies.contains(&payment.amount.currency) {
        return Some(Reason::new(Code::UnsupportedCurrency, "no accounts in this currency"));
    }
    if payment.amount.minor_units == 0 {
        return Some(Reason::new(Code::ZeroAmount, "the amount is zero"));
    }
    if payment.settlement_date != payment.accepted_at.date() {
        return Some(Reason::new(Code::InvalidDate, "the settlement date is not the day of acceptance"));
    }
    if !is_own_account(bank, &payment.creditor_account) {
        return Some(Reason::new(Code::UnknownCreditorAccount, "no such account at this bank"));
    }
    // Last of all and never undone: the sender relies on it to know that a lost payment stays lost.
    if now.time() > payment.accepted_at + Duration::milliseconds(bank.valid_for_ms.into()) {
        return Some(Reason::new(Code::TooLate, "the payment arrived after its validity"));
    }
    None
}

/// The bank takes any account that is not an IBAN; an IBAN must be valid and carry one of its bank codes.
fn is_own_account(bank: &BankConfig, account: &Account) -> bool {
    let Account::Iban(iban) = account else { return true };
    let is_own_code = |code: &String| {
        let (country, bank_code) = code.split_at_checked(2).unwrap_or_default();
        iban.starts_with(country) && iban.get(4..).is_some_and(|rest| rest.starts_with(bank_code))
    };
    has_valid_check_digits(iban)
        && (bank.iban_bank_codes.is_empty() || bank.iban_bank_codes.iter().any(is_own_code))
}

/// ISO 7064 MOD 97-10 over the IBAN with its first four characters moved to the end and letters read as 10 to 35.
fn has_valid_check_digits(iban: &str) -> bool {
    let bytes = iban.as_bytes();
    let rearranged = bytes.iter().skip(4).chain(bytes.iter().take(4));
    let remainder = rearranged.fold(0_u32, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')) + 10) % 97,
    });
    remainder == 1
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use time::Duration;

    use super::refusal;
    use crate::config::{BankConfig, parse};
    use crate::messages::pacs008::Account;
    use crate::messages::sample;
    use crate::messages::stamp::Stamp;

    pub fn bank() -> BankConfig {
        let text = "[[bank]]\nid = \"aurora\"\nbic = \"AURODEFFXXX\"\nname = \"Aurora\"\ncurrencies = [\"EUR\"]\n\
                    valid_for_ms = 60000\niban_bank_codes = [\"DE37040044\"]\n";
        parse(text, Path::new("")).unwrap().banks.remove(0)
    }

    #[test]
    fn a_payment_is_refused_for_the_reason_that_it_gives() {
        let good = sample(1);
        let mut cases = vec![(good.clone(), None), (good.clone(), None)];
        cases[1].0.creditor_agent = "AURODEFF".into();
        let mut case = |code: &'static str, change: &dyn Fn(&mut crate::messages::pacs008::Payment)| {
            let mut payment = good.clone();
            change(&mut payment);
            cases.push((payment, Some(code)));
        };
        case("RC04", &|p| p.creditor_agent = "BOREFRPP".into());
        case("AM03", &|p| p.amount.currency = "USD".parse().unwrap());
        case("AM01", &|p| p.amount.minor_units = 0);
        case("DT01", &|p| p.settlement_date = p.settlement_date.next_day().unwrap());
        case("AC03", &|p| p.creditor_account = Account::Iban("DE88370400440532013000".into()));
        case("AC03", &|p| p.creditor_account = Account::Iban("GB82WEST12345698765432".into()));
        for (payment, code) in cases {
            let reason = refusal(&bank(), &payment, Stamp::new(payment.accepted_at));
            assert_eq!(reason.and_then(|reason| reason.code).as_deref(), code, "{payment:?}");
        }
    }

    #[test]
    fn validity_ends_with_its_last_millisecond() {
        let payment = sample(1);
        let end = payment.accepted_at + Duration::milliseconds(60_000);
        assert_eq!(refusal(&bank(), &payment, Stamp::new(end)), None);
        let reason = refusal(&bank(), &payment, Stamp::new(end + Duration::milliseconds(1))).unwrap();
        assert_eq!(reason.code.as_deref(), Some("TM01"));
    }
}
