//! Payments that are over leave for the archive, by families, and come back when somebody has to do with them again.

use std::time::Duration;

use common::{id::PaymentId, order::LimitRules};
use platform::{
    domain::{
        ledger::{Declined, Outcome, Witness},
        payment::{Payment, State},
    },
    flow::book::Book,
    store::payments::PaymentFilter,
};
use sqlx::{Connection, PgConnection};

use crate::{
    bench::{World, accepted, command, payment, rejected, submission, write},
    databases::{connect, number, sql},
    life::payment_row,
};

impl World {
    /// Moves all that is over by now; returns how many payments left.
    pub async fn archive(&self) -> u64 {
        let closed_before = self.clock.now() + Duration::from_secs(1);
        let mut behind = None;
        let mut left = 0;
        loop {
            // A few at once, so that there are several commits.
            let moved = self.store.move_to_archive(closed_before, behind, 3).await.unwrap().unwrap();
            left += moved.payments;
            behind = moved.last;
            if behind.is_none() {
                return left;
            }
        }
    }

    pub async fn paid(&self, book: &Book, request: &str) -> Payment {
        let made = submission(write(book, command(self.pay_bank(request, 100))).await);
        payment(write(book, self.conclude_known(&made, accepted())).await)
    }

    /// Alice paid Bob on 5 February 2020.
    pub async fn paid_long_ago(&self, book: &Book, request: &str) -> Payment {
        let mut pay = self.pay_on_us(request, self.bob, 100);
        let number = (pay.id.uuid().as_u128() << 48 >> 48) | (0x0170_1538_aa00 << 80);
        pay.id = PaymentId::from_uuid(uuid::Uuid::from_u128(number));
        payment(write(book, command(pay)).await)
    }

    async fn failed(&self, book: &Book, request: &str) -> Payment {
        let made = submission(write(book, command(self.pay_bank(request, 100))).await);
        payment(write(book, self.conclude_known(&made, rejected())).await)
    }

    pub async fn end_of(&self, book: &Book, child: Outcome) -> Payment {
        let made = submission(child);
        let suspense = self.suspense().await;
        let lease = Witness::Lease(made.lease.token);
        payment(write(book, self.said(&made.payment, lease, accepted(), suspense)).await)
    }

    /// The request ids of what is (not) in the archive only, in order.
    async fn requests(&self, from: &str) -> Vec<String> {
        let mut connection = connect(&self.options).await;
        let text = format!("SELECT request_id FROM {from} ORDER BY request_id");
        let found = sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        found
    }
}

#[tokio::test]
async fn a_family_leaves_as_a_whole_once_all_of_it_is_over() {
    let world = World::new().await;
    let book = world.book(1);
    let pays = world.paid(&book, "paid").await;
    world.failed(&book, "failed").await;
    write(&book, command(world.pay_on_us("on us", world.bob, 5))).await;
    let given = world.paid(&book, "given").await;
    let back = write(&book, world.refund("alice", "back", given.id, Some(40))).await;
    world.end_of(&book, back).await;
    let taken = world.authorize("taken", false).await;
    let part = write(&book, world.capture("part", taken.id, Some(60))).await;
    let part = world.end_of(&book, part).await;
    let part_back = write(&book, world.refund("alice", "part back", part.id, Some(10))).await;
    write(&book, world.cancel(&payment_row(&world, taken.id).await)).await;
    // Under way, waiting, being given back; and over, but people were called.
    write(&book, command(world.pay_bank("sent", 10))).await;
    world.authorize("authorized", true).await;
    let open = world.paid(&book, "open").await;
    write(&book, world.refund("alice", "open back", open.id, None)).await;
    let late = world.failed(&book, "late").await;
    let suspense = world.suspense().await;
    write(&book, world.said(&late, Witness::Bank, accepted(), suspense)).await;

    let stay = ["authorized", "late", "open", "open back", "sent"];
    let returned = format!("return-{}", late.id);
    let staying = |more: &[&'static str]| {
        let mut all: Vec<String> = stay.iter().chain(more).map(|name| (*name).to_owned()).collect();
        all.push(returned.clone());
        all.sort_unstable();
        all
    };
    assert_eq!(world.store.move_to_archive(pays.created_at, None, 9).await.unwrap().unwrap().payments, 0);
    assert_eq!(world.archive().await, 5, "paid, failed, on us, given with its refund");
    assert_eq!(world.requests("payments").await, staying(&["part", "part back", "taken"]));
    assert_eq!(world.archive().await, 0);
    world.assert_balanced().await;
    let pause = || tokio::time::sleep(Duration::from_millis(5));
    pause().await;
    let not_over_yet = world.clock.now();
    pause().await;
    world.end_of(&book, part_back).await;
    assert_eq!(world.store.move_to_archive(not_over_yet, None, 99).await.unwrap().unwrap().payments, 0);
    assert_eq!(world.archive().await, 3, "the authorization, its capture, and its refund");
    assert_eq!(world.requests("payments").await, staying(&[]));
    assert_eq!(number(&world.options, "SELECT count(*) FROM all_payments").await, 14);
    let lone = "SELECT count(*) FROM payment_events e WHERE NOT EXISTS (SELECT FROM payments p WHERE p.id = e.payment_id)";
    assert_eq!(number(&world.options, lone).await, 0);
    world.assert_balanced().await;
}

