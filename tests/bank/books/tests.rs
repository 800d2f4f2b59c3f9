use std::path::PathBuf;

use tokio::time::{Duration, Instant};

use super::record::{Entry, Record, ReturnEntry};
use super::{Books, Credit, Decision, Known};
use crate::messages::camt056::ReturnRequest;
use crate::messages::pacs008::Payment;
use crate::messages::reason::{Code, Reason, ReturnCode};
use crate::messages::stamp::Stamp;
use crate::messages::{sample, sample_return};

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

fn at(second: i64) -> Stamp {
    Stamp::new(time::OffsetDateTime::from_unix_timestamp(second).unwrap())
}

fn decide(books: &Books, payment: &Payment, refusal: Option<Reason>) -> Decision<Entry> {
    books.decide(payment, refusal.map_or(Ok(Credit::PLAIN), Err), None, at(0)).unwrap()
}

fn new<T: std::fmt::Debug>(decision: Decision<T>) -> Known<T> {
    match decision {
        Decision::New(known) => known,
        other => panic!("{other:?}"),
    }
}

/// How many credits and rejections there are.
fn totals(books: &Books) -> (usize, usize) {
    (books.totals().credited, books.totals().rejected)
}

#[tokio::test]
async fn a_repeat_hears_the_same_and_nothing_is_credited_twice() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    let payment = sample(1);
    let first = new(decide(&books, &payment, None));
    let late = Some(Reason::new(Code::TooLate, "late"));
    let Decision::Repeat(second) = decide(&books, &payment, late) else { panic!("not a repeat") };
    books.durable(second.line).await.unwrap();
    assert_eq!(second.entry, first.entry);
    assert_eq!((totals(&books), books.entries().len()), ((1, 0), 1));
}

#[tokio::test]
async fn a_rejection_is_final() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    let rejected = new(decide(&books, &sample(1), Some(Reason::new(Code::ZeroAmount, "zero"))));
    let Decision::Repeat(again) = decide(&books, &sample(1), None) else { panic!("not a repeat") };
    assert_eq!(again.entry, rejected.entry);
    assert_eq!(totals(&books), (0, 1));
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
    assert_eq!(totals(&books), (1, 1));
}

#[tokio::test]
async fn everything_is_rebuilt_from_the_file_and_a_torn_line_is_cut_off() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    for number in 1..=20 {
        let refusal = (number % 4 == 0).then(|| Reason::new(Code::Duplicate, "a \"quoted\"\nreason"));
        let known = new(decide(&books, &sample(number), refusal));
        books.durable(known.line).await.unwrap();
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
    assert_eq!(totals(&books), (15, 5));
    assert!(matches!(decide(&books, &sample(7), None), Decision::Repeat(_)));
    let known = new(decide(&books, &sample(21), None));
    books.durable(known.line).await.unwrap();
    drop(books);
    assert_eq!(Books::open(&place.0).unwrap().entries().len(), 21);
}

#[tokio::test]
async fn other_damage_is_an_error_and_two_processes_never_share_a_file() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    let known = new(decide(&books, &sample(1), None));
    books.durable(known.line).await.unwrap();
    assert!(Books::open(&place.0).unwrap_err().contains("using these books"));
    drop(books);
    let line = std::fs::read_to_string(&place.0).unwrap();
    for (damage, says) in [
        (format!("{line}rubbish\n"), "line 2"),
        (format!("{line}{line}"), "twice"),
        (line.replace("\"minor_units\":1234", "\"minor_units\":1235"), "differ"),
        (line.replace("\"amount\"", "\"amounts\""), "missing field"),
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
    books.decide(&payment, Ok(Credit::PLAIN), Some(until), at(0)).unwrap();
    let uetr = payment.references.uetr;
    assert_eq!(books.find(uetr).unwrap().in_process_until, Some(until));
    tokio::time::sleep_until(until).await;
    assert_eq!(books.find(uetr).unwrap().in_process_until, None);
    assert!(books.find(sample(2).references.uetr).is_none());
}

/// A judge that knows only how much is left.
fn take(books: &Books, request: &ReturnRequest, due: Option<Stamp>) -> Decision<ReturnEntry> {
    let asked = request.amount.minor_units;
    let judge = |original: Option<&super::returns::Original>| {
        let left = original.map_or(0, |known| known.entry.amount.minor_units - known.returned_minor_units);
        if asked > left { Err(Reason::new(ReturnCode::TooMuch, "too much")) } else { Ok(None) }
    };
    books.decide_return(request, judge, due, None, at(1)).unwrap()
}

