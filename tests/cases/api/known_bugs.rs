//! What other payment systems got wrong, by name, on a system of its own.

#[path = "known_bugs/hang_ups.rs"]
mod hang_ups;

use std::{sync::OnceLock, time::Duration};

use harness::{
    BenchError,
    client::{Client, is_too_late, money},
    postgres::own_folder,
    system::{BANKS, Setup, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::payments::{
    CancelPaymentRequest, CaptureMode, CapturePaymentRequest, Payment, PaymentState, RefundPaymentRequest,
};
use tokio::runtime::Runtime;
use tonic::{Code, Response, Status};

use crate::bench::{Done, IN_THE_END, Refused, TIMES, euros, refused, unique};

/// Accounts at the first bank, which treats what it is told about them so.
const PAID: u32 = 1;
const SLOW: u32 = 2;
const HANGS_UP: u32 = 3;

/// Less than the bank needs to be asked what became of a payment.
const SHORT: Duration = Duration::from_millis(600);

/// What a caller can ask for.
#[derive(Clone, Debug)]
enum Call {
    Pay { from: String, to: u32, minor_units: i64, is_manual: bool },
    Capture { of: String, minor_units: i64 },
    Cancel { of: String },
    Refund { of: String, minor_units: i64 },
}

impl Call {
    /// Asks, and returns what came of it, and whether it was marked as a repeat.
    async fn ask(
        &self,
        client: &Client,
        id: &str,
        timeout: Option<Duration>,
    ) -> Result<(Payment, bool), Status> {
        let (request_id, amount) = (id.to_owned(), |minor_units| Some(money(minor_units, "EUR")));
        let mut payments = client.payments.clone();
        match self.clone() {
            Self::Pay { from, to, minor_units, is_manual } => {
                let mut message = euros(id, &from, &BANKS[0].account(to), minor_units);
                if is_manual {
                    message.set_capture(CaptureMode::Manual);
                }
                let answer = payments.create_payment(client.request(message, timeout)).await?;
                shown(answer, |message| message.payment)
            }
            Self::Capture { of, minor_units } => {
                let message = CapturePaymentRequest { request_id, payment: of, amount: amount(minor_units) };
                let answer = payments.capture_payment(client.request(message, timeout)).await?;
                shown(answer, |message| message.capture)
            }
            Self::Cancel { of } => {
                let message = CancelPaymentRequest { payment: of };
                let answer = payments.cancel_payment(client.request(message, timeout)).await?;
                shown(answer, |message| message.payment)
            }
            Self::Refund { of, minor_units } => {
                let message = RefundPaymentRequest {
                    request_id,
                    payment: of,
                    amount: amount(minor_units),
                    remittance_information: String::new(),
                };
                let answer = payments.refund_payment(client.request(message, timeout)).await?;
                shown(answer, |message| message.refund)
            }
        }
    }

    /// Asks with a short deadline, and again if that is over before anything is known.
    async fn ask_until_heard(&self, client: &Client, id: &str) -> Result<(Payment, bool), Status> {
        loop {
            match self.ask(client, id, Some(SHORT)).await {
                Err(status) if is_too_late(&status) => {}
                answer => return answer,
            }
        }
    }
}

fn shown<M>(answer: Response<M>, payment: impl Fn(M) -> Option<Payment>) -> Result<(Payment, bool), Status> {
    let replayed = answer.metadata().contains_key("idempotent-replayed");
    let payment = payment(answer.into_inner()).ok_or_else(|| Status::internal("no payment"))?;
    Ok((payment, replayed))
}

/// Runs a test on the system of these tests, which the first one starts, with an account of 1,000,000.
fn run<F: Future<Output = Done>>(test: impl FnOnce(&'static System, Client, String) -> F) {
    static SHARED: OnceLock<(Runtime, System)> = OnceLock::new();
    let (runtime, system) = SHARED.get_or_init(|| {
        let mut setup = Setup::new(own_folder("known-bugs").unwrap());
        setup.times = TIMES;
        for (account, rule) in [
            (PAID, "on = \"any\"\nbehaviour = { delay = { ms = 5 } }"),
            (SLOW, "on = \"payment\"\nbehaviour = { delay = { ms = 300 } }"),
            (SLOW, "on = \"return_request\"\nbehaviour = { delay = { ms = 300 } }"),
            (HANGS_UP, "on = \"payment\"\nbehaviour = \"drop_after\""),
            (HANGS_UP, "on = \"return_request\"\nbehaviour = \"drop_after\""),
        ] {
            setup.script += &format!("[[aurora]]\naccount = \"{}\"\n{rule}\n\n", BANKS[0].account(account));
        }
        let runtime = Runtime::new().unwrap();
        let system = runtime.block_on(System::start(setup)).unwrap_or_else(|error| panic!("{error}"));
        (runtime, system)
    });
    let done = runtime.block_on(async {
        let client = client(system);
        let account = client.open_account(&unique("account"), "Ada Buyer", "EUR", "").await?.id;
        client.deposit(&unique("deposit"), &account, 1_000_000, "EUR", "aurora").await?;
        test(system, client, account).await?;
        let found = TrialBalance::take(&system.database()).await?;
        if found.is_ok() { Ok(()) } else { Err(BenchError::from(found.to_string())) }
    });
    done.unwrap();
}

/// A caller with a connection of its own.
fn client(system: &System) -> Client {
    system.client(0).unwrap()
}

/// A payment of 100 that was paid.
async fn paid(client: &Client, from: &str, to: u32) -> Result<Payment, BenchError> {
    let call = Call::Pay { from: from.to_owned(), to, minor_units: 100, is_manual: false };
    let (payment, _) = call.ask(client, &unique("paid"), None).await?;
    wait::final_payment(client, &payment.id, IN_THE_END).await
}

/// Asks under each of these ids, all at the same time.
async fn at_once(
    client: &Client,
    call: &Call,
    ids: Vec<String>,
) -> Result<Vec<Result<(Payment, bool), Status>>, BenchError> {
    let asking = ids.into_iter().map(|id| {
        let (client, call) = (client.clone(), call.clone());
        tokio::spawn(async move { call.ask(&client, &id, None).await })
    });
    let mut answers = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        answers.push(asked.await?);
    }
    Ok(answers)
}

#[test]
fn two_refunds_of_60_of_100_at_once_are_one() {
    run(async |_, shop, account| {
        for _ in 0..8 {
            let paid = paid(&shop, &account, SLOW).await?;
            let call = Call::Refund { of: paid.id, minor_units: 60 };
            let answers = at_once(&shop, &call, vec![unique("refund"), unique("refund")]).await?;
            let (made, not): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            assert_eq!((made.len(), not.len()), (1, 1));
            let refusal = not.into_iter().next().ok_or("none")?;
            let expected = Refused::new(Code::FailedPrecondition, "REFUND_EXCEEDS_CAPTURED");
            assert_eq!(refused(refusal)?, expected);
        }
        Ok(())
    });
}

#[test]
fn a_negative_refund_is_refused_and_moves_nothing() {
    run(async |_, shop, account| {
        let paid = paid(&shop, &account, PAID).await?;
        let before = shop.account(&account).await?.balance;
        for minor_units in [-1, -60, i64::MIN, 0] {
            let call = Call::Refund { of: paid.id.clone(), minor_units };
            let refusal = refused(call.ask(&shop, &unique("negative"), None).await)?;
            assert_eq!(refusal, Refused::invalid(&["amount.minor_units"]), "{minor_units}");
        }
        assert_eq!(shop.account(&account).await?.balance, before);
        Ok(())
    });
}

#[test]
fn a_retry_after_an_unknown_outcome_makes_nothing_new() {
    run(async |system, shop, account| {
        let call = Call::Pay { from: account.clone(), to: HANGS_UP, minor_units: 100, is_manual: false };
        let paid = retried(&shop, &call).await?;
        let call = Call::Refund { of: paid.id.clone(), minor_units: 60 };
        let id = unique("unknown");
        let (unknown, _) = call.ask_until_heard(&shop, &id).await?;
        assert_eq!(unknown.state(), PaymentState::Unknown);
        // Under a new id it would be a second refund, and the first one's amount is taken.
        let again = refused(call.ask(&shop, &unique("unknown"), None).await)?;
        assert_eq!(again, Refused::new(Code::FailedPrecondition, "REFUND_EXCEEDS_CAPTURED"));
        let (repeated, replayed) = call.ask(&shop, &id, None).await?;
        assert_eq!((repeated.id, replayed), (unknown.id, true));
        let differences = system.compare_with_banks().await?;
        let own = |line: &&String| line.starts_with(&paid.uetr);
        assert_eq!(differences.iter().find(own), None);
        let posted = shop.account(&account).await?.balance.unwrap_or_default().posted_minor_units;
        assert_eq!(posted, 1_000_000 - 40);
        Ok(())
    });
}

/// Asks again and again, as whoever hears nothing in time: at first nobody knows what came of it.
async fn retried(client: &Client, call: &Call) -> Result<Payment, BenchError> {
    let id = unique("unknown");
    let (unknown, _) = call.ask_until_heard(client, &id).await?;
    assert_eq!(unknown.state(), PaymentState::Unknown);
    for _ in 0..3 {
        let (again, replayed) = call.ask_until_heard(client, &id).await?;
        assert_eq!((&again.id, replayed), (&unknown.id, true));
    }
    wait::final_payment(client, &unknown.id, IN_THE_END).await
}

#[test]
fn the_same_id_while_the_first_is_in_flight_is_one_payment() {
    run(async |_, shop, account| {
        let mut authorize = Call::Pay { from: account.clone(), to: SLOW, minor_units: 100, is_manual: true };
        let (authorized, _) = authorize.ask(&shop, &unique("flight"), None).await?;
        if let Call::Pay { is_manual, .. } = &mut authorize {
            *is_manual = false;
        }
        let capture = Call::Capture { of: authorized.id.clone(), minor_units: 60 };
        let refund = Call::Refund { of: paid(&shop, &account, SLOW).await?.id, minor_units: 60 };
        for call in [authorize, capture, refund] {
            let ids = vec![unique("flight"); 16];
            let mut answers = Vec::new();
            for answer in at_once(&shop, &call, ids).await? {
                answers.push(answer?);
            }
            assert_eq!(answers.iter().filter(|(_, replayed)| !replayed).count(), 1, "{call:?}");
            assert!(answers.iter().all(|(payment, _)| *payment == answers[0].0), "{call:?}");
            assert_eq!(answers[0].0.state(), PaymentState::Succeeded, "{call:?}");
        }
        Ok(())
    });
}