#[tokio::test]
async fn who_asks_finds_what_has_left_as_it_was() {
    let world = World::new().await;
    let book = world.book(1);
    let mut made = vec![world.failed(&book, "failed").await, world.paid(&book, "paid").await];
    let back = write(&book, world.refund("alice", "back", made[1].id, Some(40))).await;
    made.push(world.end_of(&book, back).await);
    assert_eq!(world.archive().await, 3);
    for expected in &made {
        assert_eq!(world.store.payment("alice", expected.id).await.unwrap().as_ref(), Some(expected));
        let by_request = world.store.payment_by_request("alice", &expected.request_id).await.unwrap();
        assert_eq!(by_request.as_ref(), Some(expected));
        assert_eq!(world.store.payment("bob", expected.id).await.unwrap(), None);
        assert_eq!(world.store.payment_by_request("bob", &expected.request_id).await.unwrap(), None);
    }
    let listed = world.store.payments("alice", &PaymentFilter::default(), None, 10).await.unwrap();
    assert_eq!(listed, made.iter().rev().cloned().collect::<Vec<_>>());
    let of_the_paid = PaymentFilter { original: Some(made[1].id), ..PaymentFilter::default() };
    assert_eq!(world.store.payments("alice", &of_the_paid, None, 10).await.unwrap(), made[2..]);
    assert_eq!(world.store.payments("bob", &PaymentFilter::default(), None, 10).await.unwrap(), []);

    for (request, expected) in [("failed", &made[0]), ("paid", &made[1])] {
        let again = write(&book, command(world.pay_bank(request, 100))).await;
        assert_eq!(again, Outcome::Replayed(Box::new(expected.clone())));
        let other = write(&book, command(world.pay_bank(request, 101))).await;
        assert_eq!(other, Outcome::Declined(Declined::RequestIdReused));
        let mut offline = world.pay_bank(request, 100);
        offline.bank = Err(platform::domain::ledger::NoRoute::Offline("aurora".to_owned()));
        offline.validate_only = true;
        assert_eq!(write(&book, command(offline)).await, Outcome::Replayed(Box::new(expected.clone())));
    }
    let again = write(&book, world.refund("alice", "back", made[1].id, Some(40))).await;
    assert_eq!(again, Outcome::Replayed(Box::new(made[2].clone())));
    assert_eq!(
        number(&world.options, "SELECT count(*) FROM payments").await,
        0,
        "nothing came back for that"
    );
}

