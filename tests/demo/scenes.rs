//! The scenes: payments that a reader learns from, each with what is to come of it.

use std::time::{Duration, Instant};

use harness::{
    BenchError,
    client::{Answer, Client, order, payee_by_iban, payee_by_number, payee_on_ledger},
    system::BANKS,
    wait::is_final,
};
use proto::payments::{CreatePaymentRequest, Payment, PaymentState, payee};
use serde::Serialize;
use tonic_types::StatusExt;

/// Accounts at the first bank that its script knows; see [`script`].
const CLOSED: u32 = 4;
const SILENT_EXECUTED: u32 = 5;
const SILENT_ONCE: u32 = 6;
const DROPS_AFTER: u32 = 7;

/// How the first bank misbehaves in the scenes.
pub fn script() -> String {
    let rule = |number: u32, rest: &str| {
        format!("[[{}]]\naccount = \"{}\"\n{rest}\n\n", BANKS[0].id, BANKS[0].account(number))
    };
    [
        rule(CLOSED, "behaviour = { reject = { code = \"AC04\", text = \"account closed\" } }"),
        rule(SILENT_EXECUTED, "behaviour = \"silent_executed\""),
        rule(SILENT_ONCE, "behaviour = \"silent\"\ntimes = 1"),
        rule(DROPS_AFTER, "behaviour = \"drop_after\""),
    ]
    .concat()
}

/// What came of a scene.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// What the scene shows.
    pub scene: &'static str,
    /// The payment's id; empty if none came to be.
    pub id: String,
    /// Its state at the scene's end, or the gRPC code if no payment came to be.
    pub state: String,
    /// Why; empty if there is no reason.
    pub reason: String,
    /// How long the call took, or for a scene that is resolved later, until it was.
    pub ms: u64,
    /// What else there is to see.
    #[serde(skip)]
    pub remark: String,
    /// Whether it came as it was to come.
    #[serde(skip)]
    pub as_told: bool,
}

