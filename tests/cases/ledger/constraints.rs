//! What the database itself refuses, whoever asks: defence below the rules.

use platform::domain::payment::{State, TRANSITIONS};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    bench::{World, command, submission, write},
    databases::connect,
};

pub const NO_PERMISSION: &str = "42501";
pub const REFUSED_BY_TRIGGER: &str = "23000";
pub const CHECK_VIOLATED: &str = "23514";

/// A world with a payment in each state.
async fn world() -> World {
    let world = World::new().await;
    let book = world.book(1);
    for (request, evidence) in [
        ("submitted", None),
        ("unknown", Some(crate::bench::inconclusive(std::time::Duration::from_secs(60)))),
        ("failed", Some(crate::bench::rejected())),
    ] {
        let made = submission(write(&book, command(world.pay_bank(request, 10))).await);
        if let Some(evidence) = evidence {
            write(&book, world.conclude(made.payment.id, made.lease.token, evidence)).await;
        }
    }
    world.asked(&book, "succeeded").await;
    write(&book, world.deposit("alice", "pending", world.alice, 10)).await;
    // What takes more than one step to come to is copied into its state: triggers guard changes, not the first row.
    for (state, kind) in [
        ("held", "PAYMENT"),
        ("authorized", "AUTHORIZATION"),
        ("investigate", "PAYMENT"),
        ("cancelled", "PAYMENT"),
        ("expired", "AUTHORIZATION"),
    ] {
        let statement = format!(
            "INSERT INTO payments (id, participant_id, request_id, request_key, request_fingerprint, payer_account, credit_account, personal,
               amount, currency, bank_id, uetr, state, reason_code, sequence,
               created_at, updated_at, kind, held, capturing, captured, expires_at)
             SELECT gen_random_uuid(), participant_id, '{state}', gen_random_uuid(), request_fingerprint, payer_account, credit_account, personal,
               amount, currency, bank_id, uetr, upper('{state}')::payment_state,
               CASE WHEN '{state}' IN ('held', 'investigate') THEN 'X' END, 1, created_at, updated_at, '{kind}'::payment_kind,
               s.sum, s.sum, s.sum, s.expires_at
             FROM payments, (SELECT 0 AS sum, now() AS expires_at WHERE '{kind}' = 'AUTHORIZATION'
               UNION ALL SELECT NULL, NULL WHERE '{kind}' = 'PAYMENT') AS s
             WHERE request_id = 'submitted'"
        );
        crate::databases::sql(&world.options, &statement).await;
    }
    world
}

