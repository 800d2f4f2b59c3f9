//! Who is paid, in one word: an IBAN, an account of this ledger, or an account number at a bank.

use common::{bic::Bic, fault::Violation, iban::Iban, id::AccountId};
use proto::payments::{
    Payee,
    payee::{Account, Bank},
};

const MUST: &str = "must be an IBAN (its check digits fit), an account of this ledger (acc_ and 32 small hexadecimal digits), \
                    or NUMBER@BANK, BANK being an id or a BIC";

/// The payee that `--to` names; or notes what is wrong with it.
pub fn parse(to: &str, name: &str, violations: &mut Vec<Violation>) -> Option<Payee> {
    let found = find(to);
    if found.is_none() {
        violations.push(Violation::new("--to", MUST));
    }
    let (account, bank) = found?;
    Some(Payee { name: name.to_owned(), account: Some(account), bank })
}

fn find(to: &str) -> Option<(Account, Option<Bank>)> {
    if to.starts_with("acc_") {
        return AccountId::parse(to).map(|_| (Account::LedgerAccount(to.to_owned()), None));
    }
    let iban = |text: &str| Iban::parse(text).map(|iban| Account::Iban(iban.as_str().to_owned()));
    let Some((number, bank)) = to.rsplit_once('@') else { return iban(to).map(|account| (account, None)) };
    if number.is_empty() || bank.is_empty() {
        return None;
    }
    let bank = match Bic::parse(bank) {
        Some(bic) => Bank::Bic(bic.as_str().to_owned()),
        None => Bank::BankId(bank.to_owned()),
    };
    let account = iban(number).unwrap_or_else(|| Account::AccountNumber(number.to_owned()));
    Some((account, Some(bank)))
}

/// Where somebody is paid, as [`parse`] reads it.
pub fn shown(payee: &Payee) -> String {
    let account = match &payee.account {
        Some(Account::Iban(account) | Account::AccountNumber(account) | Account::LedgerAccount(account)) => {
            account
        }
        None => "",
    };
    match &payee.bank {
        Some(Bank::BankId(bank) | Bank::Bic(bank)) => format!("{account}@{bank}"),
        None => account.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = "acc_01a208179a8b7419a54d26eaeb74192f";

    #[test]
    fn payees_in_one_word() {
        let bank_id = |id: &str| Some(Bank::BankId(id.to_owned()));
        let iban = || Account::Iban("DE89370400440532013000".to_owned());
        for (to, account, bank) in [
            ("DE89370400440532013000", iban(), None),
            ("de89 3704 0044 0532 0130 00", iban(), None),
            ("DE89370400440532013000@aurora", iban(), bank_id("aurora")),
            (LEDGER, Account::LedgerAccount(LEDGER.to_owned()), None),
            ("0000000001@sakura", Account::AccountNumber("0000000001".to_owned()), bank_id("sakura")),
            ("1@SAKUJPJT", Account::AccountNumber("1".to_owned()), Some(Bank::Bic("SAKUJPJTXXX".to_owned()))),
        ] {
            let mut violations = Vec::new();
            let payee = parse(to, "Blaise", &mut violations).expect(to);
            assert_eq!((payee.account.as_ref(), &payee.bank), (Some(&account), &bank), "{to}");
            assert!(violations.is_empty(), "{to}");
        }
        for bad in ["", "DE88370400440532013000", "acc_1", "@sakura", "1@", "12345"] {
            let mut violations = Vec::new();
            assert!(parse(bad, "Blaise", &mut violations).is_none(), "{bad}");
            assert_eq!(violations.len(), 1, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_can_be_paid_to() {
        for to in ["DE89370400440532013000", "DE89370400440532013000@aurora", LEDGER, "0000000001@sakura"] {
            assert_eq!(shown(&parse(to, "Blaise", &mut Vec::new()).expect(to)), to);
        }
    }
}
