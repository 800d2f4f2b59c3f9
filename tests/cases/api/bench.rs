//! The one system that the tests of this target share, and what they all need of it.
//!
//! How a bank misbehaves is said once, at the start, by the payee's account: see [`Trick`]. `aurora` is reached over HTTP/1.1,
//! `meridian` over HTTP/2, and both know every trick. Only `sakura` is told something else while tests run, by whoever
//! holds [`Bench::sakura`].

use std::{
    future::Future,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use harness::{
    BenchError,
    client::{Answer, Client, order, payee_by_iban},
    postgres::own_folder,
    provider::{AUDIENCE, ISSUER, SigningKey, jwks},
    system::{BANKS, BankSetup, BankTimes, Service, Setup, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::payments::{CreatePaymentRequest, Payment, PaymentState};
use sqlx::{Connection, PgConnection};
use tokio::{runtime::Runtime, sync::Mutex};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What a test comes to.
pub type Done = Result<(), BenchError>;

/// The times by which the banks are treated: short, so that even a payment that is lost for good ends in a test.
pub const TIMES: BankTimes =
    BankTimes { answer_timeout_ms: 1_000, enquire_after_ms: 1_500, valid_for_ms: 9_000 };

/// Longer than any payment takes to end by itself.
pub const IN_THE_END: Duration = Duration::from_secs(40);

/// The running system.
pub struct Bench {
    runtime: Runtime,
    /// Its processes.
    pub system: System,
    /// Signs tokens that the gateway takes.
    pub provider: SigningKey,
    /// Held by whoever scripts `sakura`.
    pub sakura: Mutex<()>,
}

/// How a bank misbehaves towards one payee account: the rules of its script, without the account.
pub struct Trick {
    /// What the trick is called.
    pub name: &'static str,
    /// The payee's account.
    pub account: u32,
    /// `on`, `times` and `behaviour` of each rule, as TOML lines.
    pub rules: &'static [&'static str],
    /// The payment's state in the call that made it.
    pub in_call: PaymentState,
    /// The payment's state in the end, and the reason's code.
    pub in_the_end: (PaymentState, &'static str),
}

use PaymentState::{Failed, Succeeded, Unknown};

/// Every misbehaviour that the simulated bank knows.
#[rustfmt::skip]
pub const TRICKS: &[Trick] = &[
    trick("accepts", 100, &["behaviour = \"accept\""], Succeeded, (Succeeded, "")),
    trick("rejects", 101, &["behaviour = { reject = { code = \"AC04\", text = \"closed\" } }"], Failed, (Failed, "REJECTED_BY_BANK")),
    trick("rejects without a reason", 102, &["behaviour = { reject = {} }"], Unknown, (Unknown, "")),
    trick("hangs up first", 103, &["behaviour = \"drop_before\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("hangs up after", 104, &["behaviour = \"drop_after\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("answers HTML", 105, &["behaviour = \"garbage\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("503 without executing", 106, &["behaviour = { http_error = { status = 503 } }\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("500 after executing", 107, &["behaviour = { http_error = { status = 500, executed = true } }\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("429 without executing", 108, &["behaviour = { http_error = { status = 429 } }\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("400 without executing", 109, &["behaviour = { http_error = { status = 400 } }\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("pending", 110, &["behaviour = \"pending\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("late", 111, &["behaviour = { delay = { ms = 1600 } }\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("slow", 112, &["behaviour = { delay = { ms = 300 } }"], Succeeded, (Succeeded, "")),
    trick("silent once", 113, &["behaviour = \"silent\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("silent after executing", 114, &["behaviour = \"silent_executed\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("lost for good", 115, &["behaviour = \"silent\""], Unknown, (Failed, "NEVER_RECEIVED_BY_BANK")),
    trick("silent, then rejects", 116, &["behaviour = \"silent\"\ntimes = 1", "behaviour = { reject = { code = \"AC06\" } }"], Unknown, (Failed, "REJECTED_BY_BANK")),
    trick("hangs up, and on the enquiry as well", 117, &["behaviour = \"drop_after\"", "on = \"enquiry\"\nbehaviour = \"drop_before\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("enquiry answered in HTML", 118, &["behaviour = \"drop_after\"", "on = \"enquiry\"\nbehaviour = \"garbage\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("enquiry answered with 502", 119, &["behaviour = \"drop_after\"", "on = \"enquiry\"\nbehaviour = { http_error = { status = 502 } }\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("denies what it executed", 120, &["behaviour = \"drop_after\"\ntimes = 1", "on = \"enquiry\"\nbehaviour = \"not_found\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("pending twice", 121, &["behaviour = \"pending\"\ntimes = 1", "on = \"enquiry\"\nbehaviour = \"pending\"\ntimes = 2"], Unknown, (Succeeded, "")),
    trick("silent to the enquiry", 122, &["behaviour = \"silent_executed\"\ntimes = 1", "on = \"enquiry\"\nbehaviour = \"silent\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("refuses it as a duplicate", 124, &["behaviour = { reject = { code = \"DUPL\" } }"], Unknown, (Failed, "REJECTED_BY_BANK")),
    trick("slow for deadlines", 123, &["behaviour = { delay = { ms = 700 } }"], Succeeded, (Succeeded, "")),
];

/// What goes wrong below messages, on a connection or a stream, with something good in between, so that the bank does not
/// count as offline. The last ones end whatever else is on the connection, by when nobody waits for that.
#[rustfmt::skip]
pub const TRICKS_OF_THE_WIRE: &[Trick] = &[
    trick("breaks off amid the answer", 126, &["behaviour = \"half_answer\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("answers a byte a second", 128, &["behaviour = { drip = {} }\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("answers without end", 130, &["behaviour = { huge_body = {} }\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("answers with a huge head", 131, &["behaviour = \"endless_headers\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("accepts in between", 135, &["behaviour = \"accept\""], Succeeded, (Succeeded, "")),
    trick("is cut off", 138, &["behaviour = \"cut\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("accepts once more", 142, &["behaviour = \"accept\""], Succeeded, (Succeeded, "")),
    trick("goes away", 145, &["behaviour = \"go_away\"\ntimes = 1"], Unknown, (Succeeded, "")),
];

/// Tricks that only a bank over HTTP/2 knows: it says of a message that it left it alone. What takes a while comes after everything that ends
/// connections.
#[rustfmt::skip]
pub const TRICKS_OF_STREAMS: &[Trick] = &[
    trick("refuses the stream once", 127, &["behaviour = \"refuse\"\ntimes = 1"], Succeeded, (Succeeded, "")),
    trick("refuses the stream for a while", 149, &["behaviour = \"refuse\"\ntimes = 4"], Succeeded, (Succeeded, "")),
];

/// Tricks that work once, for tests of other things.
#[rustfmt::skip]
const SPARE: &[Trick] = &[
    trick("hangs up after, for a repeat", 150, &["behaviour = \"drop_after\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("silent after executing, for the hold", 151, &["behaviour = \"silent_executed\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("late, for whoever waits", 153, &["behaviour = { delay = { ms = 1600 } }\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("silent once, for figures", 154, &["behaviour = \"silent\"\ntimes = 1"], Unknown, (Succeeded, "")),
    trick("silent once, for the enquiry", 152, &["behaviour = \"silent\"\ntimes = 1"], Unknown, (Succeeded, "")),
];

const fn trick(
    name: &'static str,
    account: u32,
    rules: &'static [&'static str],
    in_call: PaymentState,
    in_the_end: (PaymentState, &'static str),
) -> Trick {
    Trick { name, account, rules, in_call, in_the_end }
}

/// The account of a trick.
pub fn account_of(name: &str) -> String {
    let number = TRICKS.iter().chain(SPARE).find(|trick| trick.name == name).map(|trick| trick.account);
    BANKS[0].account(number.unwrap_or_else(|| panic!("no trick {name}")))
}

/// Every trick, at both banks.
fn script() -> String {
    let tricks = TRICKS.iter().chain(TRICKS_OF_THE_WIRE).chain(TRICKS_OF_STREAMS).chain(SPARE);
    let rules = tricks.flat_map(|trick| trick.rules.iter().map(move |rule| (trick, rule)));
    let at = |bank: &BankSetup, trick: &Trick, rule| {
        format!("[[{}]]\naccount = \"{}\"\n{rule}\n\n", bank.id, bank.account(trick.account))
    };
    rules.map(|(trick, rule)| at(&BANKS[0], trick, rule) + &at(&BANKS[1], trick, rule)).collect()
}

/// Runs a test on the shared system, which the first one starts.
pub fn run<F: Future<Output = Done>>(test: impl FnOnce(&'static Bench) -> F) {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    let bench = BENCH.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let mut setup = Setup::new(own_folder("api").unwrap());
        setup.times = TIMES;
        setup.script = script();
        setup.bank_settings.push((BANKS[1].id, "http = \"2\"".to_owned()));
        setup.signing = &[BANKS[1].id];
        // Some payments never end, by design: on a slow machine they would become overdue, and others expect no alarms.
        setup
            .bank_settings
            .extend(BANKS.iter().map(|bank| (bank.id, "overdue_after_ms = 600000".to_owned())));
        setup.flags = vec![
            (Service::Platform, "--max-clock-skew=500ms".to_owned()),
            // The cases try many credentials that nobody knows, all from one address.
            (Service::Gateway, "--max-bad-credentials-per-min=1000000".to_owned()),
            // Receivers of webhooks are on this machine.
            (Service::Gateway, "--insecure-webhooks".to_owned()),
        ];
        let provider = SigningKey::es256("bench").unwrap();
        let keys = setup.folder.join("jwks.json");
        std::fs::create_dir_all(&setup.folder).unwrap();
        std::fs::write(&keys, jwks(&[provider.jwk()])).unwrap();
        for (flag, value) in [("issuer", ISSUER), ("audience", AUDIENCE), ("jwks", keys.to_str().unwrap())] {
            setup.flags.push((Service::Gateway, format!("--jwt-{flag}={value}")));
        }
        let system = runtime.block_on(System::start(setup)).unwrap_or_else(|error| panic!("{error}"));
        Bench { runtime, system, provider, sakura: Mutex::default() }
    });
    if let Err(error) = bench.runtime.block_on(test(bench)) {
        panic!("{error}");
    }
}

/// A text that nobody else has.
pub fn unique(begin: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{begin}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Bench {
    /// A caller with a connection of its own: 0 and 1 are shops, 2 may only read.
    pub fn client(&self, participant: usize) -> Client {
        self.system.client(participant).unwrap()
    }

    /// A caller with any key.
    pub fn keyed(&self, key: &str) -> Client {
        Client::new(&self.system.gateway().unwrap(), key).unwrap()
    }

    /// A new account, with money on it.
    pub async fn funded(
        &self,
        client: &Client,
        currency: &str,
        minor_units: i64,
    ) -> Result<String, BenchError> {
        let account = client.open_account(&unique("account"), "Ada Buyer", currency, "").await?.id;
        if minor_units > 0 {
            let bank = if currency == "JPY" { "sakura" } else { "aurora" };
            client.deposit(&unique("deposit"), &account, minor_units, currency, bank).await?;
        }
        Ok(account)
    }

    /// Pays euros to an account at aurora.
    pub async fn pay(
        &self,
        client: &Client,
        payer: &str,
        payee: &str,
        minor_units: i64,
    ) -> Result<Answer, Status> {
        client.pay(euros(&unique("pay"), payer, payee, minor_units), None).await
    }

    /// A connection to the ledger's database.
    pub async fn database(&self) -> Result<PgConnection, BenchError> {
        Ok(PgConnection::connect_with(&self.system.database()).await?)
    }

    /// Requires that the ledger adds up, that the payments (which must be final) are as the banks' books say.
    pub async fn check(&self, payments: &[Payment]) -> Done {
        for payment in payments {
            if !wait::is_final(payment) {
                return Err(format!("not final: {payment:?}").into());
            }
        }
        let found = TrialBalance::take(&self.system.database()).await?;
        if !found.is_ok() {
            return Err(found.to_string().into());
        }
        let differences = self.system.compare_with_banks().await?;
        let own = |line: &&String| payments.iter().any(|payment| line.starts_with(&payment.uetr));
        match differences.iter().find(own) {
            Some(difference) => Err(difference.clone().into()),
            None => Ok(()),
        }
    }
}

/// A payment of euros to an IBAN.
pub fn euros(request_id: &str, payer: &str, payee: &str, minor_units: i64) -> CreatePaymentRequest {
    order(request_id, payer, payee_by_iban("Blaise Seller", payee), minor_units, "EUR")
}

/// What a refusal says: its code, its reason, and the fields that are wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The gRPC code.
    pub code: Code,
    /// `ErrorInfo.reason`.
    pub reason: String,
    /// The fields of `BadRequest`.
    pub fields: Vec<String>,
}

impl Refused {
    /// What `status` says.
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == "rialto");
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice());
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            fields: violations.into_iter().flatten().map(|violation| violation.field.clone()).collect(),
        }
    }

    /// A refusal without fields.
    pub fn new(code: Code, reason: &str) -> Self {
        Self { code, reason: reason.to_owned(), fields: Vec::new() }
    }

    /// A request that is malformed in these fields.
    pub fn invalid(fields: &[&str]) -> Self {
        let fields = fields.iter().map(|&field| field.to_owned()).collect();
        Self { fields, ..Self::new(Code::InvalidArgument, "INVALID_REQUEST") }
    }
}

/// The refusal in a result that must be one.
pub fn refused<T: std::fmt::Debug>(result: Result<T, Status>) -> Result<Refused, BenchError> {
    match result {
        Ok(answer) => Err(format!("not refused: {answer:?}").into()),
        Err(status) => Ok(Refused::of(&status)),
    }
}
