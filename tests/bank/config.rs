//! The banks file: which banks this process is.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use toml::{Table, Value};

use crate::messages::amount::Currency;
use crate::messages::is_bic;
use crate::tls::{Caller, NoticeFiles, ServerFiles};

/// The banks, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanksFile {
    /// What they are served with over TLS; none: plaintext alone.
    pub tls: Option<ServerFiles>,
    /// Each of them.
    pub banks: Vec<BankConfig>,
}

/// One bank, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankConfig {
    /// Its place in addresses and the name of its books: lower-case letters, digits and hyphens.
    pub id: String,
    /// Its BIC, of 8 or 11 characters.
    pub bic: String,
    /// What people call it.
    pub name: String,
    /// The currencies that it keeps accounts in.
    pub currencies: Vec<Currency>,
    /// How long after its acceptance a payment is still taken, in milliseconds.
    pub valid_for_ms: u32,
    /// Country and bank code of the IBANs that it issues (`DE50010517`); none: any valid IBAN is taken as its own.
    pub iban_bank_codes: Vec<String>,
    /// An address of its own, besides the one that all banks share, which the bank can leave; port 0 takes any free port.
    pub listen: Option<SocketAddr>,
    /// Where the bank sends what it says unasked; none: nowhere until it is told.
    pub notice_url: Option<Url>,
    /// The URI name in the certificate of the one who may send it messages; none: anybody may, in plaintext too.
    pub client_name: Option<String>,
    /// What it sends notices with over TLS.
    pub notice_files: Option<NoticeFiles>,
    /// The private key (PEM) that it signs with.
    pub sign_key: Option<PathBuf>,
    /// The public key (PEM) of whoever sends it messages; none: they need not be signed.
    pub verify_key: Option<PathBuf>,
}

impl BankConfig {
    /// Whether it takes messages from this caller.
    pub fn lets_in(&self, caller: &Caller) -> bool {
        self.client_name.as_ref().is_none_or(|name| caller.is(name))
    }
}

/// Reads the file at `path`, reporting every problem with the file's name.
pub fn load(path: &Path) -> Result<BanksFile, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder).map_err(|problems| report(path, &problems))
}

/// One line per problem, each beginning with the file's name.
pub fn report(path: &Path, problems: &[String]) -> String {
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect();
    lines.join("\n")
}

/// Reads the text of a banks file. Files that it names are looked for in `folder`.
pub fn parse(text: &str, folder: &Path) -> Result<BanksFile, Vec<String>> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| vec![error.to_string()])?;
    let mut problems = Vec::new();
    let entries = match table.remove("bank") {
        Some(Value::Array(entries)) if !entries.is_empty() => entries,
        _ => {
            problems.push("at least one [[bank]] is needed".to_owned());
            Vec::new()
        }
    };
    let mut keys = Keys { table, place: "the file".to_owned(), folder, problems: &mut problems };
    let client_ca = keys.file("client_ca_file");
    let [certificate, key] = keys.files(["certificate_file", "key_file"]);
    let tls = certificate.zip(key).map(|(certificate, key)| ServerFiles { certificate, key, client_ca });
    keys.refuse_the_rest();
    let mut banks = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let place = format!("bank {}", index + 1);
        let Value::Table(table) = entry else {
            problems.push(format!("{place}: must be a table"));
            continue;
        };
        let mut keys = Keys { table, place, folder, problems: &mut problems };
        let bank = read_bank(&mut keys);
        keys.refuse_the_rest();
        banks.push(bank);
    }
    let mut ids = HashSet::new();
    let mut bics = HashSet::new();
    for bank in &banks {
        if !ids.insert(&bank.id) {
            problems.push(format!("two banks have the id {:?}", bank.id));
        }
        if !bics.insert(normal_bic(&bank.bic)) {
            problems.push(format!("two banks have the bic {:?}", bank.bic));
        }
    }
    if problems.is_empty() { Ok(BanksFile { tls, banks }) } else { Err(problems) }
}

/// A BIC without the branch code that means the head office, so that both ways to write it compare equal.
pub fn normal_bic(bic: &str) -> &str {
    bic.strip_suffix("XXX").filter(|short| short.len() == 8).unwrap_or(bic)
}

/// What [`read_notice_url`] takes, in words.
pub const NOTICE_URL_FORM: &str = "an http or https URL like http://127.0.0.1:8080/banks/aurora/pacs.002";

/// Reads a notice URL.
pub fn read_notice_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

fn read_bank(keys: &mut Keys<'_>) -> BankConfig {
    let id_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let id = keys.string("id", "lower-case letters, digits and hyphens", |id| {
        !id.is_empty() && id.chars().all(id_char)
    });
    let bic = keys.string("bic", "a BIC of 8 or 11 characters", is_bic);
    let name = keys.string("name", "not empty", |name| !name.is_empty());
    let currencies =
        keys.strings("currencies", "three capital letters each", |c| c.parse::<Currency>().is_ok());
    if currencies.is_empty() {
        keys.problem("currencies", "must name at least one");
    }
    let iban_bank_codes = if keys.table.contains_key("iban_bank_codes") {
        keys.strings("iban_bank_codes", "a country and a bank code each, like DE50010517", |code| {
            code.len() > 2
                && code.bytes().take(2).all(|b| b.is_ascii_uppercase())
                && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        })
    } else {
        Vec::new()
    };
    let [certificate, key, ca] = keys.files(["notice_certificate_file", "notice_key_file", "notice_ca_file"]);
    let notice_files =
        certificate.zip(key).zip(ca).map(|((certificate, key), ca)| NoticeFiles { certificate, key, ca });
    BankConfig {
        id,
        bic,
        name,
        currencies: currencies.iter().filter_map(|currency| currency.parse().ok()).collect(),
        valid_for_ms: keys.positive("valid_for_ms"),
        iban_bank_codes,
        listen: keys.optional("listen", "host:port with a numeric host", |text| text.parse().ok()),
        notice_url: keys.optional("notice_url", NOTICE_URL_FORM, read_notice_url),
        client_name: keys.optional("client_name", "a URI like spiffe://rialto/at-aurora", |name| {
            name.contains("://").then(|| name.to_owned())
        }),
        notice_files,
        sign_key: keys.file("sign_key_file"),
        verify_key: keys.file("verify_key_file"),
    }
}