#[tokio::test]
async fn a_return_request_is_executed_at_most_once() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    new(decide(&books, &sample(1), None));
    let request = sample_return(1, "RTN-1", "5.00");
    let first = new(take(&books, &request, None));
    let Decision::Repeat(second) = take(&books, &request, None) else { panic!("not a repeat") };
    assert_eq!(second.entry, first.entry);
    assert!(matches!(take(&books, &sample_return(1, "RTN-1", "5.01"), None), Decision::OtherContent));
    // Of 12.34 there must be 7.34 left, not 2.34.
    assert!(new(take(&books, &sample_return(1, "RTN-2", "7.34"), None)).entry.rejection.is_none());
}

#[tokio::test]
async fn what_is_undecided_is_reserved_and_survives_a_restart() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    new(decide(&books, &sample(1), None));
    let undecided = new(take(&books, &sample_return(1, "RTN-1", "12.00"), Some(at(9))));
    assert!(new(take(&books, &sample_return(1, "RTN-2", "0.35"), None)).entry.rejection.is_some());
    books.durable(undecided.line + 1).await.unwrap();
    drop(books);
    let books = Books::open(&place.0).unwrap();
    assert_eq!(books.find_return("RTN-1").unwrap().entry, undecided.entry);
    assert!(new(take(&books, &sample_return(1, "RTN-3", "0.35"), None)).entry.rejection.is_some());
    books.conclude_return("RTN-1", at(9)).unwrap();
    books.conclude_return("RTN-1", at(10)).unwrap();
    let concluded = books.find_return("RTN-1").unwrap();
    assert_eq!((concluded.entry.due, concluded.entry.time), (None, at(9)));
    assert!(new(take(&books, &sample_return(1, "RTN-4", "0.35"), None)).entry.rejection.is_some());
    let last = new(take(&books, &sample_return(1, "RTN-5", "0.34"), None));
    assert!(last.entry.rejection.is_none());
    books.durable(last.line).await.unwrap();
    let text = std::fs::read_to_string(&place.0).unwrap();
    assert_eq!(text.matches("\"kind\":\"returned\"").count(), 2, "{text}");
}

#[tokio::test]
async fn a_refusal_in_the_end_releases_what_was_reserved() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    new(decide(&books, &sample(1), None));
    let request = sample_return(1, "RTN-1", "12.00");
    let scripted = Reason::new(ReturnCode::NeverReceived, "no");
    books.decide_return(&request, |_| Ok(Some(scripted)), Some(at(9)), None, at(1)).unwrap();
    books.conclude_return("RTN-1", at(9)).unwrap();
    let concluded = books.find_return("RTN-1").unwrap().entry;
    assert_eq!(concluded.rejection.as_ref().unwrap().code.as_deref(), Some("NOOR"));
    assert!(new(take(&books, &sample_return(1, "RTN-2", "12.34"), None)).entry.rejection.is_none());
}

#[tokio::test]
async fn what_was_forgotten_stays_in_the_file_and_only_there() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    new(decide(&books, &sample(1), None));
    books.decide(&sample(2), Ok(Credit::PLAIN), None, at(5)).unwrap();
    new(take(&books, &sample_return(1, "RTN-1", "12.34"), None));
    books.forget(at(1), at(6)).unwrap();
    assert!(books.find(sample(1).references.uetr).is_some());
    assert!(books.find(sample(2).references.uetr).is_none());
    assert!(books.find_return("RTN-1").is_none());
    new(decide(&books, &sample(2), None));
    let again = new(take(&books, &sample_return(1, "RTN-1", "12.34"), None));
    assert!(again.entry.rejection.is_none());
    books.durable(again.line).await.unwrap();
    drop(books);
    let books = Books::open(&place.0).unwrap();
    assert_eq!((totals(&books), books.returns().len()), ((2, 0), 1));
    let text = std::fs::read_to_string(&place.0).unwrap();
    let records: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let executed = records.iter().filter(|record| matches!(record, Record::Executed(_))).count();
    let returned = records.iter().filter(|record| matches!(record, Record::Returned(_))).count();
    assert_eq!((executed, returned), (3, 2), "{text}");
}

#[tokio::test]
async fn a_bank_can_pay_twice_or_too_little_and_its_file_says_so() {
    let place = Place::new();
    let books = Books::open(&place.0).unwrap();
    let twice = Credit { times: 2, ..Credit::PLAIN };
    let known = new(books.decide(&sample(1), Ok(twice), None, at(0)).unwrap());
    books.durable(known.line).await.unwrap();
    assert_eq!(totals(&books), (2, 0));
    let less = Credit { less_minor_units: 34, told: false, ..Credit::PLAIN };
    let known = new(books.decide(&sample(2), Ok(less), None, at(0)).unwrap());
    assert_eq!((known.entry.amount.minor_units, known.entry.reported().minor_units), (1_200, 1_234));
    books.durable(known.line).await.unwrap();
    drop(books);
    let books = Books::open(&place.0).unwrap();
    assert_eq!(totals(&books), (3, 0));
    assert_eq!(books.find(sample(2).references.uetr).unwrap().entry, known.entry);
}
