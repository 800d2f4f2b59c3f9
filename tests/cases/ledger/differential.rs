//! The rules' own model against PostgreSQL: random commands in random batches, loaded, decided and saved as the book does it,
//! each reply and every account's sums compared.

#[path = "../../../platform/src/domain/model_tests/model.rs"]
mod model;
#[path = "../../../platform/src/domain/model_tests/play.rs"]
mod play;
#[path = "../../../platform/src/domain/model_tests/steps.rs"]
mod steps;
#[path = "../../../platform/src/domain/model_tests/world.rs"]
mod world;

use std::time::{Duration, UNIX_EPOCH};

use common::{
    audit::hex,
    clock::Clock,
    iban::Iban,
    id::ActId,
    money::Currency,
    order::{AccountOrder, LimitRules, LimitSubject},
};
use platform::{
    domain::{
        ledger::{Command, Outcome, decide},
        limits::Window,
    },
    encryption::contents::OfAccount,
    flow::book::{Book, BookConfig},
    store::{
        Store,
        acts::By,
        known::KnownAccounts,
        load::{self, View},
        save::{self, Traces},
    },
    trial_balance::TrialBalance,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, TestRunner},
};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    bench::{all, unlocked, write},
    databases::{Database, database, sql},
};
use model::{Model, reply::Reply};
use play::Play;
use steps::{Act, Step, steps};
use world::{ACCOUNTS, Holder, account, fingerprint};

/// Cases of one run, each on a database of its own, and the commands that they come to at least.
const CASES: usize = 12;
const ENOUGH: usize = 500;

/// A ledger with the model's accounts.
struct Ledger {
    options: Database,
    store: Store,
    connection: PgConnection,
    book: Book,
    clock: Clock,
    /// Whether every other batch is written by somebody else, so that what the book knows of accounts is out of date.
    is_shared: bool,
    commands: usize,
    archived: u64,
}

impl Ledger {
    async fn open(is_shared: bool) -> Self {
        let options = database(None).await;
        let store = unlocked(&options, 2).await;
        for holder in &ACCOUNTS {
            open_account(&store, holder).await;
            if let Some(iban) = holder.iban.filter(|_| holder.may_overdraw) {
                let id = account(holder.number).uuid();
                let keys = store.keys().current();
                let contents = OfAccount { display_name: String::new(), iban: Some(iban.to_owned()) };
                let personal = hex(&keys.encrypt_account(id, &contents).unwrap());
                let hash = keys.lookup().unwrap().iban_hash(iban);
                let sql_text = format!(
                    "UPDATE accounts SET personal = '\\x{personal}', iban_hash = '{hash}' WHERE id = '{id}'"
                );
                sql(&options, &sql_text).await;
            }
            if holder.closed {
                close(&options, holder.number, true).await;
            }
        }
        let connection = store.connect().await.unwrap();
        let clock = Clock::manual(UNIX_EPOCH);
        let config = BookConfig { max_waiting: 4096, max_batch: 64, writers: 1 };
        let book = Book::open(&store, &clock, config).0;
        Self { options, store, connection, book, clock, is_shared, commands: 0, archived: 0 }
    }

    /// Commits a batch: by the book, or as others would under locks.
    async fn commit(&mut self, commands: &[Command]) -> Vec<Outcome> {
        self.commands += commands.len();
        if !self.is_shared || self.commands.is_multiple_of(2) {
            return all(commands.iter().map(|command| write(&self.book, command.clone()))).await;
        }
        let mut outcomes = Vec::new();
        while outcomes.len() < commands.len() {
            let waiting = &commands[outcomes.len()..];
            let mut transaction = self.connection.begin().await.unwrap();
            let mut known = KnownAccounts::default();
            let loaded =
                load::snapshot(self.store.keys(), &mut transaction, waiting, View::Locked, &mut known)
                    .await
                    .unwrap();
            let (decided, writes) = decide(loaded.snapshot, waiting, self.clock.now());
            save::writes(&mut transaction, &writes, &self.store.keys().current(), &Traces::new())
                .await
                .unwrap();
            transaction.commit().await.unwrap();
            outcomes.extend(decided);
        }
        outcomes
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Commit(commands, foretold) => {
                // The model knows no archive: with one, everything is as without.
                if self.commands.is_multiple_of(3) {
                    let closed_before = self.clock.now() + Duration::from_millis(1);
                    let moved = self.store.move_to_archive(closed_before, None, 1_000).await.unwrap();
                    self.archived += moved.map_or(0, |moved| moved.payments);
                }
                let outcomes = self.commit(&commands).await;
                for ((command, outcome), foretold) in commands.iter().zip(&outcomes).zip(foretold) {
                    assert_eq!(Reply::of(outcome), foretold, "the reply to {command:?}");
                }
            }
            Act::TakeOver(payment) => {
                sql(&self.options, "UPDATE first_leases SET ends_at = now()").await;
                self.store.end_first_leases(1_000).await.unwrap();
                let taken =
                    "UPDATE dispatches SET token = token + 1, tries = tries + 1, fruitless = fruitless + 1";
                sql(&self.options, &format!("{taken} WHERE payment_id = '{}'", payment.uuid())).await;
            }
            Act::Wait(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Act::Limit(subject, rules) => self.limit(&subject, &rules).await,
            Act::Close(account, closed) => close(&self.options, account.uuid().as_u128(), closed).await,
        }
    }