/// What is to come of a scene.
enum Told {
    /// The payment in this state, for this reason (empty for none), in the call itself.
    AtOnce(PaymentState, &'static str),
    /// UNKNOWN in the call, and resolved by asking the bank.
    Later(PaymentState),
    /// The payment of the scene before, marked as a repeat.
    Repeated,
    /// No payment: this gRPC code and reason.
    NoPayment(tonic::Code, &'static str),
    /// Checked only: nothing was written.
    Checked,
}

struct Scene {
    name: &'static str,
    request: CreatePaymentRequest,
    timeout: Option<Duration>,
    told: Told,
}

/// Opens the accounts and plays the scenes in order. `run` keeps the request ids of one run apart from those of another.
pub async fn play(client: &Client, run: &str) -> Result<Vec<Played>, BenchError> {
    let mut played: Vec<Played> = Vec::new();
    let mut last_id = String::new();
    for scene in scenes(client, run).await? {
        let result = play_one(client, &scene, &last_id).await;
        last_id.clone_from(&result.id);
        played.push(result);
    }
    Ok(played)
}

async fn scenes(client: &Client, run: &str) -> Result<Vec<Scene>, BenchError> {
    let [aurora, meridian, sakura] = BANKS;
    let buyer = client.open_account(&format!("{run}-buyer"), "Ada Buyer", "EUR", "").await?.id;
    let travel = client.open_account(&format!("{run}-travel"), "Ada Abroad", "JPY", "").await?.id;
    // An IBAN of the ledger's own, at no bank of the directory.
    let own_iban = harness::names::iban("NL", &format!("RIAL{:010}", std::process::id() % 1_000_000_000));
    let seller_name = "Grace's Books";
    let seller = client.open_account(&format!("{run}-seller"), seller_name, "EUR", &own_iban).await?.id;
    client.deposit(&format!("{run}-deposit"), &buyer, 100_000, "EUR", aurora.id).await?;
    client.deposit(&format!("{run}-deposit-jpy"), &travel, 50_000, "JPY", sakura.id).await?;

    use PaymentState::{Failed, Succeeded};
    let id = |number: u32| format!("{run}-{number}");
    let to = |number: u32| payee_by_iban("Blaise Seller", &aurora.account(number));
    let eur = |number: u32, payee, amount| order(&id(number), &buyer, payee, amount, "EUR");
    let scene = |name, request, told| Scene { name, request, timeout: None, told };
    // Two hops keep a twentieth each: the answer is due half-way between when a bank is given up (1,500 ms) and when it is asked (1,800 ms).
    let short = Some(Duration::from_millis(1_820));
    Ok(vec![
        scene("paid: the IBAN says which bank", eur(1, to(1), 1234), Told::AtOnce(Succeeded, "")),
        scene("the same request again", eur(1, to(1), 1234), Told::Repeated),
        scene(
            "its request_id for something else",
            eur(1, to(1), 9999),
            Told::NoPayment(tonic::Code::FailedPrecondition, "REQUEST_ID_REUSED"),
        ),
        scene(
            "paid: another bank, found by its BIC",
            eur(2, payee_by_iban("Marie Seller", &meridian.account(2)), 5000)
                .with_bank(payee::Bank::Bic(meridian.bic.to_owned())),
            Told::AtOnce(Succeeded, ""),
        ),
        scene(
            "paid: an account number, in yen",
            order(
                &id(3),
                &travel,
                payee_by_number(
                    "Hideki Seller",
                    &sakura.account(3),
                    payee::Bank::BankId(sakura.id.to_owned()),
                ),
                1_500,
                "JPY",
            ),
            Told::AtOnce(Succeeded, ""),
        ),
        scene(
            "the bank refuses: account closed",
            eur(4, to(CLOSED), 2000),
            Told::AtOnce(Failed, "REJECTED_BY_BANK"),
        ),
        scene("too little money", eur(5, to(1), 500_000), Told::AtOnce(Failed, "INSUFFICIENT_FUNDS")),
        scene(
            "on this ledger, without a bank",
            eur(6, payee_on_ledger(seller_name, &seller), 3000),
            Told::AtOnce(Succeeded, ""),
        ),
        scene(
            "on this ledger, found by IBAN",
            eur(7, payee_by_iban(seller_name, &own_iban), 500),
            Told::AtOnce(Succeeded, ""),
        ),
        Scene {
            timeout: short,
            ..scene(
                "the bank pays, but never answers",
                eur(8, to(SILENT_EXECUTED), 700),
                Told::Later(Succeeded),
            )
        },
        Scene {
            timeout: short,
            ..scene(
                "the bank loses it: asked, sent again",
                eur(9, to(SILENT_ONCE), 800),
                Told::Later(Succeeded),
            )
        },
        Scene {
            timeout: short,
            ..scene("the bank pays and hangs up", eur(10, to(DROPS_AFTER), 900), Told::Later(Succeeded))
        },
        scene(
            "no such bank",
            eur(11, payee_by_iban("Nobody", "GB29NWBK60161331926819"), 100),
            Told::NoPayment(tonic::Code::InvalidArgument, "BANK_NOT_IN_DIRECTORY"),
        ),
        scene(
            "all that is wrong, at once",
            CreatePaymentRequest { request_id: id(12), ..CreatePaymentRequest::default() },
            Told::NoPayment(tonic::Code::InvalidArgument, "INVALID_REQUEST"),
        ),
        scene(
            "checked only: nothing is written",
            CreatePaymentRequest { validate_only: true, ..eur(13, to(1), 100) },
            Told::Checked,
        ),
    ])
}

trait WithBank {
    fn with_bank(self, bank: payee::Bank) -> Self;
}

impl WithBank for CreatePaymentRequest {
    fn with_bank(mut self, bank: payee::Bank) -> Self {
        if let Some(payee) = &mut self.payee {
            payee.bank = Some(bank);
        }
        self
    }
}

async fn play_one(client: &Client, scene: &Scene, last_id: &str) -> Played {
    let began = Instant::now();
    let answer = client.pay(scene.request.clone(), scene.timeout).await;
    let mut played = match &answer {
        Ok(answer) => of_payment(scene.name, &answer.payment),
        Err(status) => of_status(scene.name, status),
    };
    match (&scene.told, &answer) {
        (Told::AtOnce(state, reason), Ok(_)) => {
            played.as_told = played.state == name_of(*state) && played.reason == *reason;
        }
        (Told::Later(state), Ok(answer)) => {
            let in_call = played.state.clone();
            let resolved = follow(client, answer, Duration::from_secs(30)).await;
            played = of_payment(scene.name, &resolved);
            played.as_told = in_call == name_of(PaymentState::Unknown) && played.state == name_of(*state);
            played.remark = format!("{in_call} in the call, then the bank was asked");
        }
        (Told::Repeated, Ok(answer)) => {
            played.as_told = answer.replayed && answer.payment.id == last_id;
            "the same payment, marked as a repeat".clone_into(&mut played.remark);
        }
        (Told::NoPayment(code, reason), Err(status)) => {
            played.as_told = status.code() == *code && played.reason == *reason;
            played.remark = fields(status);
        }
        (Told::Checked, Ok(answer)) => {
            played.as_told = answer.payment.id.is_empty() && answer.payment.reason.is_none();
            "CHECKED".clone_into(&mut played.state);
            "it would be accepted".clone_into(&mut played.remark);
        }
        _ => {}
    }
    played.ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    played
}

/// Reads the payment until it is final.
pub async fn follow(client: &Client, answer: &Answer, timeout: Duration) -> Payment {
    let deadline = Instant::now() + timeout;
    let mut payment = answer.payment.clone();
    while !is_final(&payment) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if let Ok(read) = client.payment(&payment.id).await {
            payment = read;
        }
    }
    payment
}

fn of_payment(scene: &'static str, payment: &Payment) -> Played {
    let reason = payment.reason.clone().unwrap_or_default();
    Played {
        scene,
        id: payment.id.clone(),
        state: name_of(payment.state()),
        remark: if reason.iso_code.is_empty() { String::new() } else { format!("ISO {}", reason.iso_code) },
        reason: reason.code,
        ms: 0,
        as_told: false,
    }
}

fn of_status(scene: &'static str, status: &tonic::Status) -> Played {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let state = format!("{:?}", status.code());
    Played { scene, id: String::new(), state, reason, ms: 0, remark: String::new(), as_told: false }
}

fn fields(status: &tonic::Status) -> String {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect::<Vec<_>>().join(", ")
}

/// The state's name without its enum's prefix.
fn name_of(state: PaymentState) -> String {
    state.as_str_name().trim_start_matches("PAYMENT_STATE_").to_owned()
}
