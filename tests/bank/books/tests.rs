use std::path::PathBuf;

use time::OffsetDateTime;
use tokio::time::{Duration, Instant};

use super::{Books, Decision, Known};
use crate::messages::{Code, Reason, sample};

/// A file name that no other test has; the file goes with it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("bank-test-{:032x}.books", rand::random::<u128>())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn decide(books: &Books, payment: &crate::messages::pacs008::Payment, refusal: Option<Reason>) -> Decision {
    books.decide(payment, refusal, None, OffsetDateTime::UNIX_EPOCH).unwrap()
}

fn new(decision: Decision) -> Known {
    match decision {
        Decision::New(known) => known,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_repeat_hears_the_same_and_nothing_is_credited_twice() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    let payment = sample(1);
    let first = new(decide(&books, &payment, None));
    let late = Some(Reason::new(Code::TooLate, "late"));
    let Decision::Repeat(second) = decide(&books, &payment, late) else { panic!("not a repeat") };
    books.durable(second.number).await.unwrap();
    assert_eq!(second.entry, first.entry);
    assert_eq!((books.totals(), books.entries().len()), ((1, 0), 1));
}

#[tokio::test]
async fn a_rejection_is_final() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    let rejected = new(decide(&books, &sample(1), Some(Reason::new(Code::ZeroAmount, "zero"))));
    let Decision::Repeat(again) = decide(&books, &sample(1), None) else { panic!("not a repeat") };
    assert_eq!(again.entry, rejected.entry);
    assert_eq!(books.totals(), (0, 1));
}

#[tokio::test]
async fn a_uetr_or_a_message_id_stands_for_one_payment() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    new(decide(&books, &sample(1), None));
    let mut other = sample(1);
    other.fingerprint = sample(2).fingerprint;
    assert!(matches!(decide(&books, &other, None), Decision::OtherContent));
    let mut same_message = sample(2);
    same_message.references.message_id = sample(1).references.message_id;
    let entry = new(decide(&books, &same_message, None)).entry;
    assert_eq!(entry.rejection.as_ref().unwrap().code.as_deref(), Some("DUPL"));
    assert_eq!(books.totals(), (1, 1));
}

#[tokio::test]
async fn everything_is_rebuilt_from_the_file_and_a_torn_line_is_cut_off() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    for number in 1..=20 {
        let refusal = (number % 4 == 0).then(|| Reason::new(Code::Duplicate, "a \"quoted\"\nreason"));
        let known = new(decide(&books, &sample(number), refusal));
        books.durable(known.number).await.unwrap();
    }
    let before = books.entries();
    drop(books);
    let whole = std::fs::read(&place.0).unwrap();
    let mut torn = whole.clone();
    torn.extend_from_slice(&whole[..whole.len() / 20 / 2]);
    std::fs::write(&place.0, &torn).unwrap();
    let books = Books::open(&place.0).unwrap();
    assert_eq!(std::fs::read(&place.0).unwrap(), whole);
    assert_eq!(books.entries(), before);
    assert_eq!(books.totals(), (15, 5));
    assert!(matches!(decide(&books, &sample(7), None), Decision::Repeat(_)));
    let known = new(decide(&books, &sample(21), None));
    books.durable(known.number).await.unwrap();
    drop(books);
    assert_eq!(Books::open(&place.0).unwrap().entries().len(), 21);
}

#[tokio::test]
async fn other_damage_is_an_error_and_two_processes_never_share_a_file() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    let known = new(decide(&books, &sample(1), None));
    books.durable(known.number).await.unwrap();
    assert!(Books::open(&place.0).unwrap_err().contains("using these books"));
    drop(books);
    let line = std::fs::read_to_string(&place.0).unwrap();
    for (damage, says) in [
        (format!("{line}rubbish\n"), "line 2"),
        (format!("{line}{line}"), "twice"),
        (line.replace("\"minor_units\":1234", "\"minor_units\":1235"), "differ"),
        (line.replace("\"amount\"", "\"amounts\""), "unknown field"),
    ] {
        std::fs::write(&place.0, &damage).unwrap();
        let error = Books::open(&place.0).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_delayed_payment_counts_as_in_process_for_that_time() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    let until = Instant::now() + Duration::from_millis(30);
    let payment = sample(1);
    books.decide(&payment, None, Some(until), OffsetDateTime::UNIX_EPOCH).unwrap();
    let uetr = payment.references.uetr;
    assert_eq!(books.find(uetr).unwrap().in_process_until, Some(until));
    tokio::time::sleep_until(until).await;
    assert_eq!(books.find(uetr).unwrap().in_process_until, None);
    assert!(books.find(sample(2).references.uetr).is_none());
}
