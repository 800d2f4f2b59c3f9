//! The system that rows are sent to, and what every row is judged by.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use harness::{
    BenchError,
    client::{Client, money, order, payee_by_iban},
    postgres::own_folder,
    raw,
    system::{BANKS, BankTimes, Service, Setup, System},
};
use prost::Message;
use proto::{
    accounts::DepositRequest,
    payments::{CaptureMode, CreatePaymentRequest},
    webhooks::CreateWebhookEndpointRequest,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{runtime::Runtime, time::timeout};
use tonic::{
    Code, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap},
};
use tonic_types::StatusExt;

/// What stands in good fields, and must stand in no log.
pub const CANARIES: [&str; 4] = ["Kanariana Gelbvogel", "canary-remittance", "canary-label", "CANARY-E2E"];
/// The longest that a refusal may take, however busy the machine.
const MAX_TIME: Duration = Duration::from_secs(5);
/// When an answer that has not ended counts as one.
const LONGEST_ANSWER: Duration = Duration::from_secs(15);
/// The longest text of a refusal.
const MAX_MESSAGE_BYTES: usize = 4_096;

/// A call that must be refused.
pub struct Row {
    /// Its number in the list of bad input that the suite was made from; 0 if it was found later.
    pub number: u16,
    /// What is wrong.
    pub name: String,
    /// Which call.
    pub path: &'static str,
    /// Its metadata.
    pub metadata: Vec<(&'static str, Vec<u8>)>,
    /// Its messages.
    pub messages: Vec<Vec<u8>>,
    /// The answer.
    pub refused: Refused,
}

/// What a refusal says: its code, its reason, and the fields that are wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The gRPC code.
    pub code: Code,
    /// `ErrorInfo.reason`.
    pub reason: &'static str,
    /// The fields of `BadRequest`, in order.
    pub fields: Vec<&'static str>,
}

/// A refusal without fields.
pub fn refused(code: Code, reason: &'static str) -> Refused {
    Refused { code, reason, fields: Vec::new() }
}

