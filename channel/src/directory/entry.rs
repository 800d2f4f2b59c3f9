//! The banks file: TOML, one `[[bank]]` for each bank, read with every problem reported at once.

use std::{collections::HashMap, path::Path, time::Duration};

use common::{bic::Bic, money::Currency, text};
use proto::channel::OfflinePolicy;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use url::Url;

use table::{BankTable, line};
pub use trust::Trust;

mod table;
mod trust;

/// The longest that a bank may take to answer.
const MAX_ANSWER_TIMEOUT_MS: u32 = 120_000;
/// The longest that a bank may still take a payment: a day.
const MAX_VALID_FOR_MS: u32 = 86_400_000;
/// The latest that somebody should look: a week.
const MAX_OVERDUE_AFTER_MS: u32 = 604_800_000;
const DEFAULT_OVERDUE_AFTER_MS: u32 = 60_000;
/// How much later than the bank's refusal the default is at least: time for an enquiry or two.
const OVERDUE_MARGIN_MS: u32 = 10_000;
const MAX_IN_FLIGHT: u32 = 100_000;
const DEFAULT_IN_FLIGHT: u32 = 512;
const MAX_PER_S: u32 = 1_000_000;
const DEFAULT_INSTRUCTIONS_PER_S: u32 = 10_000;
const DEFAULT_ENQUIRIES_PER_S: u32 = 50;

/// A bank as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankEntry {
    /// Its id: 2 to 32 characters of a-z 0-9 and -.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Its BIC.
    pub bic: Bic,
    /// The bank codes of its IBANs, each with the country before it.
    pub iban_bank_codes: Vec<String>,
    /// The currencies that it takes.
    pub currencies: Vec<Currency>,
    /// The rail that reaches it.
    pub rail: RailEntry,
    /// What to expect of it, and when.
    pub times: Times,
    /// How much it may get.
    pub limits: Limits,
    /// What to do with payments while it cannot be reached.
    pub offline_policy: OfflinePolicy,
    /// Whether it takes return requests.
    pub takes_return_requests: bool,
}

/// A bank's times, in milliseconds; but for the first, each counts from an instruction's acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long to wait for its answer.
    pub answer_timeout_ms: u32,
    /// When the first enquiry makes sense.
    pub enquire_after_ms: u32,
    /// Until when it takes the instruction.
    pub valid_for_ms: u32,
    /// When an instruction's end is overdue and somebody should look.
    pub overdue_after_ms: u32,
}

/// How much a bank may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Credit transfers and return requests under way at once.
    pub max_in_flight: u32,
    /// New instructions a second.
    pub max_instructions_per_s: u32,
    /// Enquiries a second.
    pub max_enquiries_per_s: u32,
}

/// How a bank is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RailEntry {
    /// ISO 20022 messages over HTTP.
    Iso20022(Access),
}

/// Where messages go, over what, and by what the two sides know each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Where to send them; over https unless the entry says in words that it is insecure.
    pub address: Url,
    /// What is spoken there.
    pub http: HttpVersion,
    /// By what the two sides know each other.
    pub trust: Trust,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1: one message at a time on a connection.
    Http1,
    /// HTTP/2: many messages at once on a connection; over TLS agreed on by ALPN, otherwise known beforehand.
    Http2,
}

impl RailEntry {
    /// Whether messages travel over TLS.
    pub fn is_encrypted(&self) -> bool {
        let Self::Iso20022(access) = self;
        access.address.scheme() == "https"
    }
}

impl Times {
    /// How long to wait for its answer.
    pub fn answer_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.answer_timeout_ms))
    }
}

/// Reads the banks file. Files that it names are looked for beside it.
///
/// # Errors
/// All that is wrong with it: file, line, bank and field for each problem.
pub fn read(path: &Path) -> Result<Vec<BankEntry>, Vec<String>> {
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| vec![format!("cannot read {file}: {error}")])?;
    let document = DeTable::parse(&text).map_err(|error| {
        let at = error.span().map_or(1, |span| line(&text, span.start));
        vec![format!("{file}:{at}: {}", error.message())]
    })?;
    let mut problems = Vec::new();
    let mut banks = Vec::new();
    for (key, value) in document.get_ref() {
        match value.get_ref() {
            DeValue::Array(array) if key.get_ref() == "bank" => banks.extend(array.iter()),
            _ if key.get_ref() == "bank" => {
                problems.push(format!(
                    "{file}:{}: bank: write [[bank]], once for each bank",
                    line(&text, key.span().start)
                ));
            }
            _ => problems.push(format!(
                "{file}:{}: {}: unknown key",
                line(&text, key.span().start),
                key.get_ref()
            )),
        }
    }
    if banks.is_empty() && problems.is_empty() {
        problems.push(format!("{file}: has no [[bank]]"));
    }
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let entries: Vec<_> =
        banks.iter().map(|bank| entry(&file.to_string(), &text, &folder, bank, &mut problems)).collect();
    let entries: Vec<_> = entries.into_iter().flatten().collect();
    problems.extend(shared_keys(&file.to_string(), &entries));
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

