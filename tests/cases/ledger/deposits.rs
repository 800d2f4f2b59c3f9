//! Deposits take two operators: at once, from two platforms, and by hand past all rules.

use std::time::Duration;

use platform::domain::{
    deposit::{Deposit, DepositState},
    ledger::{Command, Declined, Outcome, Ruling},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    bench::{World, all, deposit, eur, write},
    databases::{connect, number, sql},
};

use DepositState::{Booked, Lapsed, PendingApproval, Rejected};

fn reject(by: &str) -> Ruling {
    Ruling::Reject { by: by.to_owned(), reason: "no such line".to_owned() }
}

/// How many are so.
fn count(outcomes: &[Outcome], is_so: impl Fn(&Outcome) -> bool) -> usize {
    outcomes.iter().filter(|outcome| is_so(outcome)).count()
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Deposit(_, false))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_decisions_at_once_one_counts_and_money_comes_once_or_not_at_all() {
    let world = World::new().await;
    let books = [world.book(2), world.book(2)];
    let mut booked = 0;
    for round in 0..12 {
        let proposed =
            deposit(write(&books[0], world.deposit("alice", &format!("d{round}"), world.alice, 100)).await);
        // Two approvers, four times each; then one approves and others reject; then everybody.
        let decide = |number: usize| match (round % 3, number % 4) {
            (0, number) => world.approve(&proposed, ["bea", "cleo"][number % 2]),
            (1, 0) => world.approve(&proposed, "bea"),
            (1, _) => world.decide(&proposed, reject("ada")),
            (_, number @ (0 | 1)) => world.approve(&proposed, ["bea", "cleo"][number]),
            (_, 2) => world.decide(&proposed, reject("dora")),
            _ => world.decide(&proposed, Ruling::Lapse),
        };
        let outcomes = all((0..32).map(|number| write(&books[number % 2], decide(number)))).await;
        let now = world.store.deposit("alice", proposed.id).await.unwrap().unwrap();
        assert!(matches!(now.state(), Booked | Rejected), "{now:?}");
        let made = count(&outcomes, |outcome| {
            is_done(outcome)
                && !matches!(outcome, Outcome::Deposit(deposit, _) if deposit.state() == PendingApproval)
        });
        assert_eq!(made, 1, "{outcomes:?}");
        for outcome in &outcomes {
            match outcome {
                Outcome::Deposit(told, _) if told.state() == PendingApproval => {}
                Outcome::Deposit(told, _) => assert_eq!(**told, now),
                Outcome::Declined(declined) => {
                    assert_eq!(*declined, Declined::DepositNotPending(now.state()))
                }
                other => panic!("{other:?}"),
            }
        }
        booked += i64::from(now.state() == Booked);
    }
    assert_eq!(world.alice().await, (10_000 + 100 * booked, 0));
    let transfers = number(&world.options, "SELECT count(*) FROM transfers WHERE is_deposit").await;
    assert_eq!(transfers, booked + 2);
    world.assert_balanced().await;
}