/// A request that is malformed in these fields.
pub fn invalid(fields: &[&'static str]) -> Refused {
    Refused { fields: fields.to_vec(), ..refused(Code::InvalidArgument, "INVALID_REQUEST") }
}

/// There is no such thing among the caller's.
pub fn not_found() -> Refused {
    refused(Code::NotFound, "NOT_FOUND")
}

/// The request does not fit the present state.
pub fn precondition(reason: &'static str) -> Refused {
    refused(Code::FailedPrecondition, reason)
}

/// What rows speak of, made before the first of them.
pub struct Given {
    /// The API key of a participant with every role.
    pub key: String,
    /// The API key of an operator of the house.
    pub house: String,
    /// The API key of somebody who may only read.
    pub reader: String,
    /// An account with 10,000.00 EUR.
    pub euros: String,
    /// Its IBAN.
    pub own_iban: String,
    /// An account with yen.
    pub yen: String,
    /// Another participant's account, with euros.
    pub foreign: String,
    /// A bank's settlement account.
    pub settlement: String,
    /// A payment that has succeeded, of 10.00 EUR.
    pub paid: String,
    /// The request that made it.
    pub paid_request: CreatePaymentRequest,
    /// An authorization of 20.00 EUR.
    pub authorized: String,
    /// One that was cancelled.
    pub cancelled: String,
    /// Another participant's payment.
    pub foreign_paid: String,
    /// A deposit of 1.00 EUR that nobody has decided on.
    pub proposed: String,
    /// The API key of an operator of another participant, with 100 webhooks.
    pub other: String,
    /// A webhook of the one with every role, at a URL of its own.
    pub webhook_endpoint: String,
    /// Page tokens of lists, by their names.
    pub tokens: BTreeMap<&'static str, String>,
    /// Those of another participant.
    pub foreign_tokens: Vec<String>,
}

/// A text that nobody else has.
pub fn unique(begin: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{begin}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// An id that nothing has.
pub fn nobody(prefix: &str) -> String {
    format!("{prefix}{}", "9".repeat(32))
}

impl Given {
    /// A payment as it should be.
    pub fn good(&self) -> CreatePaymentRequest {
        let payee = payee_by_iban(CANARIES[0], &BANKS[0].account(1));
        CreatePaymentRequest {
            remittance_information: CANARIES[1].to_owned(),
            end_to_end_id: CANARIES[3].to_owned(),
            metadata: [(CANARIES[2].to_owned(), CANARIES[2].to_owned())].into(),
            ..order(&unique("bad"), &self.euros, payee, 100, "EUR")
        }
    }

    /// A row of a call by whoever has every role.
    pub fn row(
        &self,
        number: u16,
        path: &'static str,
        name: impl Into<String>,
        message: &impl Message,
        refused: Refused,
    ) -> Row {
        let (name, metadata) = (name.into(), vec![bearer(&self.key)]);
        Row { number, name, path, metadata, messages: vec![message.encode_to_vec()], refused }
    }

    /// A row of a call by the house's operator.
    pub fn house_row(
        &self,
        number: u16,
        path: &'static str,
        name: impl Into<String>,
        message: &impl Message,
        refused: Refused,
    ) -> Row {
        Row { metadata: vec![bearer(&self.house)], ..self.row(number, path, name, message, refused) }
    }

    async fn make(system: &System) -> Result<Self, BenchError> {
        let (shop, other) = (system.client(0)?, system.client(1)?);
        let own_iban = harness::names::iban("NL", &format!("RIAL{:010}", 77));
        let euros = funded(&shop, "EUR", 1_000_000, &own_iban).await?;
        let foreign = funded(&other, "EUR", 1_000_000, "").await?;
        let yen = funded(&shop, "JPY", 1_000, "").await?;
        let paid_request = pay(&euros, 1_000);
        let paid = shop.pay(paid_request.clone(), None).await?.payment.id;
        let authorize = async || {
            let mut request = pay(&euros, 2_000);
            request.set_capture(CaptureMode::Manual);
            shop.pay(request, None).await.map(|made| made.payment.id)
        };
        let (authorized, cancelled) = (authorize().await?, authorize().await?);
        let cancel = proto::payments::CancelPaymentRequest { payment: cancelled.clone() };
        shop.payments.clone().cancel_payment(shop.request(cancel, None)).await?;
        let foreign_paid = other.pay(pay(&foreign, 1_000), None).await?.payment.id;
        other.pay(pay(&foreign, 1_000), None).await?;
        funded(&other, "EUR", 0, "").await?;
        let proposed = DepositRequest {
            request_id: unique("proposed"),
            account: euros.clone(),
            amount: Some(money(100, "EUR")),
            bank_id: "aurora".to_owned(),
            reference: String::new(),
        };
        let proposed = shop.accounts.clone().deposit(shop.request(proposed, None)).await?.into_inner();
        let proposed = proposed.deposit.ok_or("no deposit")?.id;
        let webhook = async |client: &Client, request_id: &str, url: &str| {
            let (request_id, url) = (request_id.to_owned(), url.to_owned());
            let message = CreateWebhookEndpointRequest { request_id, url, states: Vec::new() };
            let made = client.webhooks.clone().create_webhook_endpoint(client.request(message, None)).await?;
            Ok::<_, Status>(made.into_inner().webhook_endpoint.unwrap_or_default().id)
        };
        webhook(&shop, "given-webhook", crate::webhooks::TAKEN).await?;
        let webhook_endpoint = webhook(&shop, "given-webhook-2", "https://shop.example/neighbour").await?;
        for number in 0..100 {
            webhook(&other, &unique("webhook"), &format!("https://shop.example/{number}")).await?;
        }
        let mut database = PgConnection::connect_with(&system.database()).await?;
        let settlement: String = sqlx::query_scalar(
            "SELECT 'acc_' || replace(id::text, '-', '') FROM accounts WHERE bank_id = 'aurora' AND currency = 'EUR'",
        )
        .fetch_one(&mut database)
        .await?;
        Ok(Self {
            key: system.credential(0).to_owned(),
            house: system.house_operator().to_owned(),
            other: system.credential(1).to_owned(),
            webhook_endpoint,
            reader: system.credential(2).to_owned(),
            tokens: crate::reads::tokens(&shop, &euros).await?,
            foreign_tokens: crate::reads::tokens(&other, &foreign).await?.into_values().collect(),
            euros,
            own_iban,
            yen,
            foreign,
            settlement,
            paid,
            paid_request,
            authorized,
            cancelled,
            foreign_paid,
            proposed,
        })
    }
}

fn pay(payer: &str, minor_units: i64) -> CreatePaymentRequest {
    order(&unique("given"), payer, payee_by_iban("Blaise Seller", &BANKS[0].account(1)), minor_units, "EUR")
}

async fn funded(client: &Client, currency: &str, minor_units: i64, iban: &str) -> Result<String, BenchError> {
    let account = client.open_account(&unique("account"), "Ada Buyer", currency, iban).await?.id;
    if minor_units > 0 {
        let bank = if currency == "JPY" { "sakura" } else { "aurora" };
        client.deposit(&unique("deposit"), &account, minor_units, currency, bank).await?;
    }
    Ok(account)
}

/// The metadata of a credential.
pub fn bearer(key: &str) -> (&'static str, Vec<u8>) {
    ("authorization", format!("Bearer {key}").into_bytes())
}

/// The running system, and what was made on it.
pub struct Bench {
    runtime: Runtime,
    /// Its processes.
    pub system: System,
    given: Given,
    /// Held while rows are judged: nobody else writes meanwhile.
    alone: Mutex<()>,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let mut setup = Setup::new(own_folder("bad-input").unwrap());
        setup.times = BankTimes { answer_timeout_ms: 3_000, enquire_after_ms: 3_200, valid_for_ms: 60_000 };
        setup.notice_listen = Some("127.0.0.1:0".to_owned());
        setup.flags.push((Service::Platform, "--seal-after=1h".to_owned()));
        // The one that rows speak of.
        setup.flags.push((Service::Platform, "--max-pending-deposits=1".to_owned()));
        // One address tries many credentials.
        setup.flags.push((Service::Gateway, "--max-bad-credentials-per-min=1000000".to_owned()));
        let made = runtime.block_on(async {
            let system = System::start(setup).await?;
            let given = Given::make(&system).await?;
            // What was made gets its places in the log of events a moment later.
            let mut database = PgConnection::connect_with(&system.database()).await?;
            let waiting = "SELECT count(*) + (SELECT next_position - 1 - up_to FROM events_placed, webhooks_queued) \
                 FROM event_log WHERE position IS NULL";
            while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut database).await? > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok::<_, BenchError>((system, given))
        });
        let (system, given) = made.unwrap_or_else(|error| panic!("{error}"));
        Bench { runtime, system, given, alone: Mutex::default() }
    })
}

