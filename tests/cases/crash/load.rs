//! Callers who pay, retry with the same request id, and remember what they were told; and the count at the end.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use harness::{
    BenchError,
    client::{Client, insist, may_try_again, order, payee_by_iban},
    postgres::own_folder,
    system::{BANKS, BankTimes, Service, Setup, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::payments::{GetPaymentRequest, Payment, PaymentState, get_payment_request::Key};
use sqlx::{ConnectOptions, Row};
use tokio::{runtime::Runtime, task::JoinHandle};
use tonic::{Code, Status};

/// What a test comes to.
pub type Done = Result<(), BenchError>;

/// Callers at once.
pub const CALLERS: u32 = 64;

/// Runs a test on a runtime of its own.
pub fn run<F: Future<Output = Done>>(test: impl FnOnce() -> F) {
    if let Err(error) = Runtime::new().unwrap().block_on(test()) {
        panic!("{error}");
    }
}

/// A system whose banks answer after 30 ms, so that a kill finds payments everywhere, and two payer accounts on it.
pub async fn start(purpose: &str) -> Result<(System, Vec<String>), BenchError> {
    start_with(Setup::new(own_folder(purpose)?)).await
}

/// The same of this setup.
pub async fn start_with(mut setup: Setup) -> Result<(System, Vec<String>), BenchError> {
    setup.times = BankTimes { answer_timeout_ms: 800, enquire_after_ms: 1_000, valid_for_ms: 60_000 };
    setup.script =
        "[[aurora]]\nbehaviour = { delay = { ms = 30 } }\n\n[[meridian]]\nminor_units_ending = 13\n\
                    behaviour = { reject = { code = \"AC04\" } }\n"
            .to_owned();
    let system = System::start(setup).await?;
    let client = client(&system);
    let mut payers = Vec::new();
    for name in ["one", "two"] {
        let account = insist(|| client.open_account(name, "Ada Buyer", "EUR", "")).await?.id;
        insist(|| client.deposit(name, &account, 1_000_000_000, "EUR", "aurora")).await?;
        payers.push(account);
    }
    Ok((system, payers))
}

/// A caller with a connection of its own.
pub fn client(system: &System) -> Client {
    system.client(0).unwrap()
}

/// What a caller was told of each of its requests: a payment, or nothing that it could rely on.
pub type Told = HashMap<String, Option<Payment>>;

/// Callers who pay until they are told to stop.
pub struct Load {
    enough: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Result<Told, Status>>>,
}

impl Load {
    /// Sets [`CALLERS`] to work.
    pub fn begin(system: &System, payers: &[String]) -> Self {
        let (enough, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers = (0..CALLERS)
            .map(|number| {
                let (client, payer) =
                    (client(system), payers[usize::try_from(number).unwrap() % payers.len()].clone());
                tokio::spawn(call(client, payer, number, Arc::clone(&enough), Arc::clone(&answered)))
            })
            .collect();
        Self { enough, answered, callers }
    }

    /// Waits until `more` further payments were answered: the system works.
    pub async fn goes_on(&self, more: u64) -> Done {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        let reached = || async {
            let given_up = self.callers.iter().any(JoinHandle::is_finished);
            (given_up || self.answered.load(Ordering::Relaxed) >= goal).then_some(given_up)
        };
        match wait::until("payments go on", Duration::from_secs(40), reached).await? {
            false => Ok(()),
            true => Err("a caller has given up".into()),
        }
    }

    /// Ends the work, after the requests under way.
    pub async fn end(self) -> Result<Told, BenchError> {
        self.enough.store(true, Ordering::Relaxed);
        let mut told = Told::new();
        for caller in self.callers {
            told.extend(caller.await??);
        }
        Ok(told)
    }
}

/// One caller: every request is sent again, as it was, until a payment is the answer.
async fn call(
    client: Client,
    payer: String,
    number: u32,
    enough: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> Result<Told, Status> {
    let mut told = Told::new();
    for count in 0_u32.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("c{number}-{count}");
        let payee = payee_by_iban("Blaise", &BANKS[usize::from(count % 3 == 0)].account(number + 1));
        let request = order(&id, &payer, payee, i64::from(10 + count % 5), "EUR");
        told.insert(id.clone(), None);
        let payment = loop {
            match client.pay(request.clone(), Some(Duration::from_secs(5))).await {
                Ok(answer) => break answer.payment,
                Err(status) if may_try_again(&status) || is_lost(&status) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(status) => panic!("{id}: {status:?}"),
            }
        };
        answered.fetch_add(1, Ordering::Relaxed);
        told.insert(id, Some(payment));
    }
    Ok(told)
}

/// The answer came too late or the connection broke: the same request tells what came of it.
fn is_lost(status: &Status) -> bool {
    let made_by_the_client = std::error::Error::source(status).is_some();
    made_by_the_client || matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled)
}

/// Requires that every payment has ended, the ledger adds up, the banks' books agree, what was told is still true, and no service
/// complained.
pub async fn count(system: &System, told: &Told) -> Done {
    count_payments(system, told).await?;
    no_defect_was_logged(system)
}

/// The same, whatever services complained of.
pub async fn count_payments(system: &System, told: &Told) -> Done {
    let open = || async {
        let mut database = system.database().connect().await.ok()?;
        let open: i64 =
            sqlx::query_scalar("SELECT count(*) FROM payments WHERE state NOT IN ('SUCCEEDED', 'FAILED')")
                .fetch_one(&mut database)
                .await
                .ok()?;
        (open == 0).then_some(())
    };
    wait::until("every payment has ended", Duration::from_secs(45), open).await?;
    let found = TrialBalance::take(&system.database()).await?;
    assert!(found.is_ok(), "{found}");
    let differences = system.compare_with_banks().await?;
    assert!(differences.is_empty(), "{} differences: {:?}", differences.len(), differences.first());
    let mut database = system.database().connect().await?;
    let rows = sqlx::query(
        "SELECT request_id, 'pay_' || replace(id::text, '-', '') AS id, state::text, amount FROM payments",
    )
    .fetch_all(&mut database)
    .await?;
    let mut kept: HashMap<String, (String, String, i64)> = HashMap::new();
    for row in rows {
        let (request_id, id): (String, String) = (row.get("request_id"), row.get("id"));
        let before = kept.insert(request_id.clone(), (id, row.get("state"), row.get("amount")));
        assert_eq!(before, None, "{request_id} made two payments");
    }
    for (request_id, payment) in told {
        let Some(payment) = payment else { continue };
        let (id, state, amount) =
            kept.get(request_id).ok_or(format!("{request_id} was acknowledged and is gone"))?;
        assert_eq!(*id, payment.id, "{request_id}");
        assert_eq!(Some(*amount), payment.amount.as_ref().map(|amount| amount.minor_units), "{request_id}");
        let said = payment.state().as_str_name().trim_start_matches("PAYMENT_STATE_");
        if matches!(payment.state(), PaymentState::Succeeded | PaymentState::Failed) {
            assert_eq!(state, said, "{request_id}: a final state changed");
        }
    }
    Ok(())
}

/// No service panicked or met a defect; that the database is gone, as sqlx says it, is none.
fn no_defect_was_logged(system: &System) -> Done {
    for service in Service::ALL {
        let log = std::fs::read_to_string(system.folder().join(format!("{}.log", service.name())))?;
        let is_ours = |line: &str| !line.contains("\"target\":\"sqlx");
        let bad = |line: &&str| {
            line.contains("panicked") || line.contains("ALARM") || line.contains("\"ERROR\"") && is_ours(line)
        };
        if let Some(line) = log.lines().find(bad) {
            return Err(format!("{}: {line}", service.name()).into());
        }
    }
    Ok(())
}

/// The payment that a request made, if it made one.
pub async fn made_by(client: &Client, request_id: &str) -> Result<Option<Payment>, Status> {
    let message = GetPaymentRequest { key: Some(Key::RequestId(request_id.to_owned())) };
    let get = || async { client.payments.clone().get_payment(client.request(message.clone(), None)).await };
    match insist(get).await {
        Ok(answer) => Ok(answer.into_inner().payment),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}
