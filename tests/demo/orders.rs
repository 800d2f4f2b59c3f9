//! Pays a file of orders: good lines are paid, bad ones reported with line and field, nothing is lost.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use common::money::{Currency, Money};
use harness::{
    BenchError,
    client::{Client, order, payee_by_iban, payee_by_number},
    system::BANKS,
    wait::is_final,
};
use indicatif::{ProgressBar, ProgressStyle};
use proto::payments::{CreatePaymentRequest, Payee, Payment, PaymentState, payee};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tonic::Code;
use tonic_types::StatusExt;

use crate::scenes::follow;

/// Orders under way at once.
const AT_ONCE: usize = 256;
/// How long to go on with one order, whatever goes down meanwhile.
const PATIENCE: Duration = Duration::from_secs(600);

/// One line of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    order_id: String,
    payee_name: String,
    #[serde(default)]
    iban: String,
    #[serde(default)]
    account_number: String,
    #[serde(default)]
    bank_id: String,
    #[serde(default)]
    bic: String,
    amount: String,
    currency: String,
    #[serde(default)]
    remittance_information: String,
    #[serde(default)]
    end_to_end_id: String,
}

/// A line that is not paid because it is wrong.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct BadLine {
    /// Its number in the file; the header is line 1.
    pub line: u64,
    /// The field that is wrong; empty if the line has none.
    pub field: String,
    /// What is wrong.
    pub problem: String,
}

/// What came of the file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Paid {
    /// Orders that were paid.
    pub paid: u64,
    /// Orders that the ledger or a bank refused.
    pub failed: u64,
    /// Lines that were wrong.
    pub bad_lines: u64,
    /// Orders per second.
    pub per_second: u64,
    /// What was wrong with which line.
    #[serde(skip)]
    pub problems: Vec<BadLine>,
    /// Orders without an end after all patience, each with what was heard last.
    #[serde(skip)]
    pub open: Vec<String>,
}

/// Pays the orders in `file`, from accounts opened for it, and writes what came of each line to `report`.
///
/// The request ids follow from the file's name and the orders' ids: the same file paid again on the same ledger pays
/// nothing twice.
///
/// # Errors
/// When the file can't be read or the report not written.
pub async fn pay(client: &Client, file: &Path, report: &Path) -> Result<Paid, BenchError> {
    let text = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("orders");
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let (mut orders, problems) = read(&text, &name)?;
    let accounts = fund(client, &name, &orders).await?;
    for (_, order, _) in &mut orders {
        let currency = order.amount.as_ref().map(|amount| amount.currency.clone()).unwrap_or_default();
        order.payer_account = accounts.get(&currency).cloned().unwrap_or_default();
    }
    let bar = ProgressBar::new(orders.len().try_into().unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("  paying {bar:40} {pos}/{len} orders  {per_sec}  {eta} left")?;
    bar.set_style(style);
    let began = Instant::now();
    let mut paid = Paid { problems, ..Paid::default() };
    let mut lines = report_of(&paid.problems);
    let (ended, mut ends) = mpsc::unbounded_channel();
    tokio::spawn(pay_all(client.clone(), orders, ended));
    while let Some((line, order_id, end)) = ends.recv().await {
        bar.inc(1);
        let (word, detail) = match end {
            End::Paid(payment) => {
                paid.paid += 1;
                ("paid", payment.id)
            }
            End::Failed(payment) => {
                paid.failed += 1;
                ("failed", payment.reason.map(|reason| reason.code).unwrap_or_default())
            }
            End::Refused(bad) => {
                let bad = bad.into_iter().map(|(field, problem)| BadLine { line, field, problem });
                let bad: Vec<BadLine> = bad.collect();
                let said =
                    bad.iter().map(|bad| format!("{}: {}", bad.field, bad.problem)).collect::<Vec<_>>();
                paid.problems.extend(bad);
                ("bad", said.join("; "))
            }
            End::Open(heard) => {
                paid.open.push(format!("line {line}, order {order_id}: {heard}"));
                ("open", heard)
            }
        };
        lines.push((line, order_id, word, detail));
    }
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64().max(0.001);
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        clippy::float_arithmetic,
        reason = "a rate for people, no money"
    )]
    let per_second = ((paid.paid + paid.failed) as f64 / seconds).round() as u64;
    paid.per_second = per_second;
    paid.problems.sort_by_key(|bad| bad.line);
    let mut bad: Vec<u64> = paid.problems.iter().map(|bad| bad.line).collect();
    bad.dedup();
    paid.bad_lines = bad.len().try_into().unwrap_or(u64::MAX);
    write_report(report, lines)?;
    Ok(paid)
}

type Order = (u64, CreatePaymentRequest, String);