/// Sends something to a system on which nobody else writes, and requires that it leaves nothing behind. `send` returns what it
/// found wrong.
pub fn leaving_nothing(send: impl AsyncFnOnce(&Bench, &Given) -> Result<Vec<String>, BenchError>) {
    let bench = bench();
    let _alone = bench.alone.lock().unwrap_or_else(PoisonError::into_inner);
    let done: Result<Vec<String>, BenchError> = bench.runtime.block_on(async {
        let before = tables(&bench.system).await?;
        let mut problems = send(bench, &bench.given).await?;
        let after = tables(&bench.system).await?;
        assert!(before.len() >= 15, "{before:?}");
        let changed = before.iter().filter(|(table, content)| after.get(*table) != Some(*content));
        problems.extend(changed.map(|(table, _)| format!("something was written to {table}")));
        problems.extend(bad_lines(&bench.system)?);
        Ok(problems)
    });
    let problems = done.unwrap_or_else(|error| panic!("{error}"));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// What every table holds, in short; but for leases, of which those of earlier payments are tidied up meanwhile, and up to when the audit log
/// may be sealed, which follows the clock.
async fn tables(system: &System) -> Result<BTreeMap<String, String>, BenchError> {
    let mut database = PgConnection::connect_with(&system.database()).await?;
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut database)
    .await?;
    let mut found = BTreeMap::new();
    for name in names {
        if ["first_leases", "audit_horizon"].contains(&name.as_str()) {
            continue;
        }
        let content = format!(
            "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ' ' ORDER BY t::text)), '') FROM {name} t"
        );
        found.insert(name, sqlx::query_scalar(AssertSqlSafe(content)).fetch_one(&mut database).await?);
    }
    Ok(found)
}

