//! Settings and the files that they name: what is taken holds together, and what is not is said in lines that a log can take.

use std::{collections::HashSet, fs, path::Path, time::Duration};

use channel::directory::entry::{self, BankEntry};
use common::settings::Problems;
use gateway::participant::{KeyFile, KeySource, Tokens};
use harness::BenchError;

use super::{Folder, chosen, demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

const BANKS: &str = r#"
[[bank]]
id = "aurora"
name = "Aurora Bank"
bic = "AURODEFF"
iban_bank_codes = ["DE50010517"]
currencies = ["EUR", "USD"]
rail = "iso20022"
address = "http://127.0.0.1:8080/aurora"
answer_timeout_ms = 5_000
enquire_after_ms = 7_000
valid_for_ms = 20_000
insecure = true
offline_policy = "queue"

[[bank]]
id = "borealis"
name = "Borealis"
bic = "BORENOKKXXX"
iban_bank_codes = []
currencies = ["NOK"]
rail = "iso20022"
http = "2"
address = "https://bank.example:8443/"
answer_timeout_ms = 5000
enquire_after_ms = 5000
valid_for_ms = 20000
overdue_after_ms = 70000
max_in_flight = 8
takes_return_requests = false
"#;
const KEYS: &str = "[[key]]\nparticipant = \"shop\"\nroles = [\"payer-app\", \"operator\"]\nhash = \"blake3-keyed:\
    00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\n\n[[key]]\nparticipant = \"cafe\"\nroles = [\"merchant\"]\n\
    hash = \"blake3-keyed:10112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\n";
const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","use":"sig","x":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"},
    {"kty":"EC","crv":"P-256","kid":"e","x":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","y":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}]}"#;

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let folder = Folder::new("settings")?;
    let file = folder.path().join("file");
    Ok(Target {
        seeds: vec![
            chosen(0, BANKS),
            // Times and limits at their edges.
            chosen(0, BANKS.replace("valid_for_ms = 20_000", "valid_for_ms = 7_000")),
            chosen(0, BANKS.replace("enquire_after_ms = 7_000", "enquire_after_ms = 4_999")),
            chosen(0, BANKS.replace("overdue_after_ms = 70000", "overdue_after_ms = 20000")),
            chosen(0, BANKS.replace("max_in_flight = 8", "max_in_flight = 0")),
            chosen(0, BANKS.replace("borealis", "aurora").replace("BORENOKKXXX", "AURODEFFXXX")),
            chosen(1, KEYS),
            chosen(2, JWKS),
            chosen(3, "5s"),
            chosen(4, "127.0.0.1:8080"),
            chosen(5, "http://127.0.0.1:8081"),
            chosen(6, "64"),
            chosen(7, "shop"),
        ],
        words: words(&[
            "[[bank]]\n",
            "[[key]]\n",
            "id = \"aurora\"\n",
            "cell = 1\n",
            "\"",
            "'''",
            "\\n",
            "\\u001b",
            "=",
            "{}",
            "[]",
            "0",
            "-1",
            "1e3",
            "4294967296",
            "true",
            "inf",
            "1979-05-27",
            "https://user:pass@host/",
            "5h",
            "999d",
            "null",
        ]),
        form: Form::Text,
        check: Box::new(move |input| {
            let _folder = &folder;
            check(&file, input)
        }),
    })
}

fn check(file: &Path, input: &[u8]) -> Checked {
    let Some((choice, text)) = input.split_first() else { return Ok("nothing".to_owned()) };
    if choice % 8 <= 2 {
        fs::write(file, text).map_err(|error| error.to_string())?;
    }
    match choice % 8 {
        0 => banks(file),
        1 => Ok(match KeyFile::read(file.to_owned(), 1) {
            Ok(_) => "keys".to_owned(),
            Err(problem) => {
                demand(problem.contains("file"), "the file is not named")?;
                printable(&problem)?;
                format!("no keys: {}", shape(&problem))
            }
        }),
        2 => {
            let tokens = Tokens::new("i".to_owned(), "a".to_owned(), KeySource::File(file.to_owned()));
            Ok(tokens.err().map_or("JWKS".to_owned(), |problem| format!("no JWKS: {}", shape(&problem))))
        }
        setting => one(setting, text),
    }
}