    async fn limit(&self, subject: &LimitSubject, rules: &LimitRules) {
        // Of now, since the audit log takes no number of 1970.
        let act = ActId::new(&Clock::system());
        let by = By { act, participant: "alice", credential: "ada", at: self.clock.now() };
        let set = match subject {
            LimitSubject::Account(account) => self.store.limit_account(*account, rules, &by).await,
            LimitSubject::Participant(participant, currency) => {
                self.store.limit_participant(participant, *currency, rules, &by).await
            }
        };
        assert_eq!(set.unwrap().map(|limits| limits.rules), Some(*rules));
    }

    /// The books balance, and each account and alarm is as the model counts.
    async fn compare(&self, model: &Model) {
        let found = TrialBalance::take(&self.options).await.unwrap();
        assert!(found.is_ok(), "{found}");
        for holder in &ACCOUNTS {
            let id = account(holder.number);
            let own = self.store.account(holder.participant, id).await.unwrap().unwrap();
            assert_eq!(own.account.balances, model.balances(id), "the sums of {id}");
        }
        for (subject, used) in model.all_used() {
            let (limits, now) = (self.store.limits(subject).await.unwrap().unwrap(), self.clock.now());
            let found = [limits.hour.at(Window::Hour, now), limits.day.at(Window::Day, now)];
            assert_eq!(found.map(|used| (used.minor_units, used.payments)), used, "limits of {subject:?}");
        }
        let mut alarms = 0;
        for participant in ["alice", "bob", "rialto-house"] {
            for (_, alarm) in self.store.alarms(participant, None, 1_000).await.unwrap() {
                assert!(model.alarms.contains(&(alarm.payment, alarm.kind)), "{alarm:?}");
                alarms += 1;
            }
        }
        assert_eq!(alarms, model.alarms.len(), "{:?}", model.alarms);
    }
}

async fn open_account(store: &Store, holder: &Holder) {
    let (id, currency) = (account(holder.number), Currency::parse(holder.currency).unwrap());
    if holder.may_overdraw {
        let is_suspense = holder.number == world::SUSPENSE_EUR;
        let opened = store.house_account(id, ("aurora", "Aurora"), currency, is_suspense, UNIX_EPOCH).await;
        assert_eq!(opened.unwrap(), id);
        return;
    }
    let order = AccountOrder {
        request_id: holder.number.to_string(),
        display_name: format!("Account {}", holder.number),
        currency,
        iban: holder.iban.and_then(Iban::parse),
    };
    let opened =
        store.open_account(holder.participant, id, &order, &fingerprint("account"), UNIX_EPOCH).await;
    assert_eq!(opened.unwrap().account.id, id);
}

async fn close(options: &PgConnectOptions, number: u128, closed: bool) {
    let when = if closed { "now()" } else { "NULL" };
    let id = account(number).uuid();
    sql(options, &format!("UPDATE accounts SET closed_at = {when} WHERE id = '{id}'")).await;
}

/// Returns how many commands there were, and how often a payment went to the archive.
async fn run(steps: &[Step], is_shared: bool) -> (usize, u64) {
    let mut ledger = Ledger::open(is_shared).await;
    let (mut play, first) = Play::begin(true);
    ledger.act(first).await;
    for step in steps.iter().chain([&Step::Commit { answer_lost: true }]) {
        for act in play.step(step) {
            ledger.act(act).await;
        }
    }
    ledger.compare(&play.model).await;
    (ledger.commands, ledger.archived)
}

#[tokio::test]
async fn postgresql_says_what_the_model_foretells() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let strategy = steps();
    let (mut commands, mut archived) = (0, 0);
    for case in 0..CASES {
        let steps = strategy.new_tree(&mut runner).unwrap().current();
        println!("{steps:?}");
        let (made, left) = run(&steps, case % 2 == 0).await;
        commands += made;
        archived += left;
    }
    assert!(commands >= ENOUGH, "only {commands} commands");
    assert!(archived >= 20, "only {archived} archived");
    println!("{commands} commands, {archived} payments archived");
}