/// Lines that must be in no log: errors, panics, what was sent, and what is no line of JSON.
fn bad_lines(system: &System) -> Result<Vec<String>, BenchError> {
    let mut problems = Vec::new();
    for service in [Service::Gateway, Service::Platform, Service::Channel] {
        let log = std::fs::read_to_string(system.folder().join(format!("{}.log", service.name())))?;
        let mut bad = Vec::new();
        for line in log.lines() {
            let parsed: Option<serde_json::Value> = serde_json::from_str(line).ok();
            let is_sound =
                parsed.is_some_and(|parsed| parsed["level"] != "ERROR" && parsed["level"].is_string());
            let is_raw = line.chars().any(|c| c.is_control() || ('\u{202A}'..='\u{202E}').contains(&c));
            let echoes = CANARIES.iter().any(|canary| line.contains(canary))
                || line.contains("rk_")
                || line.contains("whsec_")
                || line.contains("DROP TABLE");
            // Who speaks for another bank, or contradicts what was sent, is an alarm by design.
            let is_alarm = line.contains("ALARM: somebody else spoke for a bank");
            if (!is_sound && !is_alarm) || is_raw || echoes || line.contains("panicked") {
                bad.push(format!("in the log of {}: {line:.300}", service.name()));
            }
        }
        // A panic has many lines, and its first ones say what there is to know.
        problems.extend(bad.into_iter().take(5));
    }
    Ok(problems)
}

/// Sends every row, and judges each answer.
pub fn judged(rows: impl FnOnce(&Given) -> Vec<Row>) {
    leaving_nothing(async |bench, given| {
        let rows = rows(given);
        assert!(rows.len() > 1_700, "{} rows", rows.len());
        let channel = bench.system.gateway()?.connect();
        let mut problems = Vec::new();
        let mut slowest = Duration::ZERO;
        for row in &rows {
            let began = Instant::now();
            // What is not refused may go on for ever.
            let call = raw::call(channel.clone(), row.path, metadata(&row.metadata), row.messages.clone());
            let answer = timeout(LONGEST_ANSWER, call).await.unwrap_or_else(|_| Ok(Vec::new()));
            slowest = slowest.max(began.elapsed());
            if let Some(problem) = problem(row, answer) {
                problems.push(format!("row {}, {} {}: {problem}", row.number, row.path, row.name));
            }
        }
        if slowest > MAX_TIME {
            problems.push(format!("a refusal took {slowest:?}"));
        }
        // A caller who means well is served as ever.
        Client::new(&bench.system.gateway()?, &given.key)?.payment(&given.paid).await?;
        Ok(problems)
    });
}

fn metadata(entries: &[(&'static str, Vec<u8>)]) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for (key, value) in entries {
        let value = AsciiMetadataValue::try_from(value.as_slice()).unwrap();
        metadata.append(key.parse::<AsciiMetadataKey>().unwrap(), value);
    }
    metadata
}

fn problem(row: &Row, answer: Result<Vec<u8>, Status>) -> Option<String> {
    let status = match answer {
        Ok(_) => return Some("not refused".to_owned()),
        Err(status) => status,
    };
    // The client gives up by itself as well when a deadline is short.
    if row.refused.code == Code::DeadlineExceeded && status.message() == "Timeout expired" {
        return None;
    }
    let details = status.get_error_details();
    let info = details.error_info().filter(|info| info.domain == "rialto");
    let reason = info.map(|info| info.reason.as_str()).unwrap_or_default();
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    let expected = &row.refused;
    if (status.code(), reason, &fields) != (expected.code, expected.reason, &expected.fields) {
        return Some(format!(
            "{:?} {reason} {fields:?} ({}), not {expected:?}",
            status.code(),
            status.message()
        ));
    }
    if violations.iter().any(|violation| violation.description.is_empty()) {
        return Some("a field without a word".to_owned());
    }
    let text = status.message();
    let is_readable = text.len() <= MAX_MESSAGE_BYTES && !text.chars().any(char::is_control);
    (!is_readable || text.is_empty()).then(|| format!("a text that nobody can read: {text:.300}"))
}