/// Reads the file: good lines become requests, bad ones say what is wrong.
fn read(text: &[u8], name: &str) -> Result<(Vec<Order>, Vec<BadLine>), BenchError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(false).from_reader(text);
    let headers =
        reader.headers().map_err(|error| format!("the file has no readable header: {error}"))?.clone();
    for needed in ["order_id", "payee_name", "amount", "currency"] {
        if !headers.iter().any(|header| header == needed) {
            return Err(format!("the file's first line lacks the column {needed}; see the README").into());
        }
    }
    let (mut orders, mut problems, mut seen) = (Vec::new(), Vec::new(), BTreeMap::new());
    for record in reader.records() {
        let line = record.as_ref().map_or_else(csv::Error::position, |record| record.position());
        let line = line.map_or(0, csv::Position::line);
        let mut bad = |field: &str, problem: String| {
            problems.push(BadLine { line, field: field.to_owned(), problem });
        };
        let parsed = record.and_then(|record| record.deserialize::<Line>(Some(&headers)));
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                bad("", error.to_string());
                continue;
            }
        };
        if let Some(first) = seen.get(&parsed.order_id) {
            bad("order_id", format!("stands in line {first} already"));
            continue;
        }
        seen.insert(parsed.order_id.clone(), line);
        match request(&parsed, name) {
            Ok(request) => orders.push((line, request, parsed.order_id)),
            Err(wrong) => wrong.into_iter().for_each(|(field, problem)| bad(&field, problem)),
        }
    }
    Ok((orders, problems))
}

type Wrong = Vec<(String, String)>;

fn request(line: &Line, name: &str) -> Result<CreatePaymentRequest, Wrong> {
    let mut wrong: Wrong = Vec::new();
    let amount = match Currency::parse(&line.currency) {
        None => {
            wrong.push(("currency".to_owned(), "must be three capital letters, e.g. EUR".to_owned()));
            None
        }
        Some(currency) => {
            let amount = Money::from_decimal(&line.amount, currency);
            if amount.is_none() {
                let must = format!(
                    "must be plain digits with at most {} after the point, e.g. 12.34",
                    currency.exponent()
                );
                wrong.push(("amount".to_owned(), must));
            }
            amount
        }
    };
    let payee = payee_of(line, &mut wrong);
    let complete = amount.is_some() && payee.is_some();
    // What is wrong already stands in for itself, so that the rest is checked all the same.
    let payee = payee
        .unwrap_or_else(|| payee_by_number(&line.payee_name, "0", payee::Bank::BankId("none".to_owned())));
    let mut request = order(
        &format!("{name}-{}", line.order_id),
        // Any account will do for the check; the real one is put in once it is open.
        &format!("acc_{}", "1".repeat(32)),
        payee,
        amount.map_or(1, Money::minor_units),
        amount.map_or("EUR", |amount| amount.currency().code()),
    );
    request.remittance_information.clone_from(&line.remittance_information);
    request.end_to_end_id.clone_from(&line.end_to_end_id);
    if let Err(violations) = proto::convert::payment_order(&request) {
        wrong.extend(
            violations.into_iter().map(|violation| (column(&violation.field), violation.description)),
        );
    }
    if complete && wrong.is_empty() { Ok(request) } else { Err(wrong) }
}

/// The column that a field of the request comes from.
fn column(field: &str) -> String {
    let last = field.rsplit('.').next().unwrap_or(field);
    match (field, last) {
        ("payee.name", _) => "payee_name",
        ("request_id", _) => "order_id",
        (_, "minor_units") => "amount",
        (_, "bank") => "bank_id",
        _ => last,
    }
    .to_owned()
}

fn payee_of(line: &Line, wrong: &mut Wrong) -> Option<Payee> {
    let mut complain = |field: &str, problem: &str| wrong.push((field.to_owned(), problem.to_owned()));
    let bank = match (line.bank_id.as_str(), line.bic.as_str()) {
        ("", "") => None,
        (id, "") => Some(payee::Bank::BankId(id.to_owned())),
        ("", bic) => Some(payee::Bank::Bic(bic.to_owned())),
        _ => {
            complain("bic", "give bank_id or bic, not both");
            return None;
        }
    };
    match (line.iban.as_str(), line.account_number.as_str(), bank) {
        ("", "", _) => {
            complain("iban", "give iban or account_number");
            None
        }
        (iban, "", bank) => Some(Payee { bank, ..payee_by_iban(&line.payee_name, iban) }),
        ("", number, Some(bank)) => Some(payee_by_number(&line.payee_name, number, bank)),
        ("", _, None) => {
            complain("bank_id", "an account_number needs bank_id or bic");
            None
        }
        _ => {
            complain("account_number", "give iban or account_number, not both");
            None
        }
    }
}