/// A problem without what differs from input to input.
fn shape(problem: &str) -> String {
    problem.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').rev().take(24).collect()
}

/// A person's terminal must not take what a file says for something else.
fn printable(problem: &str) -> Result<(), String> {
    let mut problems = Problems::new();
    problems.add("file", problem);
    let said = problems.finish(|| Some(())).err().map(|error| error.to_string()).unwrap_or_default();
    demand(said.contains("--file"), "a problem is not said")?;
    demand(!said.chars().any(|c| c.is_control() && c != '\n'), "a problem has a control character")
}

fn banks(file: &Path) -> Checked {
    match entry::read(file) {
        Ok(banks) => {
            demand(!banks.is_empty(), "no bank")?;
            banks.iter().try_for_each(sound_bank)?;
            let ids: HashSet<_> = banks.iter().map(|bank| &bank.id).collect();
            let bics: HashSet<_> = banks.iter().map(|bank| &bank.bic).collect();
            demand(ids.len() == banks.len() && bics.len() == banks.len(), "two banks share an id or a BIC")?;
            demand(entry::read(file).as_ref() == Ok(&banks), "read again they are others")?;
            Ok(format!("{} banks", banks.len()))
        }
        Err(problems) => {
            demand(!problems.is_empty(), "refused without a reason")?;
            for problem in &problems {
                demand(problem.contains("file"), "the file is not named")?;
                printable(problem)?;
            }
            Ok(format!("no banks: {}", shape(&problems.join(" "))))
        }
    }
}

fn sound_bank(bank: &BankEntry) -> Result<(), String> {
    let times = bank.times;
    let in_order = times.answer_timeout_ms <= times.enquire_after_ms
        && times.enquire_after_ms < times.valid_for_ms
        && times.valid_for_ms < times.overdue_after_ms;
    demand(in_order && times.answer_timeout_ms >= 10, "times are not in order")?;
    let limits =
        [bank.limits.max_in_flight, bank.limits.max_instructions_per_s, bank.limits.max_enquiries_per_s];
    demand(limits.iter().all(|limit| (1..=1_000_000).contains(limit)), "a limit out of range")?;
    demand((2..=32).contains(&bank.id.len()) && !bank.currencies.is_empty(), "no id or currency")?;
    demand(!bank.name.chars().any(char::is_control), "a name with a control character")
}

fn one(setting: u8, text: &[u8]) -> Checked {
    let Ok(text) = std::str::from_utf8(text) else { return Ok("no text".to_owned()) };
    let mut problems = Problems::new();
    let (least, most) = (Duration::from_millis(10), Duration::from_secs(3_600));
    let holds = match setting {
        3 => problems.duration("x", text, least, most).map(|time| (least..=most).contains(&time)),
        4 => problems.address("x", text).map(|address| address.to_string().parse() == Ok(address)),
        5 => problems.url("x", text).map(|url| {
            url.host().is_some() && url.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme))
        }),
        6 => problems.number::<u32>("x", text, 1, 100).map(|number| (1..=100).contains(&number)),
        _ => problems.participant("x", text).map(|name| name == text && name.is_ascii()),
    };
    let is_taken = holds.is_some();
    demand(holds.unwrap_or(true), "taken, and out of its bounds")?;
    let finished = problems.finish(|| Some(()));
    demand(finished.is_ok() == is_taken, "refused without a reason, or taken with one")?;
    if let Err(error) = finished {
        let text = error.to_string();
        demand(text.lines().count() == 2 && !text.contains('\x1b'), "a problem is not one line")?;
    }
    Ok(format!("setting {setting} {is_taken} {}", text.len().min(8)))
}