/// The SQLSTATE that a statement ends with, none if it goes through; nothing stays of it.
pub async fn sqlstate(connection: &mut PgConnection, text: &str) -> Option<String> {
    let mut transaction = connection.begin().await.unwrap();
    let result = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    result.err().map(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
}

#[tokio::test]
async fn history_cannot_be_changed() {
    let world = world().await;
    let mut owner = connect(&world.options).await;
    let mut platform = connect(&world.options).await;
    sqlx::raw_sql("SET ROLE rialto_platform").execute(&mut platform).await.unwrap();
    let immutable = ["transfers", "payment_events", "deposits"];
    let columns = ["amount = amount + 1", "sequence = 7", "amount = amount + 1"];
    let mut statements = Vec::new();
    for (table, column) in immutable.into_iter().zip(columns) {
        statements.push(format!("UPDATE {table} SET {column}"));
    }
    for table in immutable.into_iter().chain(["payments", "accounts"]) {
        // What the archive has copies of may go, and that is nothing here.
        statements.push(match table {
            "payments" => "DELETE FROM payments WHERE request_id = 'succeeded'".to_owned(),
            "payment_events" => "DELETE FROM payment_events WHERE sequence = 2".to_owned(),
            _ => format!("DELETE FROM {table} WHERE false"),
        });
        statements.push(format!("TRUNCATE {table} CASCADE"));
    }
    for (table, column) in [
        ("audit_seals", "size = size + 1"),
        ("audit_nodes", "hash = sha256(hash)"),
        ("resolution_acts", "by_credential = 'x'"),
        ("identity_acts", "by_credential = 'x'"),
        ("webhook_acts", "by_credential = 'x'"),
        ("data_keys", "number = 7"),
    ] {
        statements.push(format!("UPDATE {table} SET {column}"));
        statements.push(format!("DELETE FROM {table}"));
        statements.push(format!("TRUNCATE {table}"));
    }
    for column in [
        "id = gen_random_uuid()",
        "participant_id = 'bob'",
        "request_id = 'x'",
        "request_fingerprint = gen_random_uuid()",
        "payer_account = credit_account",
        "credit_account = payer_account",
        "request_key = gen_random_uuid()",
        "first_valid_until = now()",
        "personal = 'x'",
        "payee_account = gen_random_uuid()",
        "payee_bank_id = 'x'",
        "payee_bic = 'x'",
        "amount = amount + 1",
        "currency = 'USD'",
        "bank_id = 'x'",
        "uetr = gen_random_uuid()",
        "created_at = now()",
    ] {
        // Not even together with a change of state that is allowed.
        let onward = "state = 'SUCCEEDED', sequence = sequence + 1";
        statements.push(format!("UPDATE payments SET {onward}, {column} WHERE request_id = 'submitted'"));
    }
    for column in [
        "id = gen_random_uuid()",
        "participant_id = 'bob'",
        "request_id = 'x'",
        "request_fingerprint = gen_random_uuid()",
        "currency = 'USD'",
        "bank_id = 'x'",
        "may_overdraw = true",
        "created_at = now()",
    ] {
        statements.push(format!("UPDATE accounts SET {column}"));
    }
    for column in [
        "id = gen_random_uuid()",
        "participant_id = 'bob'",
        "request_id = 'x'",
        "request_fingerprint = gen_random_uuid()",
        "account_id = settlement_account",
        "settlement_account = account_id",
        "amount = amount + 1",
        "currency = 'USD'",
        "bank_id = 'x'",
        "reference = 'x'",
        "proposed_by = 'x'",
        "created_at = now()",
        "expires_at = now()",
    ] {
        // Not even together with a decision.
        let decided = "state = 'LAPSED', decision_id = gen_random_uuid(), decided_at = expires_at";
        statements.push(format!("UPDATE deposits SET {decided}, {column} WHERE request_id = 'pending'"));
    }
    statements.push("DELETE FROM webhook_endpoints".to_owned());
    for column in [
        "id = gen_random_uuid()",
        "participant_id = 'bob'",
        "hears_behind = 7",
        "created_by = 'x'",
        "created_at = now()",
    ] {
        statements.push(format!("UPDATE webhook_endpoints SET {column}"));
    }
    for column in
        ["endpoint_id = gen_random_uuid()", "position = 7", "payment_id = gen_random_uuid()", "sequence = 7"]
    {
        statements.push(format!("UPDATE webhook_deliveries SET {column}"));
    }
    for statement in statements {
        assert_eq!(sqlstate(&mut platform, &statement).await.as_deref(), Some(NO_PERMISSION), "{statement}");
        assert_eq!(
            sqlstate(&mut owner, &statement).await.as_deref(),
            Some(REFUSED_BY_TRIGGER),
            "{statement}"
        );
    }
    for statement in [
        "DROP TABLE transfers",
        "ALTER TABLE transfers DISABLE TRIGGER ALL",
        "UPDATE installation SET page_token_key = ''",
        "UPDATE participants SET id = 'mallory'",
        "SET session_replication_role = replica",
        "TRUNCATE dispatches",
        "UPDATE dispatches SET payment_id = gen_random_uuid()",
        "DELETE FROM audit_horizon",
        "CREATE TABLE mine ()",
        "DELETE FROM payments WHERE false",
        "DELETE FROM payment_events WHERE false",
        "DELETE FROM refundable",
        "INSERT INTO archived_payments SELECT * FROM payments",
        "INSERT INTO archived_payment_events SELECT * FROM payment_events",
        "INSERT INTO archived_requests SELECT request_key, id FROM payments",
        "INSERT INTO months_taken_out VALUES (now())",
        "SELECT take_out('2020-02-01')",
        "SELECT open_archive('2020-02-01')",
        "DELETE FROM _sqlx_migrations",
    ] {
        assert_eq!(sqlstate(&mut platform, statement).await.as_deref(), Some(NO_PERMISSION), "{statement}");
    }
    // What is sealed stays so, for whoever may seal too.
    let back = "UPDATE audit_horizon SET sealed_up_to = first_id(now()); \
        UPDATE audit_horizon SET sealed_up_to = first_id('2020-01-01')";
    for connection in [&mut platform, &mut owner] {
        assert_eq!(sqlstate(connection, back).await.as_deref(), Some(REFUSED_BY_TRIGGER));
    }
}

#[tokio::test]
async fn states_change_as_the_rules_table_says() {
    let world = world().await;
    let mut platform = connect(&world.options).await;
    sqlx::raw_sql("SET ROLE rialto_platform").execute(&mut platform).await.unwrap();
    for from in State::ALL {
        for to in State::ALL {
            let needs_reason =
                matches!(to, State::Held | State::Unknown | State::Investigate | State::Failed);
            let reason = if needs_reason { "'X'" } else { "NULL" };
            let update = |sequence: &str| {
                let valid_until = if to == State::Submitted { "updated_at + interval '1 s'" } else { "NULL" };
                let request = from.name().to_lowercase();
                format!(
                    "WITH kept AS (INSERT INTO payment_events SELECT e.* FROM payments p JOIN current_payment_events e
                       ON (e.payment_id, e.sequence) = (p.id, p.sequence) WHERE request_id = '{request}'
                       AND (p.sequence > 1 OR p.first_valid_until IS NULL))
                     UPDATE payments SET state = '{}', reason_code = {reason}, sequence = {sequence}, valid_until = {valid_until}
                     WHERE request_id = '{request}'",
                    to.name(),
                )
            };
            let allowed = TRANSITIONS.contains(&(from, to));
            let expected = if allowed { None } else { Some(REFUSED_BY_TRIGGER) };
            let onward = sqlstate(&mut platform, &update("sequence + 1")).await;
            assert_eq!(onward.as_deref(), expected, "{from:?} to {to:?}");
            for stale in ["sequence", "sequence - 1"] {
                let found = sqlstate(&mut platform, &update(stale)).await.unwrap();
                let found = found.as_str();
                assert!([REFUSED_BY_TRIGGER, CHECK_VIOLATED].contains(&found), "{from:?} to {to:?}, {stale}");
            }
        }
    }
}

