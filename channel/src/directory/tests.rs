//! What a banks file may say, and how a change of it is taken.

use std::path::Path;

use proto::channel::outcome::Verdict;

use super::{entry::HttpVersion, *};
use crate::instruction::tests::{return_enquiry, return_request};

const GOOD: &str = r#"
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

[[bank]]
id = "borealis"
name = "Borealis"
bic = "BORENOKKXXX"
iban_bank_codes = []
currencies = ["NOK"]
rail = "iso20022"
address = "https://bank.example:8443/"
answer_timeout_ms = 5000
enquire_after_ms = 5000
valid_for_ms = 20000
max_in_flight = 8
"#;

/// A banks file that goes away with the test.
pub(crate) struct File(pub(crate) PathBuf);

impl File {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rialto-channel-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    pub(crate) fn source(&self) -> DirectorySource {
        let sender = Bic::parse("RLTOITV0XXX").expect("a BIC");
        DirectorySource { file: self.0.clone(), sender, clock: Clock::system(), changes: Arc::default() }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn problems(name: &str, text: &str) -> Vec<String> {
    let file = File::new(name, text);
    file.source().load(&Directory::default()).expect_err("bad")
}

#[test]
fn a_good_file_becomes_what_the_platform_needs() {
    let file = File::new("good", GOOD);
    let directory = file.source().load(&Directory::default()).expect("good").to_wire();
    let banks: Vec<(&str, bool)> =
        directory.banks.iter().map(|bank| (bank.id.as_str(), bank.is_encrypted)).collect();
    assert_eq!(banks, [("aurora", false), ("borealis", true)]);
    let aurora = directory.banks.first().expect("a bank");
    assert_eq!(aurora.bic, "AURODEFFXXX");
    assert_eq!(aurora.currencies, ["EUR", "USD"]);
    assert_eq!(
        (aurora.answer_timeout_ms, aurora.enquire_after_ms, aurora.valid_for_ms),
        (5_000, 7_000, 20_000)
    );
    assert_eq!((aurora.max_instructions_per_s, aurora.max_enquiries_per_s), (10_000, 50));
    assert_eq!(aurora.offline_policy(), wire::OfflinePolicy::Refuse);
    assert!(aurora.takes_return_requests && aurora.online);
    assert_eq!(aurora.overdue_after_ms, 60_000);
}

#[test]
fn what_has_a_default_can_be_said() {
    let said = GOOD.replace(
        "max_in_flight = 8",
        "max_in_flight = 8\nmax_instructions_per_s = 70\nmax_enquiries_per_s = 3\noffline_policy = \"queue\"\n\
         takes_return_requests = false\noverdue_after_ms = 20_001\nhttp = \"2\"",
    );
    let file = File::new("said", &said);
    let versions = entry::read(&file.0).expect("good").into_iter().map(|entry| {
        let RailEntry::Iso20022(access) = entry.rail;
        access.http
    });
    assert_eq!(versions.collect::<Vec<_>>(), [HttpVersion::Http1, HttpVersion::Http2]);
    let directory = file.source().load(&Directory::default()).expect("good").to_wire();
    let borealis = directory.banks.last().expect("a bank");
    assert_eq!(
        (borealis.max_in_flight, borealis.max_instructions_per_s, borealis.max_enquiries_per_s),
        (8, 70, 3)
    );
    assert_eq!(borealis.offline_policy(), wire::OfflinePolicy::Queue);
    assert!(!borealis.takes_return_requests);
    assert_eq!(borealis.overdue_after_ms, 20_001);

    let long = File::new("long", &GOOD.replace("valid_for_ms = 20000", "valid_for_ms = 60000"));
    let directory = long.source().load(&Directory::default()).expect("good").to_wire();
    assert_eq!(directory.banks.last().expect("a bank").overdue_after_ms, 70_000);
}

#[test]
fn each_problem_is_reported_with_line_bank_and_field() {
    for (change, instead, problem) in [
        ("id = \"aurora\"", "id = \"Aurora\"", ":3: bank \"Aurora\": id: expected 2 to 32 characters"),
        ("id = \"aurora\"", "", ":2: bank \"?\": id: is missing"),
        (
            "id = \"aurora\"",
            "id = \"borealis\"",
            "bank \"borealis\": id: borealis is bank \"borealis\"'s already",
        ),
        ("\"AURODEFF\"", "\"AURO\"", ":5: bank \"aurora\": bic: expected a BIC"),
        ("\"AURODEFF\"", "\"BORENOKK\"", "bank \"borealis\": bic: BORENOKKXXX is bank \"aurora\"'s already"),
        (
            "iban_bank_codes = []",
            "iban_bank_codes = [\"DE50010517\"]",
            "iban_bank_codes: DE50010517 is bank \"aurora\"'s",
        ),
        ("[\"DE50010517\"]", "[\"50010517\"]", ":6: bank \"aurora\": iban_bank_codes: expected bank codes"),
        ("[\"DE50010517\"]", "\"DE50010517\"", ":6: bank \"aurora\": iban_bank_codes: expected a list"),
        ("\"USD\"", "\"usd\"", ":7: bank \"aurora\": currencies: expected currencies"),
        ("\"USD\"", "\"EUR\"", ":7: bank \"aurora\": currencies: \"EUR\" stands twice"),
        ("[\"NOK\"]", "[]", "bank \"borealis\": currencies: must not be empty"),
        ("\"iso20022\"", "\"fax\"", ":8: bank \"aurora\": rail: expected the one there is"),
        ("http://127.0.0.1:8080", "ftp://127.0.0.1", ":9: bank \"aurora\": address: expected an address"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", "address: expected an address"),
        ("http://127.0.0.1:8080", "http://u:p@127.0.0.1", "address: expected an address"),
        ("http://127.0.0.1:8080/aurora", "http://127.0.0.1/#a", "address: expected an address"),
        (
            "5_000",
            "7_001",
            ":11: bank \"aurora\": enquire_after_ms: 7000 is less than answer_timeout_ms 7001",
        ),
        (
            "7_000",
            "20_000",
            ":12: bank \"aurora\": valid_for_ms: 20000 is not more than enquire_after_ms 20000",
        ),
        ("5_000", "0", ":10: bank \"aurora\": answer_timeout_ms: expected a whole number from 10"),
        ("5_000", "-1", "answer_timeout_ms: expected a whole number"),
        ("5_000", "5.5", "answer_timeout_ms: expected a whole number"),
        ("5_000", "\"5s\"", "answer_timeout_ms: expected a whole number"),
        ("5_000", "99999999999999999999", "answer_timeout_ms: expected a whole number"),
        (
            "max_in_flight = 8",
            "max_in_flight = 0",
            "bank \"borealis\": max_in_flight: expected a whole number from 1",
        ),
        (
            "max_in_flight = 8",
            "overdue_after_ms = 20_000",
            ":26: bank \"borealis\": overdue_after_ms: 20000 is not more than valid_for_ms 20000",
        ),
        (
            "max_in_flight = 8",
            "max_instructions_per_s = 0",
            "max_instructions_per_s: expected a whole number from 1",
        ),
        ("max_in_flight = 8", "max_enquiries_per_s = \"3\"", "max_enquiries_per_s: expected a whole number"),
        ("max_in_flight = 8", "offline_policy = \"Queue\"", "offline_policy: expected refuse or queue, got"),
        (
            "max_in_flight = 8",
            "offline_policy = true",
            "offline_policy: expected refuse or queue, got a bool",
        ),
        ("max_in_flight = 8", "takes_return_requests = 1", "takes_return_requests: expected true or false"),
        ("max_in_flight", "max_inflight", ":26: bank \"borealis\": max_inflight: unknown key"),
        (
            "valid_for_ms = 20_000",
            "valid_for_ms = 20_000\nca_file = \"x\"",
            "ca_file: makes sense only with an https",
        ),
        (
            "max_in_flight = 8",
            "http = \"3\"",
            ":26: bank \"borealis\": http: expected \"1.1\" or \"2\", got \"3\"",
        ),
        ("max_in_flight = 8", "http = 2", "http: expected \"1.1\" or \"2\", got 2"),
        ("max_in_flight = 8", "ca_file = \"no-such.pem\"", ":26: bank \"borealis\": ca_file: cannot read"),
        ("insecure = true", "", ":9: bank \"aurora\": address: without TLS everybody"),
        ("insecure = true", "insecure = false", ":9: bank \"aurora\": address: without TLS everybody"),
        ("insecure = true", "insecure = \"yes\"", ":13: bank \"aurora\": insecure: expected true or false"),
        ("max_in_flight = 8", "insecure = true", ":26: bank \"borealis\": insecure: the address is https"),
        (
            "valid_for_ms = 20_000",
            "valid_for_ms = 20_000\nclient_certificate_file = \"x\"",
            ":13: bank \"aurora\": client_certificate_file: makes sense only with an https",
        ),
        (
            "max_in_flight = 8",
            "client_certificate_file = \"/dev/null\"",
            "bank \"borealis\": client_key_file: is missing: client_certificate_file needs it",
        ),
        (
            "max_in_flight = 8",
            "client_key_file = \"/dev/null\"",
            "bank \"borealis\": client_certificate_file: is missing: client_key_file needs it",
        ),
        (
            "max_in_flight = 8",
            "notice_ca_file = \"/dev/null\"",
            "bank \"borealis\": notice_name: is missing: notice_ca_file needs it",
        ),
        (
            "max_in_flight = 8",
            "notice_name = \"a\"",
            "bank \"borealis\": notice_ca_file: is missing: notice_name needs it",
        ),
        (
            "max_in_flight = 8",
            "notice_ca_file = \"/dev/null\"\nnotice_name = \"*.bank\"",
            ":27: bank \"borealis\": notice_name: expected a URI or a host",
        ),
        ("max_in_flight = 8", "client_key_file = \"no-such.key\"", "client_key_file: cannot read"),
        ("[[bank]]\nid = \"aurora\"", "colour = 1\n[[bank]]\nid = \"aurora\"", ":2: colour: unknown key"),
        ("valid_for_ms = 20_000", "valid_for_ms = 20_000\nid = \"b\"", ":13: "),
        ("5_000", "5O00", ":10: "),
    ] {
        let found = problems("bad", &GOOD.replacen(change, instead, 1));
        assert!(found.iter().any(|found| found.contains(problem)), "{problem} in {found:?}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

#[test]
fn all_problems_are_reported_together() {
    let found =
        problems("many", &GOOD.replace("AURODEFF", "x").replace("NOK\"", "nok\"").replace("8443", "84430"));
    assert_eq!(found.len(), 3, "{found:?}");
    for empty in ["", "# nothing\n"] {
        assert!(problems("empty", empty).join("").contains("has no [[bank]]"));
    }
    assert!(problems("table", "[bank]\nid = \"aurora\"\n").join("").contains(":1: bank: write [[bank]]"));
    assert!(entry::read(Path::new("/no/such/file")).expect_err("missing").join("").contains("/no/such/file"));
}

#[test]
fn a_ca_file_must_hold_certificates() {
    let ca = File::new("ca", "no certificate");
    let name = ca.0.display().to_string();
    let found = problems("pinned", &GOOD.replace("max_in_flight = 8", &format!("ca_file = {name:?}")));
    let problem = format!("bank \"borealis\": {name}: holds no certificate");
    assert!(found.join("").contains(&problem), "{found:?}");
}

#[test]
fn a_bad_file_changes_nothing_and_an_unchanged_bank_keeps_its_way() {
    let file = File::new("reload", GOOD);
    let source = file.source();
    let (published, directory) = watch::channel(Arc::new(source.load(&Directory::default()).expect("good")));
    let bank = |id: &str| directory.borrow().0.get(id).map(Arc::clone);
    let (aurora, borealis) = (bank("aurora").expect("aurora"), bank("borealis").expect("borealis"));

    std::fs::write(&file.0, GOOD.replace("\"NOK\"", "\"nok\"")).expect("written");
    source.reload(&published);
    assert!(!directory.has_changed().expect("open"));

    std::fs::write(&file.0, GOOD.replace("max_in_flight = 8", "max_in_flight = 9")).expect("written");
    source.reload(&published);
    assert!(directory.has_changed().expect("open"));
    assert!(Arc::ptr_eq(&aurora, &bank("aurora").expect("aurora")));
    assert!(!Arc::ptr_eq(&borealis, &bank("borealis").expect("borealis")));

    std::fs::remove_file(&file.0).expect("removed");
    source.reload(&published);
    assert!(bank("aurora").is_some());
}

#[tokio::test]
async fn a_bank_without_return_requests_gets_none_and_is_still_asked_about_earlier_ones() {
    let with = GOOD.replace("127.0.0.1:8080", "127.0.0.1:1");
    let without = with.replacen("valid_for_ms", "takes_return_requests = false\nvalid_for_ms", 1);
    for (name, text, instruction, reason) in [
        ("returns-not", &without, return_request(), "RETURN_NOT_SUPPORTED"),
        ("returns-asked", &without, return_enquiry(), "BANK_UNREACHABLE"),
        ("returns", &with, return_request(), "BANK_UNREACHABLE"),
    ] {
        let directory = File::new(name, text).source().load(&Directory::default()).expect("good");
        let instruction = Instruction::parse(instruction).expect("well-formed");
        let Verdict::NotSent(not_sent) = directory.carry(&instruction).await.verdict else { panic!("sent") };
        assert_eq!(not_sent.reason, reason);
    }
}

#[tokio::test]
async fn a_change_of_a_bank_is_published() {
    let file = File::new("told", GOOD);
    let source = file.source();
    let published = watch::Sender::new(Arc::new(source.load(&Directory::default()).expect("good")));
    let mut directory = published.subscribe();
    let told = async {
        for _ in 0..3 {
            source.changes.notify_one();
            directory.changed().await.expect("open");
            directory.mark_unchanged();
        }
    };
    tokio::select! {
        kept = source.keep_published(&published) => panic!("{kept:?}"),
        told = tokio::time::timeout(std::time::Duration::from_secs(5), told) => told.expect("published"),
    }
}