#[tokio::test]
async fn what_somebody_has_to_do_with_again_comes_back_with_its_family() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let paid = world.paid(&book, "paid").await;
    let back = write(&book, world.refund("alice", "back 1", paid.id, Some(60))).await;
    world.end_of(&book, back).await;
    let failed = world.failed(&book, "failed").await;
    let cancelled = world.authorize("cancelled", false).await;
    let cancelled = payment(write(&book, world.cancel(&cancelled)).await);
    assert_eq!(world.archive().await, 4);

    let too_much = write(&book, world.refund("alice", "back 2", paid.id, Some(50))).await;
    assert_eq!(too_much, Outcome::Declined(Declined::RefundExceedsCaptured(40)));
    let stranger = write(&book, world.refund("bob", "back 2", paid.id, Some(40))).await;
    assert_eq!(stranger, Outcome::Declined(Declined::PaymentNotFound));
    assert_eq!(payment(write(&book, world.cancel(&cancelled)).await), cancelled);
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 0, "nothing came of it");

    let back = write(&book, world.refund("alice", "back 2", paid.id, Some(40))).await;
    assert_eq!(world.requests("payments").await, ["back 1", "back 2", "paid"]);
    world.assert_balanced().await;
    assert_eq!(world.archive().await, 0);
    world.end_of(&book, back).await;
    let listed = world.store.payments("alice", &PaymentFilter::default(), None, 10).await.unwrap();
    assert_eq!(listed.len(), 5, "none twice");
    assert_eq!(world.archive().await, 3, "those that were brought back have their copies");
    world.assert_balanced().await;
    let none_left = write(&book, world.refund("alice", "back 3", paid.id, None)).await;
    assert_eq!(none_left, Outcome::Declined(Declined::RefundExceedsCaptured(0)));

    for _ in 0..2 {
        let after = payment(write(&book, world.said(&failed, Witness::Bank, accepted(), suspense)).await);
        assert_eq!(after, failed);
    }
    let kinds = async || {
        let alarms = world.store.alarms("alice", None, 10).await.unwrap();
        alarms.iter().map(|(_, alarm)| alarm.kind.name()).collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, ["LATE_SUCCESS"]);
    assert_eq!(world.balances("rialto-house", suspense).await.posted(), -100);
    let alarm = platform::domain::ledger::Alarm {
        kind: platform::domain::alarm::AlarmKind::NoticeMismatch,
        payment: paid.id,
        detail: "the amount".to_owned(),
        at: world.clock.now(),
    };
    world.store.raise(alarm).await.unwrap();
    assert_eq!(kinds().await, ["NOTICE_MISMATCH", "LATE_SUCCESS"]);
    assert_eq!(world.archive().await, 0, "people look at all that is here");
    world.assert_balanced().await;
    let unknown = write(&book, world.refund("alice", "x", PaymentId::new(&world.clock), None)).await;
    assert_eq!(unknown, Outcome::Declined(Declined::PaymentNotFound));
}

