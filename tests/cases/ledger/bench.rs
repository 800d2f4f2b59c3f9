//! The bench: a ledger with a few accounts, and short ways to say what is done with it.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use common::{
    clock::Clock,
    iban::Iban,
    id::{AccountId, DecisionId, DepositId, PaymentId},
    money::{Currency, Money},
    order::{self, AccountOrder, BankKey, DepositOrder, Payee, PayeeAccount, PaymentOrder},
    trace::TraceParent,
};
use harness::{data_keys, postgres::own_folder};
use platform::{
    domain::{
        account::Balances,
        deposit::{Deposit, DepositState},
        ledger::{
            Arrival, BankRoute, Command, Conclude, DecideDeposit, NoRoute, Outcome, Pay, Request, Ruling,
            Witness,
        },
        payment::{Evidence, Payment, State, Submission, Work},
    },
    flow::book::{Book, BookConfig, NotWritten},
    store::{Store, StoreError},
    trial_balance::TrialBalance,
};
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use crate::databases::{Database, database};

pub const BOB_IBAN: &str = "GB82WEST12345698765432";

/// A database with accounts: Alice and Bob have 10,000 each, the bank aurora its settlement account.
pub struct World {
    pub options: Database,
    pub store: Store,
    pub clock: Clock,
    pub settlement: AccountId,
    pub alice: AccountId,
    pub bob: AccountId,
}

impl World {
    pub async fn new() -> Self {
        Self::on(database(None).await).await
    }

    pub async fn on(options: Database) -> Self {
        let (store, clock) = (unlocked(&options, 4).await, Clock::system());
        let id = AccountId::new(&clock);
        let settlement = store
            .house_account(id, ("aurora", "Banca Aurora"), eur(1).currency(), false, clock.now())
            .await
            .unwrap();
        let alice = open(&store, "alice", "Alice", None).await;
        let bob = open(&store, "bob", "Bob", Some(BOB_IBAN)).await;
        let world = Self { options, store, clock, settlement, alice, bob };
        let book = world.book(1);
        for (participant, account) in [("alice", alice), ("bob", bob)] {
            world.book_deposit(&book, participant, "initial", account, 10_000).await;
        }
        world
    }

    /// The same accounts in a copy of the database.
    pub async fn at(options: Database, of: &Self) -> Self {
        let store = unlocked(&options, 4).await;
        Self {
            options,
            store,
            clock: Clock::system(),
            settlement: of.settlement,
            alice: of.alice,
            bob: of.bob,
        }
    }

    /// Writers of their own: another platform on the same database.
    pub fn book(&self, writers: usize) -> Book {
        book_on(&self.store, writers)
    }

    /// Alice pays: `to` is an account number at the bank.
    pub fn pay_bank(&self, request: &str, amount: i64) -> Pay {
        let account = PayeeAccount::Number("123".to_owned(), BankKey::Id("aurora".to_owned()));
        self.pay(("alice", self.alice), request, account, amount)
    }

    /// Alice pays an account of this ledger.
    pub fn pay_on_us(&self, request: &str, to: AccountId, amount: i64) -> Pay {
        self.pay(("alice", self.alice), request, PayeeAccount::Ledger(to), amount)
    }

    /// Alice pays an IBAN.
    pub fn pay_iban(&self, request: &str, iban: &str, amount: i64) -> Pay {
        self.pay(("alice", self.alice), request, PayeeAccount::Iban(Iban::parse(iban).unwrap(), None), amount)
    }

    pub fn pay(&self, payer: (&str, AccountId), request: &str, to: PayeeAccount, amount: i64) -> Pay {
        let fingerprint = hash(&format!("{payer:?} {to:?} {amount}"));
        let bank = match to {
            PayeeAccount::Ledger(_) => Err(NoRoute::NotInDirectory("payee.ledger_account")),
            _ => Ok(BankRoute {
                bank_id: "aurora".to_owned(),
                settlement_account: self.settlement,
                valid_for: Duration::from_secs(20),
                lease: Duration::from_secs(60),
                waits: false,
            }),
        };
        Pay {
            id: PaymentId::new(&self.clock),
            uetr: Uuid::new_v4(),
            request: Request { participant: payer.0.to_owned(), request_id: request.to_owned(), fingerprint },
            order: PaymentOrder {
                request_id: request.to_owned(),
                payer_account: payer.1,
                payee: Payee { name: "Päivi Œuvre 🦆".to_owned(), account: to },
                amount: eur(amount),
                remittance_information: "Invoice '42'; DROP TABLE payments --".to_owned(),
                end_to_end_id: None,
                metadata: [("order".to_owned(), "\"7\" \\ \u{1}".to_owned())].into(),
                capture: order::Capture::Automatic,
            },
            bank,
            validate_only: false,
            is_signed: false,
            incoming: None,
        }
    }

