//! Limits of money, by two platforms on one database; the differential cases have what payments use of them.

use common::{
    clock::Clock,
    id::{AccountId, ActId},
    order::{BankKey, LimitRule, LimitRules, LimitSubject, PayeeAccount},
};
use platform::{
    domain::{
        ledger::{Command, Declined, Outcome, Pay},
        limits::Used,
        payment::State,
    },
    store::acts::By,
};

use crate::{
    bench::{World, accepted, all, command, eur, open, payment, rejected, submission, write},
    constraints::{CHECK_VIOLATED, NO_PERMISSION, REFUSED_BY_TRIGGER, sqlstate},
    databases::{connect, number, sql},
};

/// What a day's payments may come to, and how many they may be.
fn a_day(minor_units: Option<i64>, payments: Option<i64>) -> LimitRules {
    LimitRules { day: LimitRule { minor_units, payments }, ..LimitRules::default() }
}

fn by<'a>(clock: &Clock, participant: &'a str) -> By<'a> {
    By { act: ActId::new(clock), participant, credential: "ada", at: clock.now() }
}

impl World {
    pub async fn limit(&self, account: AccountId, rules: LimitRules) {
        self.store.limit_account(account, &rules, &by(&self.clock, "alice")).await.unwrap().unwrap();
    }

    async fn limit_all(&self, participant: &str, rules: LimitRules) {
        let by = by(&self.clock, "house");
        let set = self.store.limit_participant(participant, eur(1).currency(), &rules, &by).await;
        set.unwrap().unwrap();
    }

    async fn used(&self, subject: &LimitSubject) -> (i64, i64) {
        let Used { minor_units, payments, .. } = self.store.limits(subject).await.unwrap().unwrap().day;
        (minor_units, payments)
    }
}

/// The reason why a payment failed; empty if it did not.
fn refusal(outcome: Outcome) -> String {
    payment(outcome).reason.map(|reason| reason.code).unwrap_or_default()
}

fn participant(name: &str) -> LimitSubject {
    LimitSubject::Participant(name.to_owned(), eur(1).currency())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_payments_as_many_pass_as_the_limit_says() {
    for (rules, is_all) in
        [(a_day(Some(300), None), false), (a_day(None, Some(100)), false), (a_day(Some(300), None), true)]
    {
        let world = World::new().await;
        let books = [world.book(2), world.book(2)];
        match is_all {
            true => world.limit_all("alice", rules).await,
            false => world.limit(world.alice, rules).await,
        }
        let outcomes = all((0..1_000).map(|number| {
            let to = match number % 3 {
                0 => PayeeAccount::Ledger(world.bob),
                _ => PayeeAccount::Number("9".to_owned(), BankKey::Id("aurora".to_owned())),
            };
            write(&books[number % 2], command(world.pay(("alice", world.alice), &number.to_string(), to, 3)))
        }))
        .await;
        let (passed, refused): (Vec<_>, Vec<_>) =
            outcomes.into_iter().map(payment).partition(|payment| payment.state != State::Failed);
        assert_eq!(passed.len(), 100, "{rules:?}");
        let code = if is_all { "PARTICIPANT_LIMIT_EXCEEDED" } else { "ACCOUNT_LIMIT_EXCEEDED" };
        assert!(refused.iter().all(|payment| payment.reason.as_ref().unwrap().code == code));
        let subject = if is_all { participant("alice") } else { LimitSubject::Account(world.alice) };
        assert_eq!(world.used(&subject).await, (300, 100));
        world.assert_balanced().await;
    }
}

/// A platform that knows an account as unlimited hears of its limits before it pays.
#[tokio::test]
async fn a_limit_counts_from_the_moment_that_it_is_set() {
    let world = World::new().await;
    let books = [world.book(1), world.book(1)];
    for (round, book) in books.iter().enumerate() {
        assert_eq!(refusal(write(book, command(world.pay_bank(&format!("known {round}"), 5))).await), "");
    }
    world.limit(world.alice, LimitRules { payment_minor_units: Some(4), ..LimitRules::default() }).await;
    for (round, book) in books.iter().enumerate() {
        let outcome = write(book, command(world.pay_bank(&format!("limited {round}"), 5))).await;
        assert_eq!(refusal(outcome), "ACCOUNT_LIMIT_EXCEEDED");
    }
    world.limit(world.alice, LimitRules::default()).await;
    world.limit_all("alice", a_day(Some(0), None)).await;
    for (round, book) in books.iter().enumerate() {
        let outcome = write(book, command(world.pay_bank(&format!("of all {round}"), 5))).await;
        assert_eq!(refusal(outcome), "PARTICIPANT_LIMIT_EXCEEDED");
    }
    world.limit_all("alice", LimitRules::default()).await;
    for (round, book) in books.iter().enumerate() {
        assert_eq!(refusal(write(book, command(world.pay_bank(&format!("lifted {round}"), 5))).await), "");
    }
    assert_eq!(world.used(&participant("alice")).await, (10, 2));
    assert_eq!(number(&world.options, "SELECT count(*) FROM limit_changes").await, 4);
    world.assert_balanced().await;
}

/// Of the account's and the participant's rule the lower one counts, at a platform that knew the account as unlimited too; what was made
/// is answered as ever, and what was refused made nothing.
#[tokio::test]
async fn what_is_paid_above_the_rule_is_signed() {
    let world = World::new().await;
    let books = [world.book(1), world.book(1)];
    let rules = |most| LimitRules { unsigned_payment_minor_units: Some(most), ..LimitRules::default() };
    for book in &books {
        assert_eq!(refusal(write(book, command(world.pay_bank("made", 9))).await), "");
    }
    world.limit(world.alice, rules(4)).await;
    world.limit_all("alice", rules(6)).await;
    for (round, book) in books.iter().enumerate() {
        for (amount, needs) in [(4, false), (5, true), (7, true)] {
            let pay = world.pay_bank(&format!("{round} {amount}"), amount);
            let dry = Pay { validate_only: true, ..pay.clone() };
            for pay in [dry, pay.clone()] {
                let is_refused =
                    matches!(write(book, command(pay)).await, Outcome::Declined(Declined::SignatureRequired));
                assert_eq!(is_refused, needs, "{amount}");
            }
            assert_eq!(refusal(write(book, command(Pay { is_signed: true, ..pay })).await), "");
        }
        assert!(matches!(write(book, command(world.pay_bank("made", 9))).await, Outcome::Replayed(_)));
        world.limit(world.alice, rules(100)).await;
        let pay = world.pay_bank(&format!("of all {round}"), 7);
        let found = write(book, command(pay)).await;
        assert!(matches!(found, Outcome::Declined(Declined::SignatureRequired)), "{found:?}");
        world.limit(world.alice, rules(4)).await;
    }
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 7);
    world.assert_balanced().await;
}