fn entry(
    file: &str,
    text: &str,
    folder: &Path,
    bank: &Spanned<DeValue<'_>>,
    problems: &mut Vec<String>,
) -> Option<BankEntry> {
    let mut table = BankTable::new(file, text, bank, problems)?;
    let id = table.text("id", "2 to 32 characters of a-z 0-9 and -", bank_id);
    let name = table.text("name", "1 to 140 readable characters", |name| {
        text::readable(name, 140).is_ok().then(|| name.to_owned())
    });
    let bic = table.text("bic", "a BIC of 8 or 11 characters such as AURODEFFXXX", Bic::parse);
    let codes = table.texts("iban_bank_codes", "bank codes such as DE50010517", bank_code);
    let currencies = table.texts("currencies", "currencies such as EUR", Currency::parse);
    if currencies.as_ref().is_some_and(Vec::is_empty) {
        table.refuse("currencies", "must not be empty");
    }
    let rail = table.text("rail", "the one there is: iso20022", |rail| (rail == "iso20022").then_some(()));
    let address = table.text("address", "an address such as https://bank.example/iso20022", address);
    let trust = trust::read(&mut table, address.as_ref(), folder);
    let http = http_version(&mut table);
    let times = times(&mut table);
    let limits = limits(&mut table);
    let offline_policy = offline_policy(&mut table);
    let takes_return_requests = table.boolean("takes_return_requests", true);
    table.refuse_unknown_keys();
    let ((), address) = (rail?, address?);
    Some(BankEntry {
        id: id?,
        name: name?,
        bic: bic?,
        iban_bank_codes: codes?,
        currencies: currencies?,
        rail: RailEntry::Iso20022(Access { address, http: http?, trust: trust? }),
        times: times?,
        limits: limits?,
        offline_policy: offline_policy?,
        takes_return_requests: takes_return_requests?,
    })
}

fn times(table: &mut BankTable<'_>) -> Option<Times> {
    let answer = table.number("answer_timeout_ms", None, 10..=MAX_ANSWER_TIMEOUT_MS);
    let enquire = table.number("enquire_after_ms", None, 10..=MAX_VALID_FOR_MS);
    let valid = table.number("valid_for_ms", None, 10..=MAX_VALID_FOR_MS);
    let default = DEFAULT_OVERDUE_AFTER_MS.max(valid.unwrap_or_default() + OVERDUE_MARGIN_MS);
    let overdue = table.number("overdue_after_ms", Some(default), 10..=MAX_OVERDUE_AFTER_MS);
    if let (Some(answer), Some(enquire)) = (answer, enquire)
        && answer > enquire
    {
        table.refuse("enquire_after_ms", &format!("{enquire} is less than answer_timeout_ms {answer}"));
    }
    if let (Some(enquire), Some(valid)) = (enquire, valid)
        && enquire >= valid
    {
        table.refuse("valid_for_ms", &format!("{valid} is not more than enquire_after_ms {enquire}"));
    }
    if let (Some(valid), Some(overdue)) = (valid, overdue)
        && valid >= overdue
    {
        table.refuse("overdue_after_ms", &format!("{overdue} is not more than valid_for_ms {valid}"));
    }
    Some(Times {
        answer_timeout_ms: answer?,
        enquire_after_ms: enquire?,
        valid_for_ms: valid?,
        overdue_after_ms: overdue?,
    })
}

fn limits(table: &mut BankTable<'_>) -> Option<Limits> {
    let max_in_flight = table.number("max_in_flight", Some(DEFAULT_IN_FLIGHT), 1..=MAX_IN_FLIGHT);
    let instructions =
        table.number("max_instructions_per_s", Some(DEFAULT_INSTRUCTIONS_PER_S), 1..=MAX_PER_S);
    let enquiries = table.number("max_enquiries_per_s", Some(DEFAULT_ENQUIRIES_PER_S), 1..=MAX_PER_S);
    Some(Limits {
        max_in_flight: max_in_flight?,
        max_instructions_per_s: instructions?,
        max_enquiries_per_s: enquiries?,
    })
}

fn offline_policy(table: &mut BankTable<'_>) -> Option<OfflinePolicy> {
    if !table.has("offline_policy") {
        return Some(OfflinePolicy::Refuse);
    }
    table.text("offline_policy", "refuse or queue", |policy| match policy {
        "refuse" => Some(OfflinePolicy::Refuse),
        "queue" => Some(OfflinePolicy::Queue),
        _ => None,
    })
}

fn http_version(table: &mut BankTable<'_>) -> Option<HttpVersion> {
    if !table.has("http") {
        return Some(HttpVersion::Http1);
    }
    table.text("http", "\"1.1\" or \"2\"", |version| match version {
        "1.1" => Some(HttpVersion::Http1),
        "2" => Some(HttpVersion::Http2),
        _ => None,
    })
}

fn bank_id(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ((2..=32).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

fn bank_code(text: &str) -> Option<String> {
    let (country, code) = text.split_at_checked(2)?;
    let is_country = country.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_code = (1..=12).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (is_country && is_code).then(|| text.to_owned())
}

fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain).then_some(url)
}

/// What only one bank may have and several do.
fn shared_keys(file: &str, entries: &[BankEntry]) -> Vec<String> {
    let mut owners: HashMap<(&str, &str), &str> = HashMap::new();
    let mut problems = Vec::new();
    for entry in entries {
        let codes = entry.iban_bank_codes.iter().map(|code| ("iban_bank_codes", code.as_str()));
        for key in [("id", entry.id.as_str()), ("bic", entry.bic.as_str())].into_iter().chain(codes) {
            if let Some(owner) = owners.insert(key, &entry.id) {
                let (field, value) = key;
                problems.push(format!(
                    "{file}: bank {:?}: {field}: {value} is bank {owner:?}'s already",
                    entry.id
                ));
            }
        }
    }
    problems
}
