//! The one system that the tests of the console share, with things to look at; and the browser.

use std::{
    future::Future,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use common::audit::note::Signer;
use harness::{
    BenchError, binaries,
    client::{Client, order, payee_by_iban},
    collector::Collector,
    postgres::own_folder,
    receiver::Receiver,
    signing::SigningKey,
    system::{BANKS, Service, Setup, System},
    wait,
};
use proto::{
    audit::GetPaymentReceiptRequest,
    operations::GetPaymentStoryRequest,
    participants::{CreateApiKeyRequest, RevokeApiKeyRequest},
    payments::{CreatePaymentRequest, Payment, PaymentState},
    webhooks::{CreateWebhookEndpointRequest, WebhookEndpoint},
};
use serde_json::json;
use tokio::{net::TcpListener, runtime::Runtime, sync::Mutex};

/// What a test comes to.
pub type Done = Result<(), BenchError>;

/// An account at the first bank that is never answered, and one that is refused.
const SILENT: u32 = 5;
const CLOSED: u32 = 6;
/// What drives the browser: a library of the npm registry, which brings no browser of its own.
const PLAYWRIGHT: &str = "playwright-core@1.65.1";
/// The browser, where Debian has it.
const CHROMIUM: &str = "/usr/bin/chromium";
const PATIENCE: Duration = Duration::from_secs(40);

/// Texts that would do something if a page took them for more than text.
pub const HOSTILE: [&str; 4] = [
    "<script>window.pwned=1</script>",
    "\"><img src=x onerror=window.pwned=1>",
    "javascript:window.pwned=1//'\"`;{{7*7}}${7*7}",
    "</title><svg onload=window.pwned=1>",
];

/// The running system, and what is in it.
pub struct Bench {
    /// Its processes.
    pub system: System,
    /// The first participant.
    pub shop: Client,
    /// A payment that succeeded, in a trace.
    pub paid: Payment,
    /// Takes webhooks.
    pub receiver: Receiver,
    /// A key that may not use the console.
    pub merchant_key: String,
    hostile: Payment,
    unknown: Payment,
    foreign: Payment,
    endpoint: WebhookEndpoint,
    account: String,
    /// Where a POST makes a payment (`/pay`), and one has the key `revocable` revoked (`/revoke`).
    control: String,
    revocable: String,
    signing_key: String,
    _collector: Collector,
    /// Chromium is large: one at a time.
    browser: Mutex<()>,
}

/// Runs a test on the shared system, which the first one starts.
pub fn run<F: Future<Output = Done>>(test: impl FnOnce(&'static Bench) -> F) {
    static BENCH: OnceLock<(Runtime, Bench)> = OnceLock::new();
    let (runtime, bench) = BENCH.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        match runtime.block_on(begin()) {
            Ok(bench) => (runtime, bench),
            Err(error) => panic!("{error}"),
        }
    });
    if let Err(error) = runtime.block_on(test(bench)) {
        panic!("{error}");
    }
}