    /// Ada proposes a deposit.
    pub fn deposit(&self, participant: &str, request: &str, account: AccountId, amount: i64) -> Command {
        self.deposit_for(participant, request, account, amount, Duration::from_secs(3_600))
    }

    /// The same, for others to approve within a time.
    pub fn deposit_for(
        &self,
        participant: &str,
        request: &str,
        account: AccountId,
        amount: i64,
        lapses_after: Duration,
    ) -> Command {
        Command::Deposit(Box::new(Arrival {
            id: DepositId::new(&self.clock),
            participant: participant.to_owned(),
            actor: "ada".to_owned(),
            order: DepositOrder {
                request_id: request.to_owned(),
                account,
                amount: eur(amount),
                bank_id: "aurora".to_owned(),
                reference: "salary".to_owned(),
            },
            fingerprint: hash(&format!("{account} {amount}")),
            settlement_account: self.settlement,
            lapses_after,
            max_pending: 1_000,
        }))
    }

    /// What is to come of a deposit.
    pub fn decide(&self, deposit: &Deposit, ruling: Ruling) -> Command {
        Command::DecideDeposit(Box::new(DecideDeposit {
            id: DecisionId::new(&self.clock),
            participant: deposit.participant.clone(),
            deposit: deposit.id,
            accounts: [deposit.order.account, deposit.settlement_account],
            ruling,
        }))
    }

    /// An operator approves a deposit.
    pub fn approve(&self, deposit: &Deposit, by: &str) -> Command {
        self.decide(deposit, Ruling::Approve { by: by.to_owned(), amount: deposit.order.amount })
    }

    /// Money arrives: ada proposes to book it, and bea approves.
    pub async fn book_deposit(
        &self,
        book: &Book,
        participant: &str,
        request: &str,
        account: AccountId,
        amount: i64,
    ) -> Deposit {
        let proposed = deposit(write(book, self.deposit(participant, request, account, amount)).await);
        let booked = deposit(write(book, self.approve(&proposed, "bea")).await);
        assert_eq!(booked.state(), DepositState::Booked);
        booked
    }

    pub fn conclude(&self, payment: PaymentId, token: i64, evidence: Evidence) -> Command {
        Command::Conclude(Box::new(Conclude {
            known: None,
            payment,
            original: None,
            witness: Witness::Lease(token),
            evidence,
            compensation: None,
            bank_message: None,
        }))
    }

    /// What is known of a payment's end, to whoever has sent it.
    pub fn conclude_known(&self, known: &Submission, evidence: Evidence) -> Command {
        let Command::Conclude(conclude) = self.conclude(known.payment.id, known.lease.token, evidence) else {
            unreachable!()
        };
        let known = Some(Box::new((known.payment.clone(), known.lease)));
        Command::Conclude(Box::new(Conclude { known, ..*conclude }))
    }

    /// A payment that succeeded in three steps: its bank had to be asked.
    pub async fn asked(&self, book: &Book, request: &str) -> Payment {
        let made = submission(write(book, command(self.pay_bank(request, 30))).await);
        write(book, self.conclude_known(&made, inconclusive(Duration::ZERO))).await;
        payment(write(book, self.conclude_known(&made, accepted())).await)
    }

    /// Takes over enquiries with the bank that are due.
    pub async fn claim_due(&self, limit: i64, lease: Duration) -> Result<Vec<Submission>, StoreError> {
        self.store.end_first_leases(1_000).await?;
        let claimed = self.store.claim_due(Some("aurora"), Work::Enquire, limit, lease).await?;
        Ok(claimed.into_iter().map(|claimed| claimed.submission.expect("an attempt")).collect())
    }

    pub async fn balances(&self, participant: &str, account: AccountId) -> Balances {
        self.store.account(participant, account).await.unwrap().unwrap().account.balances
    }

    /// What Alice has available, has held, and what is expected at the bank.
    pub async fn alice(&self) -> (i64, i64) {
        let balances = self.balances("alice", self.alice).await;
        (balances.available(), balances.debits_pending)
    }