#[tokio::test]
async fn what_a_bank_refuses_is_given_back_and_what_it_takes_is_not() {
    let world = World::new().await;
    let book = world.book(1);
    let before = submission(write(&book, command(world.pay_bank("before", 7))).await);
    world.limit(world.alice, a_day(Some(10), None)).await;
    let subject = LimitSubject::Account(world.alice);
    for (request, evidence, used) in
        [("refused", rejected(), (0, 0)), ("taken", accepted(), (10, 1)), ("too much", accepted(), (10, 1))]
    {
        let outcome = write(&book, command(world.pay_bank(request, 10))).await;
        if let Outcome::Submitted(made) = outcome {
            assert_eq!(world.used(&subject).await, (10, 1));
            write(&book, world.conclude(made.payment.id, made.lease.token, evidence)).await;
        }
        assert_eq!(world.used(&subject).await, used, "{request}");
    }
    // What was made before there was a limit was never counted.
    write(&book, world.conclude(before.payment.id, before.lease.token, rejected())).await;
    assert_eq!(world.used(&subject).await, (10, 1));
    world.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_account_of_a_limited_participant_is_counted_those_opened_meanwhile_too() {
    let world = World::new().await;
    let many = "INSERT INTO accounts (id, participant_id, request_id, request_fingerprint, personal, currency, created_at)
        SELECT gen_random_uuid(), 'alice', 'many-' || n, gen_random_uuid(), 'many', CASE n % 10 WHEN 0 THEN 'USD' ELSE 'EUR' END, now()
        FROM generate_series(1, 2500) AS n";
    // Numbers of any time: the audit log is not of interest here.
    sql(&world.options, "ALTER TABLE accounts DISABLE TRIGGER accounts_refuse_sealed").await;
    sql(&world.options, many).await;
    let opening = async {
        for number in 0..40 {
            open(&world.store, "alice", &format!("meanwhile {number}"), None).await;
        }
    };
    tokio::join!(opening, world.limit_all("alice", a_day(Some(10), None)));
    let after = open(&world.store, "alice", "after", None).await;
    let left = "SELECT count(*) FROM accounts WHERE participant_id = 'alice' AND currency = 'EUR' AND NOT is_limited";
    assert_eq!(number(&world.options, left).await, 0);
    let others =
        "SELECT count(*) FROM accounts WHERE is_limited AND (participant_id <> 'alice' OR currency <> 'EUR')";
    assert_eq!(number(&world.options, others).await, 0);
    let book = world.book(1);
    world.book_deposit(&book, "alice", "more", after, 100).await;
    let pay = |from, request: &str, amount| -> Command {
        command(world.pay(("alice", from), request, PayeeAccount::Ledger(world.bob), amount))
    };
    assert_eq!(refusal(write(&book, pay(world.alice, "six", 6)).await), "");
    assert_eq!(refusal(write(&book, pay(after, "five", 5)).await), "PARTICIPANT_LIMIT_EXCEEDED");
    assert_eq!(refusal(write(&book, pay(after, "four", 4)).await), "");
    assert_eq!(world.used(&participant("alice")).await, (10, 2));
    world.assert_balanced().await;
}

#[tokio::test]
async fn the_database_refuses_what_goes_beyond_limits_and_what_would_hide_it() {
    let world = World::new().await;
    let rules = LimitRule { minor_units: Some(100), payments: Some(10) };
    world
        .limit(
            world.alice,
            LimitRules { payment_minor_units: Some(50), hour: rules, day: rules, ..LimitRules::default() },
        )
        .await;
    write(&world.book(1), command(world.pay_bank("counted", 10))).await;
    let mut platform = connect(&world.options).await;
    sqlx::raw_sql("SET ROLE rialto_platform").execute(&mut platform).await.unwrap();
    for (column, wanted) in [
        ("hour_amount = 100", None),
        ("hour_amount = 101", Some(REFUSED_BY_TRIGGER)),
        ("hour_count = 10", None),
        ("hour_count = 11", Some(REFUSED_BY_TRIGGER)),
        ("day_amount = 100", None),
        ("day_amount = 101", Some(REFUSED_BY_TRIGGER)),
        ("day_count = 10", None),
        ("day_count = 11", Some(REFUSED_BY_TRIGGER)),
        ("day_amount = -1", Some(CHECK_VIOLATED)),
        ("max_day_amount = -1", Some(CHECK_VIOLATED)),
        ("max_unsigned_payment = -1", Some(CHECK_VIOLATED)),
        // A limit may be set below what is used, and then what is used may only fall.
        ("max_day_amount = 1", None),
        ("max_day_amount = 1, day_amount = 9", None),
        ("max_day_amount = 1, day_amount = 11", Some(REFUSED_BY_TRIGGER)),
        ("hour_since = hour_since + interval '1 hour', hour_amount = 0", None),
        ("hour_since = hour_since + interval '1 hour', hour_amount = 101", Some(REFUSED_BY_TRIGGER)),
        (
            "max_hour_amount = 1, hour_since = hour_since + interval '1 hour', hour_amount = 2",
            Some(REFUSED_BY_TRIGGER),
        ),
        ("hour_since = hour_since - interval '1 hour'", Some(REFUSED_BY_TRIGGER)),
        ("day_since = day_since - interval '1 day'", Some(REFUSED_BY_TRIGGER)),
    ] {
        let found = sqlstate(&mut platform, &format!("UPDATE limits SET {column}")).await;
        assert_eq!(found.as_deref(), wanted, "{column}");
    }
    let mut owner = connect(&world.options).await;
    for statement in [
        "UPDATE limits SET participant_id = 'bob'",
        "UPDATE limits SET currency = 'USD'",
        "DELETE FROM limits",
        "TRUNCATE limits CASCADE",
        "UPDATE limit_changes SET by_credential = 'eve'",
        "DELETE FROM limit_changes",
        "TRUNCATE limit_changes",
        "UPDATE accounts SET is_limited = false WHERE is_limited",
        "UPDATE payments SET is_counted_on_account = false",
        "UPDATE payments SET is_counted_on_participant = true",
    ] {
        let found = sqlstate(&mut owner, statement).await;
        assert_eq!(found.as_deref(), Some(REFUSED_BY_TRIGGER), "by the owner: {statement}");
        let found = sqlstate(&mut platform, statement).await;
        assert!(
            [Some(NO_PERMISSION), Some(REFUSED_BY_TRIGGER)].contains(&found.as_deref()),
            "by the platform: {statement}: {found:?}"
        );
    }
}

#[tokio::test]
async fn the_database_takes_no_payment_of_a_limited_account_that_is_not_counted() {
    let world = World::new().await;
    write(&world.book(1), command(world.pay_bank("model", 1))).await;
    let mut platform = connect(&world.options).await;
    sqlx::raw_sql("SET ROLE rialto_platform").execute(&mut platform).await.unwrap();
    let pay = |on_account: bool, on_participant: bool| {
        format!(
            "INSERT INTO payments (id, participant_id, request_id, request_key, request_fingerprint, payer_account,
               credit_account, personal, payee_account, payee_bank_id, payee_bic, amount, currency, bank_id, uetr, state, sequence,
               created_at, updated_at, kind, first_valid_until, is_counted_on_account, is_counted_on_participant)
             SELECT gen_random_uuid(), participant_id, 'new', gen_random_uuid(), request_fingerprint, payer_account, credit_account,
               personal, payee_account, payee_bank_id, payee_bic, amount, currency, bank_id, gen_random_uuid(), state, 1,
               now(), now(), kind, now() + interval '1 hour', {on_account}, {on_participant} FROM payments WHERE request_id = 'model'"
        )
    };
    let mut takes = async |on_account, on_participant| {
        let found = sqlstate(&mut platform, &pay(on_account, on_participant)).await;
        assert!([None, Some("40001")].contains(&found.as_deref()), "{found:?}");
        found.is_none()
    };
    assert!(takes(false, false).await, "nobody is limited");
    world.limit(world.alice, LimitRules::default()).await;
    assert!(!takes(false, false).await && !takes(false, true).await && takes(true, false).await);
    world.limit_all("alice", LimitRules::default()).await;
    assert!(!takes(true, false).await && !takes(false, true).await && takes(true, true).await);
}