/// Opens an account for each currency and deposits what the orders need.
async fn fund(client: &Client, name: &str, orders: &[Order]) -> Result<BTreeMap<String, String>, BenchError> {
    let mut needed: BTreeMap<String, i64> = BTreeMap::new();
    for amount in orders.iter().filter_map(|(_, request, _)| request.amount.as_ref()) {
        let sum = needed.entry(amount.currency.clone()).or_default();
        *sum = sum.checked_add(amount.minor_units).ok_or("the file's amounts exceed what can be counted")?;
    }
    let mut accounts = BTreeMap::new();
    for (currency, mut sum) in needed {
        let account = client.open_account(&format!("{name}-{currency}"), "Orders", &currency, "").await?.id;
        let bank = BANKS.iter().find(|bank| bank.currencies.contains(&currency.as_str()));
        let mut part = 0;
        // A currency that no bank takes needs no money: its orders are refused one by one, each with the reason.
        while let Some(bank) = bank.filter(|_| sum > 0) {
            let now = sum.min(common::money::MAX_AMOUNT_MINOR_UNITS);
            client.deposit(&format!("{name}-{currency}-{part}"), &account, now, &currency, bank.id).await?;
            (sum, part) = (sum - now, part + 1);
        }
        accounts.insert(currency, account);
    }
    Ok(accounts)
}

/// How an order ended.
enum End {
    Paid(Payment),
    Failed(Payment),
    Refused(Wrong),
    Open(String),
}

async fn pay_all(client: Client, orders: Vec<Order>, ended: mpsc::UnboundedSender<(u64, String, End)>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    for (line, request, order_id) in orders {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (client, ended) = (client.clone(), ended.clone());
        tokio::spawn(async move {
            let end = pay_one(&client, request).await;
            // The receiver counts until every sender is gone.
            let _ = ended.send((line, order_id, end));
            drop(place);
        });
    }
}

/// Pays one order to its end. The same request id is sent again until there is an answer; a new one only after it is certain
/// that the bank never had the payment.
async fn pay_one(client: &Client, mut request: CreatePaymentRequest) -> End {
    let deadline = Instant::now() + PATIENCE;
    let first_id = request.request_id.clone();
    let (mut heard, mut anew) = (String::new(), 1);
    while Instant::now() < deadline {
        let answer = match client.pay(request.clone(), None).await {
            Ok(answer) => answer,
            Err(status) => match again(&status) {
                Some(pause) => {
                    heard = status.message().to_owned();
                    tokio::time::sleep(pause).await;
                    continue;
                }
                None => return End::Refused(refusal(&status)),
            },
        };
        let payment = follow(client, &answer, deadline.saturating_duration_since(Instant::now())).await;
        if !is_final(&payment) {
            return End::Open(format!("{} is {}", payment.id, payment.state().as_str_name()));
        }
        if payment.state() == PaymentState::Succeeded {
            return End::Paid(payment);
        }
        let reason = payment.reason.as_ref().map(|reason| reason.code.as_str()).unwrap_or_default();
        if !matches!(reason, "NEVER_RECEIVED_BY_BANK" | "BANK_UNREACHABLE") || anew > 5 {
            return End::Failed(payment);
        }
        anew += 1;
        request.request_id = format!("{first_id}~{anew}");
    }
    End::Open(heard)
}

/// Whether to send the same request again, and when.
fn again(status: &tonic::Status) -> Option<Duration> {
    let passing = matches!(
        status.code(),
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Cancelled
            | Code::Unknown
    );
    let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
    passing.then(|| told.unwrap_or(Duration::from_millis(200)))
}

fn refusal(status: &tonic::Status) -> Wrong {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    if violations.is_empty() {
        return vec![(String::new(), status.message().to_owned())];
    }
    violations.into_iter().map(|violation| (column(&violation.field), violation.description)).collect()
}

type ReportLine = (u64, String, &'static str, String);

fn report_of(problems: &[BadLine]) -> Vec<ReportLine> {
    let line = |bad: &BadLine| (bad.line, String::new(), "bad", format!("{}: {}", bad.field, bad.problem));
    problems.iter().map(line).collect()
}

fn write_report(report: &Path, mut lines: Vec<ReportLine>) -> Result<(), BenchError> {
    lines.sort();
    let mut writer = csv::Writer::from_path(report)?;
    writer.write_record(["line", "order_id", "result", "detail"])?;
    for (line, order_id, result, detail) in lines {
        writer.write_record([&line.to_string(), &order_id, result, &detail])?;
    }
    writer.flush()?;
    Ok(())
}