#[tokio::test]
async fn sums_and_rows_that_cannot_be_are_refused() {
    let world = world().await;
    let mut platform = connect(&world.options).await;
    sqlx::raw_sql("SET ROLE rialto_platform").execute(&mut platform).await.unwrap();
    let (alice, bob, settlement) = (world.alice.uuid(), world.bob.uuid(), world.settlement.uuid());
    let payment = "(SELECT id FROM payments WHERE request_id = 'submitted')";
    let transfer = |values: &str| {
        format!("INSERT INTO transfers (id, debit_account, credit_account, amount, is_deposit, credit_is_house, created_at)
            VALUES ({values}, now())")
    };
    let (paid, failed) = (
        "(SELECT id FROM payments WHERE request_id = 'succeeded')",
        "(SELECT id FROM payments WHERE request_id = 'failed')",
    );
    let new = "gen_random_uuid()";
    for (what, statement, code) in [
        ("overdraft", format!("UPDATE accounts SET debits_posted = credits_posted + 1 WHERE id = '{alice}'"), CHECK_VIOLATED),
        ("hold too much", format!("UPDATE accounts SET debits_pending = credits_posted + 1 WHERE id = '{bob}'"), CHECK_VIOLATED),
        ("negative sum", format!("UPDATE accounts SET credits_pending = -1 WHERE id = '{settlement}'"), CHECK_VIOLATED),
        ("unsound sums", format!("UPDATE payments SET state = 'SUCCEEDED', sequence = 2, held = 1 WHERE id = {payment}"), CHECK_VIOLATED),
        ("no reason", format!("UPDATE payments SET state = 'FAILED', sequence = 2 WHERE id = {payment}"), CHECK_VIOLATED),
        (
            "more than authorized",
            "UPDATE payments SET captured = amount + 1, sequence = 2 WHERE request_id = 'authorized'".to_owned(),
            CHECK_VIOLATED,
        ),
        (
            "negative captures",
            "UPDATE payments SET capturing = -1, sequence = 2 WHERE request_id = 'authorized'".to_owned(),
            CHECK_VIOLATED,
        ),
        (
            "half an authorization",
            "UPDATE payments SET held = NULL, sequence = 2 WHERE request_id = 'authorized'".to_owned(),
            CHECK_VIOLATED,
        ),
        ("overflow", format!("UPDATE accounts SET credits_posted = credits_posted + {} WHERE id = '{bob}'", i64::MAX), "22003"),
        ("zero", transfer(&format!("{payment}, '{alice}', '{bob}', 0, false, false")), CHECK_VIOLATED),
        ("to itself", transfer(&format!("{payment}, '{alice}', '{alice}', 1, false, false")), CHECK_VIOLATED),
        ("nobody's", transfer(&format!("{payment}, '{alice}', {new}, 1, false, false")), "23503"),
        ("of no payment", transfer(&format!("{new}, '{alice}', '{settlement}', 10, false, true")), "23503"),
        ("of no deposit", transfer(&format!("{new}, '{settlement}', '{alice}', 10, true, false")), "23503"),
        ("not paid", transfer(&format!("{payment}, '{alice}', '{settlement}', 10, false, true")), "23503"),
        ("failed", transfer(&format!("{failed}, '{alice}', '{settlement}', 10, false, true")), "23503"),
        ("paid twice", transfer(&format!("{paid}, '{alice}', '{settlement}', 10, false, true")), "23505"),
        ("paid by another", transfer(&format!("{paid}, '{bob}', '{settlement}', 10, false, true")), "23503"),
        ("paid to no house", transfer(&format!("{paid}, '{bob}', '{settlement}', 10, false, false")), "23503"),
        (
            "event of nobody",
            "INSERT INTO payment_events (payment_id, created_at, sequence, state, bank_message_id)
             VALUES (gen_random_uuid(), now(), 1, 'FAILED', '')".to_owned(),
            "23503",
        ),
        (
            "second first step",
            format!("INSERT INTO payment_events (payment_id, created_at, sequence, state, bank_message_id)
             VALUES ({paid}, now(), 1, 'FAILED', '')"),
            "23503",
        ),
        (
            "second last step",
            format!("INSERT INTO payment_events SELECT * FROM current_payment_events WHERE payment_id = {paid} AND sequence = 3"),
            "23503",
        ),
        (
            "step of which nothing stays",
            "UPDATE payments SET state = 'CANCELLED', sequence = 2 WHERE request_id = 'authorized'".to_owned(),
            "23000",
        ),
        (
            "other evidence with a first lease that ends",
            "UPDATE payments SET is_queued = true, bank_message_id = 'x' WHERE request_id = 'submitted'".to_owned(),
            "23000",
        ),
        (
            "sent again without an attempt",
            "UPDATE payments SET state = 'SUBMITTED', reason_code = NULL, sequence = sequence + 1 WHERE state = 'HELD'".to_owned(),
            CHECK_VIOLATED,
        ),
        (
            "first attempt that was over before",
            "INSERT INTO payments SELECT (r).* FROM (SELECT jsonb_populate_record(p, jsonb_build_object('id', gen_random_uuid(),
               'request_key', gen_random_uuid(), 'first_valid_until', p.created_at)) AS r FROM payments p
             WHERE request_id = 'submitted') AS made".to_owned(),
            CHECK_VIOLATED,
        ),
        (
            "sent without an attempt",
            format!("INSERT INTO payment_events (payment_id, created_at, sequence, state, bank_message_id)
             VALUES ({payment}, now(), 2, 'SUBMITTED', '')"),
            CHECK_VIOLATED,
        ),
        (
            "attempt that was over before",
            format!("INSERT INTO payment_events (payment_id, created_at, sequence, state, bank_message_id, valid_until)
             VALUES ({payment}, now(), 2, 'SUBMITTED', '', now())"),
            CHECK_VIOLATED,
        ),
        (
            "given back of nothing",
            format!("INSERT INTO refundable (payment_id, amount, refunded) VALUES ({new}, 1, 0)"),
            "23503",
        ),
        (
            "work on nothing",
            "INSERT INTO dispatches (payment_id, bank_id, due_at) VALUES (gen_random_uuid(), 'aurora', now())".to_owned(),
            "23503",
        ),
        (
            "payment from nowhere",
            "INSERT INTO payments (id, participant_id, request_id, request_key, request_fingerprint, payer_account, credit_account, personal, amount, currency,
               bank_id, uetr, state, reason_code, reason_iso_code, reason_message, sequence,
               created_at, updated_at, first_valid_until)
               SELECT gen_random_uuid(), participant_id, 'stray', gen_random_uuid(), request_fingerprint, gen_random_uuid(),
               credit_account, personal, amount, currency, bank_id, uetr, state,
               reason_code, reason_iso_code, reason_message, sequence, created_at, updated_at, first_valid_until FROM payments
               WHERE request_id = 'submitted'".to_owned(),
            "23503",
        ),
        (
            "second settlement account",
            "INSERT INTO accounts (id, participant_id, personal, currency, bank_id, may_overdraw, created_at)
             VALUES (gen_random_uuid(), 'rialto-house', 'x', 'EUR', 'aurora', true, now())".to_owned(),
            "23505",
        ),
        (
            "overdraft for a customer",
            "INSERT INTO accounts (id, participant_id, personal, currency, may_overdraw, created_at)
             VALUES (gen_random_uuid(), 'alice', 'x', 'EUR', true, now())".to_owned(),
            CHECK_VIOLATED,
        ),
        (
            "suspense of a customer",
            "INSERT INTO accounts (id, participant_id, personal, currency, is_suspense, created_at)
             VALUES (gen_random_uuid(), 'alice', 'x', 'EUR', true, now())".to_owned(),
            CHECK_VIOLATED,
        ),
        (
            "half a request",
            "INSERT INTO accounts (id, participant_id, personal, currency, request_id, created_at)
             VALUES (gen_random_uuid(), 'alice', 'x', 'EUR', 'r', now())".to_owned(),
            CHECK_VIOLATED,
        ),
        (
            "no currency",
            "INSERT INTO accounts (id, participant_id, personal, currency, created_at)
             VALUES (gen_random_uuid(), 'alice', 'x', 'euro', now())".to_owned(),
            CHECK_VIOLATED,
        ),
        (
            "request id used again",
            "INSERT INTO payments (id, participant_id, request_id, request_key, request_fingerprint, payer_account, credit_account, personal, amount, currency,
               bank_id, uetr, state, reason_code, reason_iso_code, reason_message, sequence,
               created_at, updated_at, first_valid_until, valid_until)
               SELECT gen_random_uuid(), participant_id, request_id, request_key, request_fingerprint, payer_account,
               credit_account, personal, amount, currency, bank_id, uetr, state,
               reason_code, reason_iso_code, reason_message, sequence, created_at, updated_at, first_valid_until, valid_until
               FROM payments WHERE request_id = 'submitted'".to_owned(),
            "23505",
        ),
    ] {
        assert_eq!(sqlstate(&mut platform, &statement).await.as_deref(), Some(code), "{what}");
    }
}