/// What was made before there were limits is counted in none, wherever it was meanwhile.
#[tokio::test]
async fn what_was_made_before_its_payer_was_limited_comes_back_too() {
    let world = World::new().await;
    let book = world.book(1);
    let paid = world.paid(&book, "paid").await;
    assert_eq!(world.archive().await, 1);
    world.limit(world.alice, LimitRules::default()).await;
    let back = write(&book, world.refund("alice", "back", paid.id, Some(60))).await;
    world.end_of(&book, back).await;
    assert_eq!(world.requests("payments").await, ["back", "paid"]);
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_month_that_was_taken_out_is_gone_and_pays_nothing_again() {
    let world = World::new().await;
    let book = world.book(1);
    let paid = world.paid_long_ago(&book, "paid").await;
    assert_eq!(world.archive().await, 1);
    let this_month = "SELECT take_out(date_trunc('month', now() AT TIME ZONE 'UTC')::date)";
    let mut owner = connect(&world.options).await;
    let error = sqlx::raw_sql(this_month).execute(&mut owner).await.unwrap_err();
    assert!(error.to_string().contains("no month"), "{error}");
    sql(&world.options, "SELECT take_out('2020-02-01')").await;
    sql(&world.options, "DROP TABLE taken_out_payments_2020_02, taken_out_payment_events_2020_02").await;
    assert_eq!(world.store.payment("alice", paid.id).await.unwrap(), None);
    assert_eq!(world.store.payment_by_request("alice", "paid").await.unwrap(), None);
    let again = write(&book, command(world.pay_on_us("paid", world.bob, 100))).await;
    assert_eq!(again, Outcome::Declined(Declined::RequestTakenOut));
    let back = write(&book, world.refund("bob", "back", paid.id, None)).await;
    assert_eq!(back, Outcome::Declined(Declined::PaymentNotFound));
    world.assert_balanced().await;
    // The month is opened again for what leaves late.
    let other = world.paid_long_ago(&book, "other").await;
    assert_eq!(world.archive().await, 1);
    assert_eq!(payment_row(&world, other.id).await.state, State::Succeeded);
    world.assert_balanced().await;
}

/// Somebody with all rights on the database, but for those that no ledger can hold out against.
#[tokio::test]
async fn the_archive_never_changes_and_nothing_leaves_without_an_equal_copy() {
    let world = World::new().await;
    let book = world.book(1);
    let paid = world.asked(&book, "paid").await;
    assert_eq!(world.archive().await, 1);
    world.asked(&book, "here").await;
    let mut owner = connect(&world.options).await;
    let month = "SELECT to_char(now() AT TIME ZONE 'UTC', '_YYYY_MM')";
    let month: String = sqlx::query_scalar(month).fetch_one(&mut owner).await.unwrap();
    for (table, column) in [
        ("archived_payments".to_owned(), "amount"),
        (format!("archived_payments{month}"), "amount"),
        ("archived_payment_events".to_owned(), "sequence"),
        (format!("archived_payment_events{month}"), "sequence"),
        ("archived_requests".to_owned(), "payment_id"),
        ("months_taken_out".to_owned(), "month"),
    ] {
        for change in [
            format!("UPDATE {table} SET {column} = {column}"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            assert_eq!(refused(&mut owner, &change).await, "23000", "{change}");
        }
    }
    for change in [
        "DELETE FROM payments",
        "DELETE FROM payment_events",
        "DELETE FROM payment_events WHERE sequence = 2",
    ] {
        assert_eq!(refused(&mut owner, change).await, "23000", "{change}");
    }
    // A copy that differs in one bit, or a request that is not known, is no copy.
    let back = format!("SELECT bring_back(ARRAY['{}'::uuid])", paid.id.uuid());
    sqlx::raw_sql(sqlx::AssertSqlSafe(back)).execute(&mut owner).await.unwrap();
    let tamper = async |change: &str| {
        sql(&world.options, &format!("SET session_replication_role = replica; {change}")).await;
    };
    let leave =
        "DELETE FROM payment_events e USING payments p WHERE p.request_id = 'paid' AND p.id = e.payment_id;
        DELETE FROM payments WHERE request_id = 'paid'";
    for (change, back) in [
        (
            "UPDATE archived_payments SET personal = personal || 'x'",
            "UPDATE archived_payments SET personal = substr(personal, 1, length(personal) - 1)",
        ),
        (
            "UPDATE archived_payment_events SET bank_message_id = 'x' WHERE sequence = 2",
            "UPDATE archived_payment_events SET bank_message_id = '' WHERE sequence = 2",
        ),
        (
            "UPDATE archived_requests SET request_key = md5(request_key::text)::uuid",
            "UPDATE archived_requests r SET request_key = a.request_key FROM archived_payments a WHERE a.id = r.payment_id",
        ),
    ] {
        tamper(change).await;
        assert_eq!(refused(&mut owner, leave).await, "23000", "{change}");
        let balance = platform::trial_balance::TrialBalance::take(&world.options).await.unwrap();
        assert!(balance.to_string().contains(&paid.id.to_string()), "{change}: {balance}");
        tamper(back).await;
    }
    world.assert_balanced().await;
    sqlx::raw_sql(leave).execute(&mut owner).await.unwrap();
    world.assert_balanced().await;
    assert_eq!(payment_row(&world, paid.id).await, paid);
}

/// The SQLSTATE that a statement is refused with.
async fn refused(connection: &mut PgConnection, text: &str) -> String {
    let mut transaction = connection.begin().await.unwrap();
    let error = sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    error.expect_err(text).as_database_error().unwrap().code().unwrap().into_owned()
}
