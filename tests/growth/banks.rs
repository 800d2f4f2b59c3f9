//! As many banks as are asked for.

use harness::system::BankSetup;

/// So many banks, each with IBANs of its own.
pub fn banks(count: u32) -> Vec<BankSetup> {
    (0..count).map(bank).collect()
}

fn bank(number: u32) -> BankSetup {
    let letter = |digit: u32| char::from_digit(10 + digit % 26, 36).unwrap_or('z').to_ascii_uppercase();
    let bic = format!("{}{}{}XDEF0XXX", letter(number / 676), letter(number / 26), letter(number));
    BankSetup {
        // The harness names banks once and for all; these live as long as the bench, too.
        id: format!("bank-{number}").leak(),
        name: format!("Bank {number}").leak(),
        bic: bic.leak(),
        iban_code: Some(("DE", format!("{:08}", 10_000_000 + number).leak())),
        currencies: &["EUR"],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use common::{bic::Bic, iban::Iban};

    use super::banks;

    #[test]
    fn banks_are_told_apart() {
        let banks = banks(1_000);
        let differ = |of: fn(&harness::system::BankSetup) -> String| {
            banks.iter().map(of).collect::<HashSet<_>>().len()
        };
        assert_eq!(differ(|bank| bank.id.to_owned()), 1_000);
        assert_eq!(differ(|bank| Bic::parse(bank.bic).unwrap().as_str().to_owned()), 1_000);
        assert_eq!(
            differ(|bank| Iban::parse(&bank.account(7)).unwrap().bank_code().unwrap().to_owned()),
            1_000
        );
    }
}