/// A text that nobody else has.
pub fn unique(begin: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{begin}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn setup(collector: &Collector) -> Result<Setup, BenchError> {
    let mut setup = Setup::new(own_folder("console")?);
    let rule = |number, rule| format!("[[aurora]]\naccount = \"{}\"\n{rule}\n\n", BANKS[0].account(number));
    setup.script = rule(SILENT, "behaviour = \"silent\"\n")
        + &rule(CLOSED, "behaviour = { reject = { code = \"AC04\", text = \"account closed\" } }");
    // What is unknown stays so while tests look at it, and its bank counts as reachable.
    setup.times.valid_for_ms = 1_800_000;
    setup.bank_settings.push((BANKS[0].id, "overdue_after_ms = 3600000".to_owned()));
    setup.flags = ["--console", "--insecure-webhooks", "--max-bad-credentials-per-min=1000000"]
        .map(|flag| (Service::Gateway, flag.to_owned()))
        .to_vec();
    setup.flags.push((Service::Platform, "--seal-after=1s".to_owned()));
    for service in [Service::Gateway, Service::Platform, Service::Channel] {
        setup.flags.push((service, format!("--otlp-endpoint={}", collector.url())));
        setup.flags.push((service, "--traces-per-mille=1000".to_owned()));
    }
    Ok(setup)
}

async fn begin() -> Result<Bench, BenchError> {
    let collector = Collector::start().await?;
    let system = System::start(setup(&collector)?).await?;
    let (shop, other, receiver) = (system.client(0)?, system.client(1)?, Receiver::start().await?);
    let endpoint = CreateWebhookEndpointRequest {
        request_id: unique("webhook"),
        // A query is kept as it was written, as far as URLs may hold it.
        url: receiver
            .url("hooks?name='onmouseover=window.pwned=1'&x=%22%3E%3Cscript%3Ewindow.pwned=1%3C/script%3E"),
        states: Vec::new(),
    };
    let endpoint = shop.webhooks.clone().create_webhook_endpoint(shop.request(endpoint, None)).await?;
    let endpoint = endpoint.into_inner().webhook_endpoint.unwrap_or_default();
    let account = funded(&shop, HOSTILE[0]).await?;
    let elsewhere = funded(&other, "Eve Elsewhere").await?;
    let to = |name: &str, number| payee_by_iban(name, &BANKS[0].account(number));
    let short = Some(Duration::from_millis(1_500));
    let paid =
        shop.pay(order(&unique("order"), &account, to("Blaise Seller", 1), 1_234, "EUR"), None).await?;
    let closed = order(&unique("closed"), &account, to("Closed Seller", CLOSED), 500, "EUR");
    shop.pay(closed, None).await?;
    let silent = order(&unique("silent"), &account, to("Silent Seller", SILENT), 700, "EUR");
    let unknown = shop.pay(silent, short).await?.payment;
    let [_, name, remittance, label] = HOSTILE;
    let hostile = CreatePaymentRequest {
        remittance_information: remittance.to_owned(),
        metadata: [("label".to_owned(), label.to_owned())].into(),
        ..order("\"><script>window.pwned=1</script>", &account, to(name, 2), 100, "EUR")
    };
    let hostile = shop.pay(hostile, None).await?.payment;
    let foreign = other.pay(order(&unique("order"), &elsewhere, to("Marie", 3), 900, "EUR"), None).await?;
    for _ in 0..60 {
        shop.pay(order(&unique("order"), &account, to("Blaise Seller", 1), 250, "EUR"), None).await?;
    }
    let (revocable, revoked) = key(&system, &["operator"], Vec::new()).await?;
    let (signing_key, _) = key(&system, &["operator"], SigningKey::new()?.public()).await?;
    let (merchant_key, _) = key(&system, &["merchant", "payer-app"], Vec::new()).await?;
    let control = control(shop.clone(), system.second()?, account.clone(), revoked).await?;
    let bench = Bench {
        paid: paid.payment,
        foreign: foreign.payment,
        browser: Mutex::default(),
        _collector: collector,
        system,
        shop,
        receiver,
        merchant_key,
        hostile,
        unknown,
        endpoint,
        account,
        control,
        revocable,
        signing_key,
    };
    bench.settled().await?;
    Ok(bench)
}

/// An account with money.
async fn funded(client: &Client, holder: &str) -> Result<String, BenchError> {
    let account = client.open_account(&unique("account"), holder, "EUR", "").await?.id;
    client.deposit(&unique("deposit"), &account, 10_000_000, "EUR", BANKS[0].id).await?;
    Ok(account)
}

/// A key on record of the first participant, and its id, once the gateway knows it.
async fn key(
    system: &System,
    roles: &[&str],
    verification_key: Vec<u8>,
) -> Result<(String, String), BenchError> {
    let operator = system.second()?;
    let message = CreateApiKeyRequest {
        request_id: unique("key"),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        label: "of a test".to_owned(),
        verification_key,
        ..CreateApiKeyRequest::default()
    };
    let made =
        operator.participants.clone().create_api_key(operator.request(message, None)).await?.into_inner();
    let holder = Client::new(&system.gateway()?, &made.key)?;
    wait::until("the key", PATIENCE, || async {
        let asked = holder.request(proto::payments::ListPaymentsRequest::default(), None);
        holder.payments.clone().list_payments(asked).await.is_ok().then_some(())
    })
    .await?;
    Ok((made.key, made.api_key.unwrap_or_default().id))
}

trait Operators {
    fn second(&self) -> Result<Client, BenchError>;
}

impl Operators for System {
    /// The first participant's second operator.
    fn second(&self) -> Result<Client, BenchError> {
        Client::new(&self.gateway()?, self.second_operator())
    }
}

/// Does for the browser's driver what it cannot do itself.
async fn control(
    shop: Client,
    operator: Client,
    account: String,
    revoked: String,
) -> Result<String, BenchError> {
    struct Hands {
        shop: Client,
        operator: Client,
        account: String,
        revoked: String,
    }
    async fn pay(State(hands): State<Arc<Hands>>) -> StatusCode {
        let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(1));
        let paid = hands.shop.pay(order(&unique("live"), &hands.account, payee, 100, "EUR"), None).await;
        if paid.is_ok_and(|paid| paid.payment.state() == PaymentState::Succeeded) {
            StatusCode::OK
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
    async fn revoke(State(hands): State<Arc<Hands>>) -> StatusCode {
        let message = RevokeApiKeyRequest { api_key: hands.revoked.clone() };
        let request = hands.operator.request(message, None);
        match hands.operator.participants.clone().revoke_api_key(request).await {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
    let hands = Arc::new(Hands { shop, operator, account, revoked });
    let routes = Router::new().route("/pay", post(pay)).route("/revoke", post(revoke)).with_state(hands);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(format!("http://{address}"))
}

impl Bench {
    /// Where the console is.
    pub fn url(&self) -> String {
        format!("http://{}", self.system.admin_address(Service::Gateway).unwrap())
    }

    /// Where the receipt is put that the browser downloads.
    pub fn downloaded(&self) -> PathBuf {
        self.system.folder().join("receipt.json")
    }

    /// The trace that a payment is found by.
    async fn trace(&self, payment: &Payment) -> Result<String, BenchError> {
        let message = GetPaymentStoryRequest { payment: payment.id.clone() };
        let found = self.shop.operations.clone().get_payment_story(self.shop.request(message, None)).await?;
        Ok(found.into_inner().story.unwrap_or_default().trace_id)
    }

    /// Waits until there are receipts, and what is unknown is.
    async fn settled(&self) -> Result<(), BenchError> {
        for payment in [&self.paid, &self.hostile] {
            wait::until("a receipt", PATIENCE, || async {
                let message = GetPaymentReceiptRequest { payment: payment.id.clone() };
                self.shop.audit.clone().get_payment_receipt(self.shop.request(message, None)).await.ok()
            })
            .await?;
        }
        wait::until("the end to be unknown", PATIENCE, || async {
            let payment = self.shop.payment(&self.unknown.id).await.ok()?;
            (payment.state() == PaymentState::Unknown).then_some(())
        })
        .await
    }

    /// Pays for a while, for pictures.
    pub async fn busy(&self) -> Result<(), BenchError> {
        for number in 0..1_200_u64 {
            let bank = &BANKS[usize::try_from(number % 2)?];
            let account = if number % 29 == 0 { CLOSED } else { 1 };
            let payee = payee_by_iban("Blaise Seller", &bank.account(account));
            self.shop.pay(order(&unique("busy"), &self.account, payee, 1_999, "EUR"), None).await?;
            // As many as come in an hour of the morning: now more, now fewer.
            tokio::time::sleep(Duration::from_millis(20 + (number / 12 * 37) % 90)).await;
        }
        Ok(())
    }
}

/// Plays a scenario of `tests/console/scenarios.mjs`.
pub async fn drive(bench: &Bench, scenario: &str) -> Done {
    let _alone = bench.browser.lock().await;
    let chromium = std::env::var("RIALTO_CHROMIUM").unwrap_or_else(|_| CHROMIUM.to_owned());
    if !PathBuf::from(&chromium).is_file() {
        return Err(
            "there is no Chromium: `apt-get install chromium`, or set RIALTO_CHROMIUM to where it is".into(),
        );
    }
    let other = Signer::new("rialto", Signer::new_key().ok_or("no randomness")?.as_bytes())?;
    let known = json!({
        "modules": modules()?,
        "chromium": chromium,
        "url": bench.url(),
        "pictures": std::env::var("RIALTO_PICTURES").unwrap_or_default(),
        "downloaded": bench.downloaded(),
        "key": bench.system.credential(0),
        "auditorKey": key(&bench.system, &["auditor"], Vec::new()).await?.0,
        "merchantKey": bench.merchant_key,
        "signingKey": bench.signing_key,
        "houseKey": bench.system.house_operator(),
        "revocable": bench.revocable,
        "revoke": format!("{}/revoke", bench.control),
        "pay": format!("{}/pay", bench.control),
        "paid": bench.paid.id,
        "paidRequest": bench.paid.request_id,
        "uetr": bench.paid.uetr,
        "trace": bench.trace(&bench.paid).await?,
        "account": bench.account,
        "hostile": bench.hostile.id,
        "hostileTexts": [bench.hostile.request_id, HOSTILE[1], HOSTILE[2], HOSTILE[3]],
        "unknown": bench.unknown.id,
        "unknownRequest": bench.unknown.request_id,
        "foreign": bench.foreign.id,
        "endpoint": bench.endpoint.id,
        "hooks": bench.endpoint.url,
        "auditKey": bench.system.audit_public_key(),
        "otherAuditKey": other.public_key().to_string(),
    });
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/console/driver.mjs");
    let played = tokio::process::Command::new("node").args([driver, scenario, &known.to_string()]).output();
    let played =
        played.await.map_err(|error| format!("cannot run node: {error}: `apt-get install nodejs`"))?;
    match played.status.success() {
        true => Ok(()),
        false => Err(format!("{scenario}:\n{}", String::from_utf8_lossy(&played.stderr)).into()),
    }
}

/// The folder of the driver's library, fetched if it is not there.
fn modules() -> Result<PathBuf, BenchError> {
    let folder = binaries::target()?.join("console-tests");
    let modules = folder.join("node_modules");
    if !modules.join("playwright-core").is_dir() {
        std::fs::create_dir_all(&folder)?;
        let npm = ["install", "--silent", "--no-save", "--ignore-scripts", PLAYWRIGHT];
        let fetched = Command::new("npm").args(npm).arg("--prefix").arg(&folder).status();
        let fetched = fetched.map_err(|error| format!("cannot run npm: {error}: `apt-get install npm`"))?;
        if !fetched.success() {
            return Err(format!("npm does not fetch {PLAYWRIGHT}; its messages are above").into());
        }
    }
    Ok(modules)
}