    pub async fn assert_balanced(&self) {
        let balance = TrialBalance::take(&self.options).await.unwrap();
        assert!(balance.is_ok(), "{balance}");
    }
}

/// The ledger, with the key-encryption key that all tests share.
pub async fn unlocked(options: &PgConnectOptions, max_connections: u32) -> Store {
    data_keys::unlocked(options.clone(), max_connections, data_key()).await.unwrap()
}

/// The file of the key-encryption key that all tests share.
pub fn data_key() -> &'static Path {
    static FILE: LazyLock<PathBuf> =
        LazyLock::new(|| data_keys::file(&own_folder("data-keys").unwrap()).unwrap());
    &FILE
}

pub fn book_on(store: &Store, writers: usize) -> Book {
    let config = BookConfig { max_waiting: 4096, max_batch: 64, writers };
    Book::open(store, &Clock::system(), config).0
}

pub async fn open(store: &Store, participant: &str, name: &str, iban: Option<&str>) -> AccountId {
    try_open(store, participant, name, iban).await.unwrap()
}

pub async fn try_open(
    store: &Store,
    participant: &str,
    name: &str,
    iban: Option<&str>,
) -> Result<AccountId, StoreError> {
    let clock = Clock::system();
    let order = AccountOrder {
        request_id: name.to_owned(),
        display_name: name.to_owned(),
        currency: eur(1).currency(),
        iban: iban.map(|iban| Iban::parse(iban).unwrap()),
    };
    let fingerprint = hash(name);
    let opened = store.open_account(participant, AccountId::new(&clock), &order, &fingerprint, clock.now());
    Ok(opened.await?.account.id)
}

pub fn eur(minor_units: i64) -> Money {
    Money::new(minor_units, Currency::parse("EUR").unwrap())
}

/// Thirty-two bytes that follow from a text; a test needs no real hash.
pub fn hash(text: &str) -> [u8; 16] {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let bytes: Vec<u8> = (0..2_u8)
        .flat_map(|part| {
            let mut hasher = DefaultHasher::new();
            (part, text).hash(&mut hasher);
            hasher.finish().to_be_bytes()
        })
        .collect();
    bytes.try_into().unwrap()
}

pub fn command(pay: Pay) -> Command {
    Command::Pay(Box::new(pay))
}

/// Has a command carried out, which must end with an outcome.
pub async fn write(book: &Book, command: Command) -> Outcome {
    try_write(book, command).await.expect("an outcome")
}

pub async fn try_write(book: &Book, command: Command) -> Result<Outcome, NotWritten> {
    book.write(command, TraceParent::unsampled()).await
}

pub fn payment(outcome: Outcome) -> Payment {
    match outcome {
        Outcome::Payment(payment) | Outcome::Replayed(payment) => *payment,
        Outcome::Submitted(submission) => submission.payment,
        other => panic!("no payment: {other:?}"),
    }
}

pub fn deposit(outcome: Outcome) -> Deposit {
    match outcome {
        Outcome::Deposit(deposit, _) => *deposit,
        other => panic!("no deposit: {other:?}"),
    }
}

pub fn submission(outcome: Outcome) -> Submission {
    match outcome {
        Outcome::Submitted(submission) => *submission,
        other => panic!("nothing to send: {other:?}"),
    }
}

pub fn accepted() -> Evidence {
    Evidence::Accepted { bank_message_id: "BANK-1".to_owned() }
}

pub fn rejected() -> Evidence {
    Evidence::Rejected {
        iso_code: "AC04".to_owned(),
        text: "closed account".to_owned(),
        bank_message_id: "BANK-2".to_owned(),
    }
}

pub fn inconclusive(resume_after: Duration) -> Evidence {
    Evidence::Inconclusive { reason: "BANK_TIMEOUT".to_owned(), detail: "no answer".to_owned(), resume_after }
}

pub fn never_sent() -> Evidence {
    Evidence::NeverSent { detail: "connection refused".to_owned(), next_attempt_after: None }
}

/// Whether a payment is over.
pub fn is_over(state: State) -> bool {
    matches!(state, State::Succeeded | State::Failed)
}

/// How many of the platform's connections wait for a lock.
pub const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND application_name = 'rialto-platform' AND wait_event_type = 'Lock'";

/// Runs all futures at once, in one task, and returns their outputs in order.
pub async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(done) => *output = Some(done),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    running.into_iter().map(|(_, output)| output.unwrap()).collect()
}
