//! Every state of a payment and all that a caller can do there, on a system of its own: what comes of it, or the reason why
//! not. Each state is come to as it is in life; only the time that an authorization lasts is not waited for.

use std::{
    fs,
    time::{Duration, Instant},
};

use harness::{
    BenchError,
    client::{Client, money},
    postgres::own_folder,
    system::{BANKS, HOUSE, PARTICIPANTS, Service, Setup, System, new_key},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::{
    operations::{Resolution, ResolvePaymentRequest},
    participants::RotateApiKeyRequest,
    payments::{Payment, PaymentState},
};
use sqlx::{Connection, PgConnection};
use tokio::runtime::Runtime;
use tonic::{Code, Status};

use crate::{
    bench::{Done, Refused, euros, unique},
    life::{authorize, cancel, capture, refund},
};

use PaymentState::{
    Authorized, Cancelled, Expired, Failed, Held, Investigate, Submitted, Succeeded, Unknown,
};

const LONG: Duration = Duration::from_secs(30);

/// Accounts at the first bank, which treats their payments so.
const PAID: u32 = 1;
const REFUSED: u32 = 2;
const SILENT: u32 = 3;
const ODD: u32 = 4;

/// What comes of asking for a refund, a resolution, a capture of a part and a cancellation, one after the other: a state, or
/// the reason of the refusal.
type Row = [Result<PaymentState, &'static str>; 4];

const NO: Row = [
    Err("PAYMENT_NOT_REFUNDABLE"),
    Err("PAYMENT_NOT_RESOLVABLE"),
    Err("PAYMENT_NOT_CAPTURABLE"),
    Err("PAYMENT_NOT_CANCELLABLE"),
];

#[rustfmt::skip]
const ROWS: [(PaymentState, Row); 9] = [
    (Submitted,   NO),
    (Unknown,     [NO[0],         Ok(Unknown),     NO[2],         NO[3]]),
    (Investigate, [NO[0],         Ok(Investigate), NO[2],         NO[3]]),
    (Authorized,  [NO[0],         NO[1],           Ok(Succeeded), Ok(Succeeded)]),
    (Succeeded,   [Ok(Succeeded), NO[1],           NO[2],         NO[3]]),
    (Failed,      NO),
    (Cancelled,   [NO[0],         NO[1],           NO[2],         Ok(Cancelled)]),
    (Expired,     NO),
    (Held,        [NO[0],         NO[1],           NO[2],         Ok(Cancelled)]),
];

/// The system, its two operators, and an account with money.
struct Shop {
    system: System,
    ada: Client,
    bea: Client,
    house: Client,
    account: String,
}

impl Shop {
    async fn open() -> Result<Self, BenchError> {
        let mut setup = Setup::new(own_folder("states")?);
        (setup.times.answer_timeout_ms, setup.times.enquire_after_ms) = (2_000, 2_200);
        setup.queueing = &["meridian"];
        for (account, behaviour) in [
            (REFUSED, "{ reject = { code = \"AC04\" } }"),
            (SILENT, "\"silent\""),
            (ODD, "{ deduct = { minor_units = 1, told = true } }"),
        ] {
            let account = BANKS[0].account(account);
            setup.script += &format!("[[aurora]]\naccount = \"{account}\"\nbehaviour = {behaviour}\n\n");
        }
        let keys = two_operators(&setup)?;
        let system = System::start(setup).await?;
        let [ada, bea, house] = keys.each_ref().map(|key| Client::new(&system.gateway().unwrap(), key));
        let (ada, bea, house) = (ada?.approved_by(&keys[1])?, bea?, house?);
        let account = ada.open_account("account", "Ada Buyer", "EUR", "").await?.id;
        ada.deposit("deposit", &account, 10_000, "EUR", "aurora").await?;
        Ok(Self { system, ada, bea, house, account })
    }

    /// Pays; the answer is the payment's state when the bank has answered, or after 300 ms.
    async fn pay(&self, to: &str) -> Result<Payment, Status> {
        let request = euros(&unique("states"), &self.account, to, 100);
        let deadline = if *to == BANKS[0].account(SILENT) { Duration::from_millis(300) } else { LONG };
        Ok(self.ada.pay(request, Some(deadline)).await?.payment)
    }

    async fn until(&self, payment: &str, state: PaymentState) -> Result<Payment, BenchError> {
        let read = || async { self.ada.payment(payment).await.ok().filter(|read| read.state() == state) };
        wait::until(state.as_str_name(), LONG, read).await
    }

    /// A payment that has come to a state.
    async fn payment_in(&mut self, state: PaymentState) -> Result<Payment, BenchError> {
        let to = |number| BANKS[0].account(number);
        Ok(match state {
            Submitted => self.pay(&to(SILENT)).await?,
            Unknown => {
                let sent = self.pay(&to(SILENT)).await?;
                self.until(&sent.id, Unknown).await?
            }
            Investigate => self.pay(&to(ODD)).await?,
            Authorized => authorize(&self.ada, &self.account, &to(PAID), 100).await?,
            Succeeded => self.pay(&to(PAID)).await?,
            Failed => self.pay(&to(REFUSED)).await?,
            Cancelled => {
                let authorized = authorize(&self.ada, &self.account, &to(PAID), 100).await?;
                cancel(&self.ada, &authorized.id).await?
            }
            Expired => {
                let authorized = authorize(&self.ada, &self.account, &to(PAID), 100).await?;
                self.let_time_pass(&authorized).await?;
                self.until(&authorized.id, Expired).await?
            }
            Held => {
                self.system.process(Service::Bank).signal("KILL")?;
                let to = BANKS[1].account(PAID);
                let held = || async { self.pay(&to).await.ok().filter(|paid| paid.state() == Held) };
                wait::until("payments wait for their bank", LONG, held).await?
            }
            PaymentState::Unspecified => return Err("no state".into()),
        })
    }

    /// Makes an authorization's end be over, as if a week had passed.
    async fn let_time_pass(&self, authorized: &Payment) -> Done {
        let mut database = PgConnection::connect_with(&self.system.database()).await?;
        let id = authorized.id.trim_start_matches("pay_");
        let statement = format!(
            "SET session_replication_role = replica; \
             UPDATE payments SET expires_at = now() - interval '1 second' WHERE id = '{id}'; \
             UPDATE dispatches SET due_at = now() WHERE payment_id = '{id}'"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut database).await?;
        Ok(database.close().await?)
    }

    /// Operator's keys that Ada can come by: one that she makes, and one that she takes over from an operator whose key the
    /// house has made.
    async fn keys_of_adas(&self) -> Result<[String; 2], BenchError> {
        let made = self.ada.create_api_key("ada-2", "", &["operator"]).await?;
        let cleos = self.house.create_api_key("cleo", PARTICIPANTS[0], &["operator"]).await?;
        let message = RotateApiKeyRequest {
            request_id: "cleo-2".to_owned(),
            api_key: cleos.api_key.unwrap_or_default().id,
            ..RotateApiKeyRequest::default()
        };
        let taken = self.ada.participants.clone().rotate_api_key(self.ada.request(message, None)).await?;
        Ok([made.key, taken.into_inner().key])
    }

    /// Asks for everything, and returns what came of it.
    async fn try_all(&self, payment: &str) -> Result<Vec<Result<PaymentState, Refused>>, BenchError> {
        let part = || Some(money(40, "EUR"));
        let resolved = resolve(&self.ada, payment, true, "letter 1").await;
        let outcomes = [
            refund(&self.ada, payment, part()).await,
            resolved.map(|(payment, _)| payment),
            capture(&self.ada, payment, part()).await,
            cancel(&self.ada, payment).await,
        ];
        let outcome = |result: Result<Payment, Status>| match result {
            Ok(payment) => Ok(payment.state()),
            Err(status) => Err(Refused::of(&status)),
        };
        Ok(outcomes.map(outcome).into())
    }
}

/// Keys for the participants, one more for the first of them, and one for the house.
fn two_operators(setup: &Setup) -> Result<[String; 3], BenchError> {
    fs::create_dir_all(&setup.folder)?;
    let roles = ["payer-app", "merchant", "operator"];
    let made = PARTICIPANTS.into_iter().chain([PARTICIPANTS[0], HOUSE]);
    let made = made.map(|participant| new_key(participant, &roles));
    let (keys, entries): (Vec<_>, String) = made.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    fs::write(setup.folder.join("api-keys.toml"), entries)?;
    fs::write(setup.folder.join("api-keys.secret"), keys[..PARTICIPANTS.len()].join("\n"))?;
    Ok([keys[0].clone(), keys[PARTICIPANTS.len()].clone(), keys[PARTICIPANTS.len() + 1].clone()])
}

/// Says how a payment ended; returns it and whether another operator has still to agree.
async fn resolve(
    operator: &Client,
    payment: &str,
    succeeded: bool,
    reference: &str,
) -> Result<(Payment, bool), Status> {
    let resolution = if succeeded { Resolution::Succeeded } else { Resolution::Failed };
    let message = ResolvePaymentRequest {
        payment: payment.to_owned(),
        resolution: resolution.into(),
        evidence_reference: reference.to_owned(),
    };
    let answer = operator.operations.clone().resolve_payment(operator.request(message, None)).await?;
    let answer = answer.into_inner();
    Ok((answer.payment.unwrap_or_default(), answer.awaits_approval))
}

async fn every_state(shop: &mut Shop) -> Done {
    for (state, row) in ROWS {
        let began = Instant::now();
        let payment = shop.payment_in(state).await?;
        assert_eq!(payment.state(), state);
        // Whoever asked for it hears of it without waiting for the end of the call.
        assert!(began.elapsed() < LONG / 2, "{state:?} after {:?}", began.elapsed());
        let refused = |reason| Refused::new(Code::FailedPrecondition, reason);
        let expected: Vec<_> = row.into_iter().map(|cell| cell.map_err(refused)).collect();
        assert_eq!(shop.try_all(&payment.id).await?, expected, "{state:?}");
    }
    let found = TrialBalance::take(&shop.system.database()).await?;
    if found.is_ok() { Ok(()) } else { Err(found.to_string().into()) }
}

async fn four_eyes(shop: &mut Shop) -> Done {
    let payment = shop.payment_in(Investigate).await?;
    let awaiting = |answer: (Payment, bool)| (answer.0.state(), answer.1);
    assert_eq!(awaiting(resolve(&shop.ada, &payment.id, false, "letter").await?), (Investigate, true));
    for _ in 0..2 {
        assert_eq!(awaiting(resolve(&shop.ada, &payment.id, true, "line 3").await?), (Investigate, true));
    }
    for key in shop.keys_of_adas().await? {
        let own = Client::new(&shop.system.gateway()?, &key)?;
        let once_more = async || resolve(&own, &payment.id, true, "line 3").await.ok();
        let answer = wait::until("the key is let in", LONG, once_more).await?;
        assert_eq!(awaiting(answer), (Investigate, true), "it takes another operator, not another key");
    }
    let differs =
        resolve(&shop.bea, &payment.id, true, "letter").await.err().map(|status| Refused::of(&status));
    assert_eq!(differs, Some(Refused::new(Code::FailedPrecondition, "RESOLUTION_DIFFERS")));
    for _ in 0..2 {
        assert_eq!(awaiting(resolve(&shop.bea, &payment.id, true, "line 3").await?), (Succeeded, false));
    }
    assert_eq!(awaiting(resolve(&shop.ada, &payment.id, true, "line 3").await?), (Succeeded, false));
    let over =
        resolve(&shop.ada, &payment.id, false, "letter").await.err().map(|status| Refused::of(&status));
    assert_eq!(over, Some(Refused::new(Code::FailedPrecondition, "PAYMENT_NOT_RESOLVABLE")));
    Ok(())
}

#[test]
fn every_call_in_every_state_hears_what_is_promised() {
    let done: Done = Runtime::new().unwrap().block_on(async {
        let mut shop = Shop::open().await?;
        four_eyes(&mut shop).await?;
        every_state(&mut shop).await
    });
    done.unwrap();
}
