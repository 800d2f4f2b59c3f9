//! Statements find their rows by index: on an empty database, and on one that grew while the connection kept its plans.

use std::{collections::BTreeMap, time::Duration};

use common::audit::hex;
use platform::{
    domain::deposit::DepositState,
    encryption::contents::{OfAccount, OfPayment},
    flow::{book::Book, publish, seal},
    trial_balance::CHECKS,
};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{
    bench::{World, accepted, all, command, deposit, submission, write},
    databases::{connect, sql, wait_until},
};

const GROWN: i64 = 20_000;

/// Everything that a payment's way asks of the database, a few times over, so that plans become generic.
async fn work(world: &World, book: &Book, name: &str) {
    for round in 0..12 {
        let request = |number: usize| format!("{name} {round} {number}");
        let made = all((0..8).map(|number| write(book, command(world.pay_bank(&request(number), 1))))).await;
        all(made.into_iter().map(|made| {
            let made = submission(made);
            write(book, world.conclude(made.payment.id, made.lease.token, accepted()))
        }))
        .await;
        let iban = crate::bench::BOB_IBAN;
        all((0..8)
            .map(|number| write(book, command(world.pay_iban(&format!("i{}", request(number)), iban, 1)))))
        .await;
        let proposed =
            all((0..8).map(|number| write(book, world.deposit("alice", &request(number), world.alice, 1))))
                .await;
        let proposed: Vec<_> = proposed.into_iter().map(deposit).collect();
        all(proposed[..6].iter().map(|proposed| write(book, world.approve(proposed, "bea")))).await;
        world.store.deposit("alice", proposed[0].id).await.unwrap();
        for state in DepositState::ALL.map(Some).into_iter().chain([None]) {
            world.store.deposits("alice", state, None, 10).await.unwrap();
        }
        world.store.deposits_past_their_time(world.clock.now(), 10).await.unwrap();
        world.claim_due(32, Duration::from_secs(60)).await.unwrap();
        world.store.payment_by_request("alice", &request(0)).await.unwrap();
        world.archive().await;
        // What began before this millisecond, in the archive or not, and what went on since the last time.
        tokio::time::sleep(Duration::from_millis(2)).await;
        seal::round(&world.store, Duration::ZERO, || true).await.unwrap();
        world.store.payment_by_request("alice", &request(0)).await.unwrap();
        world.store.payments("alice", &Default::default(), None, 10).await.unwrap();
        publish::place(&world.store).await.unwrap();
        let last = world.store.last_position().await.unwrap();
        let stretch = world.store.stretch_behind(last - 10, 10).await.unwrap();
        world.store.events(&stretch, Some("alice")).await.unwrap();
        world.store.events(&stretch, None).await.unwrap();
        world.store.forget_events(Duration::from_secs(86_400), 10).await.unwrap();
        world.store.accounts("alice", None, 10).await.unwrap();
        world.store.entries(world.alice, None, 10).await.unwrap();
    }
}

/// Rows read so far, by sequential scans of tables and by scans of indexes.
async fn rows_read(world: &World, book: &Book, request: &str) -> BTreeMap<String, i64> {
    // Connections report what they did with their next statement, but not more often than once a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    write(book, command(world.pay_on_us(request, world.bob, 1))).await;
    all((0..4).map(|_| world.store.payment_by_request("alice", request))).await;
    let text = "SELECT relname::text, seq_tup_read FROM pg_stat_user_tables UNION ALL \
        SELECT indexrelname::text, idx_tup_read FROM pg_stat_user_indexes";
    let mut connection = connect(&world.options).await;
    let rows: Vec<(String, i64)> = sqlx::query_as(text).fetch_all(&mut connection).await.unwrap();
    rows.into_iter().collect()
}

#[tokio::test]
async fn a_batch_costs_as_much_on_a_grown_database_as_on_an_empty_one() {
    let world = World::new().await;
    let book = world.book(1);
    // Of a table that was just counted as tiny, the planner would rather read all: it is counted anew as it grows, but not within a test.
    let uncounted = "DO $$ DECLARE name regclass; BEGIN
        FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', name);
        END LOOP; END $$";
    sql(&world.options, uncounted).await;
    // So that the month is open.
    write(&book, command(world.pay_on_us("first", world.bob, 1))).await;
    world.archive().await;
    let read = async |name: &str| {
        let before = rows_read(&world, &book, &format!("before {name}")).await;
        work(&world, &book, name).await;
        let after = rows_read(&world, &book, &format!("after {name}")).await;
        after.into_iter().map(|(name, rows)| (name.clone(), rows - before[&name])).collect::<BTreeMap<_, _>>()
    };
    let empty = read("empty").await;
    grow(&world).await;
    let grown = read("grown").await;
    assert!(empty["accounts_pkey"] > 100, "{empty:?}");
    // One scan of what has grown is more than this, and a batch that is done twice on a busy machine is not.
    let costlier: Vec<_> =
        grown.iter().filter(|(name, rows)| **rows > 2 * empty[*name] + GROWN / 2).collect();
    assert!(costlier.is_empty(), "rows read: {costlier:?} grown, {empty:?} empty");
}

