//! The banks of the bench, and the files that tell the bank program and the channel of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Setup;
use crate::{
    BenchError,
    certificates::{Certificates, client_at, name_of},
    names::iban,
};

/// A simulated bank.
#[derive(Clone, Copy, Debug)]
pub struct BankSetup {
    /// Its id in the directory.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its BIC.
    pub bic: &'static str,
    /// The country and bank code of its IBANs; none if its accounts have plain numbers.
    pub iban_code: Option<(&'static str, &'static str)>,
    /// The currencies that it takes.
    pub currencies: &'static [&'static str],
}

/// The three banks of the bench.
pub const BANKS: [BankSetup; 3] = [
    BankSetup {
        id: "aurora",
        name: "Aurora Bank",
        bic: "AURODEF0XXX",
        iban_code: Some(("DE", "37040044")),
        currencies: &["EUR", "USD"],
    },
    BankSetup {
        id: "meridian",
        name: "Banque Meridian",
        bic: "MERIFRP0XXX",
        iban_code: Some(("FR", "20041")),
        currencies: &["EUR"],
    },
    BankSetup {
        id: "sakura",
        name: "Sakura Bank",
        bic: "SAKUJPJ0XXX",
        iban_code: None,
        currencies: &["JPY", "USD"],
    },
];

impl BankSetup {
    /// An account at the bank: an IBAN where it has them, else a plain number.
    pub fn account(&self, number: u32) -> String {
        match self.iban_code {
            Some((country @ "DE", code)) => iban(country, &format!("{code}{number:010}")),
            Some((country, code)) => {
                let account = format!("{code}01005{number:011}");
                iban(country, &format!("{account}{:02}", french_key(&account)))
            }
            None => format!("{number:010}"),
        }
    }
}

/// The national check digits of a French account (clé RIB).
fn french_key(account: &str) -> u64 {
    let part =
        |from: usize, to: usize| account.get(from..to).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    97 - (89 * part(0, 5) + 15 * part(5, 10) + 3 * part(10, 21)) % 97
}

/// The times by which the system treats its banks, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct BankTimes {
    /// How long the channel waits for an answer.
    pub answer_timeout_ms: u32,
    /// How long after acceptance the first enquiry makes sense.
    pub enquire_after_ms: u32,
    /// How long after acceptance a bank still takes a payment.
    pub valid_for_ms: u32,
}

/// Short, so that nobody waits long for what a demo or a test shows.
pub const QUICK: BankTimes =
    BankTimes { answer_timeout_ms: 1_500, enquire_after_ms: 1_800, valid_for_ms: 60_000 };

fn quoted(items: impl Iterator<Item = String>) -> String {
    items.map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ")
}

fn described(bank: &BankSetup) -> String {
    let codes = quoted(bank.iban_code.iter().map(|(country, code)| format!("{country}{code}")));
    let currencies = quoted(bank.currencies.iter().map(|&currency| currency.to_owned()));
    let BankSetup { id, name, bic, .. } = bank;
    format!(
        "[[bank]]\nid = \"{id}\"\nname = \"{name}\"\nbic = \"{bic}\"\niban_bank_codes = [{codes}]\n\
         currencies = [{currencies}]\n"
    )
}

fn signing(setup: &Setup, bank: &BankSetup) -> bool {
    setup.signing.contains(&bank.id)
}

/// Where a bank says which address it has for itself.
pub(super) fn own_address_file(folder: &Path, bank: &BankSetup) -> PathBuf {
    folder.join("books").join(format!("{}.address", bank.id))
}

/// The file of the banks for `bank`, each on the address that it had before, if it was started before. They speak over TLS, unless
/// nothing is encrypted, each with the channel alone; whoever tests them needs none.
pub fn banks_file(setup: &Setup, certificates: &Certificates) -> String {
    let entry = |bank: &BankSetup| {
        let listen = fs::read_to_string(own_address_file(&setup.folder, bank));
        let listen = listen.unwrap_or_else(|_| "127.0.0.1:0".to_owned());
        let notice_url = |address| format!("notice_url = \"https://{address}/banks/{}/pacs.002\"\n", bank.id);
        let known = setup.notice_listen.as_ref().filter(|address| !address.ends_with(":0"));
        let notice_url = known.map(notice_url).unwrap_or_default();
        let valid_for_ms = setup.times.valid_for_ms;
        let client_name = match setup.is_plaintext {
            true => String::new(),
            false => format!("client_name = \"{}\"\n", client_at(bank.id)),
        };
        let signs = format!("{}-signs", bank.id);
        let signatures = signing(setup, bank).then(|| certificates.signatures(&signs, "rialto-signs"));
        let signatures = signatures.unwrap_or_default();
        format!(
            "{}valid_for_ms = {valid_for_ms}\nlisten = \"{listen}\"\n{client_name}\
             {}notice_ca_file = {:?}\n{signatures}{notice_url}\n",
            described(bank),
            certificates.settings("notice_", &format!("of-{}", bank.id)),
            certificates.ca(),
        )
    };
    let banks: String = setup.banks.iter().map(entry).collect();
    if setup.is_plaintext {
        return banks;
    }
    let served = certificates.settings("", "banks");
    format!("{served}client_ca_file = {:?}\n\n{banks}", certificates.file("bank-ca"))
}

/// The channel's directory of the banks, each at the address that it says it has, or all of them behind a detour, and each over TLS with
/// a certificate of its own; and of those that are described already.
///
/// # Errors
/// When a bank has not said its address yet.
pub fn directory_file(
    setup: &Setup,
    certificates: &Certificates,
    detour: Option<&str>,
) -> Result<String, BenchError> {
    let BankTimes { answer_timeout_ms, enquire_after_ms, valid_for_ms } = setup.times;
    let entry = |bank: &BankSetup| {
        let address = match detour {
            Some(address) => address.to_owned(),
            None => fs::read_to_string(own_address_file(&setup.folder, bank))?,
        };
        let ca = certificates.file("bank-ca");
        let signs = format!("{}-signs", bank.id);
        let signatures = signing(setup, bank).then(|| certificates.signatures("rialto-signs", &signs));
        let signatures = signatures.unwrap_or_default();
        let settings = setup.bank_settings.iter().filter(|(of, _)| *of == bank.id);
        let settings: String = settings.map(|(_, line)| format!("{line}\n")).collect();
        let policy = if setup.queueing.contains(&bank.id) { "queue" } else { "refuse" };
        let reached = match setup.is_plaintext {
            true => format!("address = \"http://{address}/{}\"\ninsecure = true\n", bank.id),
            false => format!(
                "address = \"https://{address}/{}\"\nca_file = {ca:?}\n{}",
                bank.id,
                certificates.settings("client_", &format!("at-{}", bank.id))
            ),
        };
        Ok(format!(
            "{}rail = \"iso20022\"\n{reached}notice_ca_file = {ca:?}\n\
             notice_name = \"{}\"\nanswer_timeout_ms = {answer_timeout_ms}\n\
             enquire_after_ms = {enquire_after_ms}\nvalid_for_ms = {valid_for_ms}\nmax_in_flight = {}\n\
             offline_policy = \"{policy}\"\n{signatures}{settings}\n",
            described(bank),
            name_of(bank.id),
            setup.max_in_flight,
        ))
    };
    let more = setup.more_banks.iter().cloned().map(Ok);
    setup.banks.iter().map(entry).chain(more).collect()
}