#[tokio::test]
async fn an_account_that_closes_while_its_deposit_is_approved_gets_nothing() {
    let world = World::new().await;
    let book = world.book(1);
    let proposed = deposit(write(&book, world.deposit("alice", "d", world.alice, 100)).await);
    let mut closing = connect(&world.options).await;
    let mut closing = closing.begin().await.unwrap();
    sqlx::raw_sql("UPDATE accounts SET closed_at = now() WHERE participant_id = 'alice'")
        .execute(&mut *closing)
        .await
        .unwrap();
    let close = async {
        crate::databases::wait_until(&world.options, crate::bench::WAITING, |waiting| waiting > 0).await;
        closing.commit().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(write(&book, world.approve(&proposed, "bea")), close);
    assert!(matches!(outcome, Outcome::Declined(Declined::DepositRefused(_))), "{outcome:?}");
    assert_eq!(world.alice().await, (10_000, 0));
}

#[tokio::test]
async fn what_nobody_decided_on_lapses_for_good() {
    let world = World::new().await;
    let book = world.book(1);
    let short = Duration::from_millis(50);
    let brief = deposit(write(&book, world.deposit_for("alice", "brief", world.alice, 1, short)).await);
    let long = deposit(write(&book, world.deposit("alice", "long", world.alice, 1)).await);
    tokio::time::sleep(2 * short).await;
    let due = world.store.deposits_past_their_time(world.clock.now(), 10).await.unwrap();
    assert_eq!(due, std::slice::from_ref(&brief));
    let early = deposit(write(&book, world.decide(&long, Ruling::Lapse)).await);
    assert_eq!(early.state(), PendingApproval);
    let late = write(&book, world.approve(&brief, "bea")).await;
    assert_eq!(late, Outcome::Declined(Declined::DepositNotPending(Lapsed)));
    let lapsed = deposit(write(&book, world.decide(&brief, Ruling::Lapse)).await);
    assert_eq!(lapsed.state(), Lapsed);
    assert!(world.store.deposits_past_their_time(world.clock.now(), 10).await.unwrap().is_empty());
    assert_eq!(world.alice().await, (10_000, 0));
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_participant_has_so_many_deposits_pending_and_no_more() {
    const MOST: usize = 3;
    let world = World::new().await;
    let book = world.book(1);
    let propose = |participant: &str, request: &str| {
        let account = if participant == "alice" { world.alice } else { world.bob };
        let Command::Deposit(mut arrival) = world.deposit(participant, request, account, 1) else { panic!() };
        arrival.max_pending = MOST;
        Command::Deposit(arrival)
    };
    let full = Outcome::Declined(Declined::TooManyPendingDeposits(MOST));
    let first = deposit(write(&book, propose("alice", "1")).await);
    for request in ["2", "3"] {
        assert!(is_done(&write(&book, propose("alice", request)).await), "{request}");
    }
    for request in ["4", "5"] {
        assert_eq!(write(&book, propose("alice", request)).await, full);
    }
    let repeated = write(&book, propose("alice", "1")).await;
    assert!(matches!(repeated, Outcome::Deposit(same, true) if same.id == first.id));
    assert!(is_done(&write(&book, propose("bob", "1")).await), "others have their own");
    write(&book, world.approve(&first, "bea")).await;
    assert!(is_done(&write(&book, propose("alice", "4")).await), "there is room again");
    assert_eq!(write(&book, propose("alice", "5")).await, full);
}

#[tokio::test]
async fn lists_are_by_state_and_one_participants_own() {
    let world = World::new().await;
    let book = world.book(1);
    let mut made: Vec<Deposit> = Vec::new();
    for number in 0..8 {
        let proposed =
            deposit(write(&book, world.deposit("alice", &format!("{number}"), world.alice, 1)).await);
        let ruling = match number % 4 {
            0 => Some(Ruling::Approve { by: "bea".to_owned(), amount: eur(1) }),
            1 => Some(reject("bea")),
            _ => None,
        };
        made.push(match ruling {
            Some(ruling) => deposit(write(&book, world.decide(&proposed, ruling)).await),
            None => proposed,
        });
    }
    made.sort_by_key(|deposit| std::cmp::Reverse(deposit.id));
    for state in [PendingApproval, Rejected, Lapsed] {
        let wanted: Vec<_> = made.iter().filter(|deposit| deposit.state() == state).cloned().collect();
        assert_eq!(world.store.deposits("alice", Some(state), None, 10).await.unwrap(), wanted, "{state:?}");
        assert!(world.store.deposits("bob", Some(state), None, 10).await.unwrap().is_empty());
    }
    assert_eq!(world.store.deposits("alice", Some(Booked), None, 10).await.unwrap().len(), 3);
    let first = world.store.deposits("alice", None, None, 5).await.unwrap();
    assert_eq!(first, made[..5]);
    let rest = world.store.deposits("alice", None, Some(first[4].id.uuid()), 5).await.unwrap();
    assert_eq!(rest[..3], made[5..]);
    assert_eq!(rest.len(), 4, "and the first of all");
    assert_eq!(world.store.deposit("bob", made[0].id).await.unwrap(), None);
}

/// The SQLSTATE that statements of one transaction end with, none if they go through; nothing stays of them.
async fn sqlstate(connection: &mut PgConnection, text: &str) -> Option<String> {
    let mut transaction = connection.begin().await.unwrap();
    let result = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    result.err().map(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
}

#[tokio::test]
async fn the_database_books_no_deposit_that_another_did_not_approve() {
    let world = World::new().await;
    let book = world.book(1);
    for request in ["pending", "booked", "rejected", "lapsed"] {
        let proposed = deposit(write(&book, world.deposit("alice", request, world.alice, 10)).await);
        match request {
            "booked" => drop(write(&book, world.approve(&proposed, "bea")).await),
            "rejected" => drop(write(&book, world.decide(&proposed, reject("bea"))).await),
            _ => {}
        }
    }
    // Time is not waited for.
    let lapse = "SET session_replication_role = replica; UPDATE deposits SET expires_at = now(), decided_at = now(), state = 'LAPSED', \
        decision_id = gen_random_uuid() WHERE request_id = 'lapsed'";
    sql(&world.options, lapse).await;
    let transfer = "INSERT INTO transfers (id, debit_account, credit_account, amount, is_deposit, credit_is_house, created_at) \
        SELECT id, settlement_account, account_id, amount, true, false, now() FROM deposits WHERE request_id = ";
    let decide = |by: &str, state: &str, of: &str| {
        let reason = if state == "REJECTED" { "'x'" } else { "NULL" };
        format!(
            "UPDATE deposits SET state = '{state}', decision_id = gen_random_uuid(), decided_by = {by}, decided_at = now(), \
             reject_reason = {reason} WHERE request_id = '{of}';"
        )
    };
    let both = |by: &str| format!("{} {transfer} 'pending'", decide(by, "BOOKED", "pending"));
    // In one statement, as the platform does it: checks of what belongs together come at the end of it.
    let at_once = |by: &str| {
        format!(
            "WITH d AS (UPDATE deposits SET state = 'BOOKED', decision_id = gen_random_uuid(), decided_by = {by}, decided_at = now() \
             WHERE request_id = 'pending') {transfer} 'pending'"
        )
    };
    let insert = "INSERT INTO deposits SELECT (r).* FROM (SELECT jsonb_populate_record(d, \
        jsonb_build_object('id', gen_random_uuid(), 'request_id', 'new', 'decision_id', gen_random_uuid())) AS r \
        FROM deposits d WHERE request_id = 'booked') AS made";
    let mut owner = connect(&world.options).await;
    let mut platform = connect(&world.options).await;
    sqlx::raw_sql("SET ROLE rialto_platform").execute(&mut platform).await.unwrap();
    for (what, statement, code) in [
        ("as it should be", at_once("'bea'"), None),
        ("approved by the proposer", at_once("'ada'"), Some("23514")),
        ("approved by nobody", at_once("NULL"), Some("23514")),
        ("approved by a nameless one", at_once("''"), Some("23514")),
        ("booked without its transfer", decide("'bea'", "BOOKED", "pending"), Some("23000")),
        ("booked before its transfer", both("'bea'"), Some("23000")),
        ("moved while it is pending", format!("{transfer} 'pending'"), Some("23503")),
        ("moved once more", format!("{transfer} 'booked'"), Some("23505")),
        ("moved although rejected", format!("{transfer} 'rejected'"), Some("23503")),
        ("moved although lapsed", format!("{transfer} 'lapsed'"), Some("23503")),
        ("moved in part", at_once("'bea'").replace(" amount, true", " amount - 1, true"), Some("23503")),
        ("moved from elsewhere", at_once("'bea'").replace("SELECT id, settlement_account,", &format!("SELECT id, '{}',", world.bob.uuid())), Some("23503")),
        ("rejected without a reason", decide("'bea'", "LAPSED", "pending").replace("LAPSED", "REJECTED"), Some("23514")),
        ("lapsed before its time", decide("NULL", "LAPSED", "pending"), Some("23514")),
        ("decided after its end", decide("'bea'", "REJECTED", "booked"), Some("23000")),
        ("booked after it was rejected", decide("'bea'", "BOOKED", "rejected"), Some("23000")),
        ("rejected after it lapsed", decide("'bea'", "REJECTED", "lapsed"), Some("23000")),
        ("rejected by somebody else", "UPDATE deposits SET decided_by = 'cleo' WHERE request_id = 'rejected'".to_owned(), Some("23000")),
        (
            "pending again",
            "UPDATE deposits SET state = 'PENDING_APPROVAL', decision_id = NULL, decided_by = NULL, decided_at = NULL, reject_reason = NULL \
             WHERE request_id = 'rejected'".to_owned(),
            Some("23000"),
        ),
        ("new, and booked", insert.to_owned(), Some("23000")),
    ] {
        for connection in [&mut platform, &mut owner] {
            assert_eq!(sqlstate(connection, &statement).await.as_deref(), code, "{what}");
        }
    }
}