/// New numbers with what is encrypted for each, as a table `s (id, personal, n)`.
fn encrypted(encrypt: impl Fn(Uuid) -> Option<Vec<u8>>) -> String {
    let ids: Vec<Uuid> = (0..GROWN).map(|_| Uuid::new_v4()).collect();
    let rows = ids.iter().map(|id| (id.to_string(), format!("\"\\\\x{}\"", hex(&encrypt(*id).unwrap()))));
    let (ids, personal): (Vec<String>, Vec<String>) = rows.unzip();
    let (ids, personal) = (ids.join(","), personal.join(","));
    format!("unnest('{{{ids}}}'::uuid[], '{{{personal}}}'::bytea[]) WITH ORDINALITY AS s (id, personal, n)")
}

/// Adds accounts, payments that wait for their bank with a lease that runs, and deposits, of which others' are pending.
async fn grow(world: &World) {
    let (alice, settlement) = (world.alice.uuid(), world.settlement.uuid());
    let keys = world.store.keys().current();
    let holder = OfAccount { display_name: "x".to_owned(), iban: None };
    let accounts = encrypted(|id| keys.encrypt_account(id, &holder));
    let payee = OfPayment { payee_account_number: Some("1".into()), ..OfPayment::default() };
    let payments = encrypted(|id| keys.encrypt_payment(id, &payee));
    let text = format!(
        "SET session_replication_role = replica;
         INSERT INTO accounts (id, participant_id, request_id, request_fingerprint, personal, currency, created_at)
           SELECT id, 'alice', 'grown ' || n, gen_random_uuid(), personal, 'EUR', now() FROM {accounts};
         INSERT INTO payments (id, participant_id, request_id, request_key, request_fingerprint, payer_account, credit_account,
             personal, payee_bank_id, amount, currency, bank_id, uetr, state, is_queued, sequence,
             created_at, updated_at, first_valid_until)
           SELECT id, 'alice', 'old ' || n, gen_random_uuid(), gen_random_uuid(), '{alice}', '{settlement}', personal, 'aurora', 1,
             'EUR', 'aurora', gen_random_uuid(), 'SUBMITTED', true, 1, now(), now(), now() + interval '1 hour'
           FROM {payments};
         INSERT INTO dispatches (payment_id, bank_id, due_at)
           SELECT id, 'aurora', now() + interval '1 hour' FROM payments WHERE request_id LIKE 'old %';
         INSERT INTO deposits SELECT gen_random_uuid(), CASE WHEN s = 'BOOKED' THEN 'alice' ELSE 'other-' || n END, 'old ' || n, gen_random_uuid(), '{alice}', '{settlement}', 1, 'EUR',
           'aurora', '', 'ada', now(), now() + interval '1 day', s, CASE WHEN s <> 'PENDING_APPROVAL' THEN gen_random_uuid() END,
           CASE WHEN s = 'BOOKED' THEN 'bea' END, CASE WHEN s = 'BOOKED' THEN now() END
           FROM (SELECT n, CASE WHEN n % 2 = 0 THEN 'BOOKED' ELSE 'PENDING_APPROVAL' END::deposit_state AS s
             FROM generate_series(1, {GROWN}) n) AS made;"
    );
    sql(&world.options, &text).await;
    wait_until(&world.options, "SELECT count(*) FROM payments", |count| count >= GROWN).await;
}

#[tokio::test]
async fn a_trial_balance_asks_nothing_once_a_row() {
    let options = crate::databases::database(None).await;
    let mut connection = connect(&options).await;
    for check in CHECKS {
        let explain = AssertSqlSafe(format!("EXPLAIN {check}"));
        let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut connection).await.unwrap();
        let repeated = plan.iter().find(|line| line.contains("SubPlan"));
        assert_eq!(repeated, None, "{check}");
    }
}

/// How many rows each table has.
async fn rows(world: &World) -> BTreeMap<String, i64> {
    let count = "SELECT c.relname::text, (xpath('/row/rows/text()', \
          query_to_xml(format('SELECT count(*) AS rows FROM %s', c.oid::regclass), false, true, '')))[1]::text::bigint \
        FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace";
    let rows: Vec<(String, i64)> =
        sqlx::query_as(count).fetch_all(&mut connect(&world.options).await).await.unwrap();
    rows.into_iter().collect()
}

#[tokio::test]
async fn what_grows_with_payments_is_not_sampled_at_length() {
    let world = World::new().await;
    let book = world.book(1);
    let pay = async |request: &str| {
        let made = submission(write(&book, command(world.pay_bank(request, 1))).await);
        write(&book, world.conclude(made.payment.id, made.lease.token, accepted())).await;
    };
    pay("first").await;
    let before = rows(&world).await;
    pay("second").await;
    let grown: Vec<String> = rows(&world)
        .await
        .into_iter()
        .filter(|(name, rows)| *rows > before[name])
        .map(|(name, _)| name)
        .collect();
    // What is under way is forgotten, so that its table does not grow for long.
    let grown: Vec<&String> = grown.iter().filter(|name| *name != "first_leases").collect();
    assert!(
        ["payments", "transfers", "event_log"].iter().all(|name| grown.iter().any(|grown| grown == name)),
        "{grown:?}"
    );
    // 300 rows are drawn for each of it, and as many as the column with the most asks for (PostgreSQL, ANALYZE).
    let sampled = "SELECT format('%s.%s', attrelid::regclass, attname) FROM pg_attribute \
        WHERE attrelid = ANY($1::text[]::regclass[]) AND attnum > 0 AND NOT attisdropped AND attstattarget NOT BETWEEN 0 AND 10";
    let sampled: Vec<String> =
        sqlx::query_scalar(sampled).bind(&grown).fetch_all(&mut connect(&world.options).await).await.unwrap();
    assert_eq!(sampled, Vec::<String>::new());
}