/// The keys of one table, taken one by one; what goes wrong is noted and reading goes on.
struct Keys<'a> {
    table: Table,
    place: String,
    folder: &'a Path,
    problems: &'a mut Vec<String>,
}

impl Keys<'_> {
    fn problem(&mut self, key: &str, what: &str) {
        self.problems.push(format!("{}: {key} {what}", self.place));
    }

    fn string(&mut self, key: &str, form: &str, fits: impl Fn(&str) -> bool) -> String {
        match self.table.remove(key) {
            Some(Value::String(text)) if fits(&text) => text,
            Some(_) => {
                self.problem(key, &format!("must be a text: {form}"));
                // A stand-in that no other bank has, so that one mistake is not reported as two.
                format!("{} {key}", self.place)
            }
            None => {
                self.problem(key, "is missing");
                format!("{} {key}", self.place)
            }
        }
    }

    fn optional<T>(&mut self, key: &str, form: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.table.remove(key)?;
        let read = value.as_str().and_then(read);
        if read.is_none() {
            self.problem(key, &format!("must be a text: {form}"));
        }
        read
    }

    fn file(&mut self, key: &str) -> Option<PathBuf> {
        let folder = self.folder;
        self.optional(key, "a file name", |name| (!name.is_empty()).then(|| folder.join(name)))
    }

    /// Files that make sense together alone.
    fn files<const N: usize>(&mut self, keys: [&str; N]) -> [Option<PathBuf>; N] {
        let files = keys.map(|key| self.file(key));
        if files.iter().any(Option::is_some) {
            for (key, _) in keys.iter().zip(&files).filter(|(_, file)| file.is_none()) {
                self.problem(key, "is missing, though others that go with it are there");
            }
        }
        files
    }

    fn strings(&mut self, key: &str, form: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let Some(Value::Array(values)) = self.table.remove(key) else {
            self.problem(key, "must be a list of texts");
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::String(text) if fits(&text) => texts.push(text),
                other => self.problem(key, &format!("holds {other}, but must be {form}")),
            }
        }
        texts
    }

    fn positive(&mut self, key: &str) -> u32 {
        match self.table.remove(key).map(|value| value.as_integer().and_then(|n| u32::try_from(n).ok())) {
            Some(Some(number)) if number > 0 => number,
            Some(_) => {
                self.problem(key, "must be a whole number from 1 to 4294967295");
                1
            }
            None => {
                self.problem(key, "is missing");
                1
            }
        }
    }

    fn refuse_the_rest(self) {
        let Self { table, place, problems, .. } = self;
        problems.extend(table.keys().map(|key| format!("{place}: unknown key {key}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_bank_is_read() {
        let banks = parse(
            "[[bank]]\nid = \"aurora\"\nbic = \"AURODEFFXXX\"\nname = \"Aurora\"\ncurrencies = [\"EUR\", \"USD\"]\n\
             valid_for_ms = 60000\niban_bank_codes = [\"DE50010517\"]\n",
            Path::new(""),
        )
        .unwrap()
        .banks;
        assert_eq!(banks.len(), 1);
        assert_eq!((banks[0].currencies.len(), banks[0].valid_for_ms), (2, 60_000));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let problems = parse(
            "colour = 1\ncertificate_file = \"a.pem\"\n[[bank]]\nid = \"Aurora\"\nbic = \"AURO\"\ncurrencies = [\"eur\"]\nvalid_for_ms = 0\ntyp = 1\nnotice_url = \"ftp://a\"\n\
             [[bank]]\nid = \"a\"\nbic = \"AURODEFF\"\nname = \"A\"\ncurrencies = [\"EUR\"]\nvalid_for_ms = 1\n\
             [[bank]]\nid = \"a\"\nbic = \"AURODEFFXXX\"\nname = \"A\"\ncurrencies = [\"EUR\"]\nvalid_for_ms = 1\n\
             client_name = \"a\"\nnotice_key_file = \"a.key\"\n",
            Path::new(""),
        )
        .unwrap_err();
        let all = problems.join("\n");
        for part in [
            "the file: unknown key colour",
            "the file: key_file is missing",
            "bank 3: client_name must be a text",
            "bank 3: notice_certificate_file is missing",
            "bank 3: notice_ca_file is missing",
            "bank 1: id",
            "bank 1: bic",
            "bank 1: name is missing",
            "bank 1: currencies holds",
            "bank 1: valid_for_ms",
            "bank 1: unknown key typ",
            "bank 1: notice_url must be a text: an http",
            "two banks have the id",
            "two banks have the bic",
        ] {
            assert!(all.contains(part), "{part} is not in:\n{all}");
        }
    }
}
