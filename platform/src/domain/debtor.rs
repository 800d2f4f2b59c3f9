//! Who pays an account here from one at another bank. The house's payment that such a credit transfer is keeps it among its labels, encrypted
//! like all that tells of people.

use std::collections::BTreeMap;

use common::text::HOUSE;

use super::payment::Payment;

const NAME: &str = "debtor_name";
const ACCOUNT: &str = "debtor_account";

/// The debtor of an incoming credit transfer, as its bank named it (ISO 20022 `Dbtr`, `DbtrAcct`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debtor {
    /// The name.
    pub name: String,
    /// An IBAN or another number, if the bank told one.
    pub account: Option<String>,
}

impl Debtor {
    /// The labels that keep it.
    pub fn labels(self) -> BTreeMap<String, String> {
        let account = self.account.map(|account| (ACCOUNT.to_owned(), account));
        [(NAME.to_owned(), self.name)].into_iter().chain(account).collect()
    }

    /// Who paid, if the payment came in from a bank that said so.
    pub fn of(payment: &Payment) -> Option<Self> {
        let label = |name: &str| payment.metadata.get(name).cloned();
        let name = label(NAME).filter(|_| payment.participant == HOUSE)?;
        Some(Self { name, account: label(ACCOUNT) })
    }
}
