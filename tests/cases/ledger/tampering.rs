//! The trial balance finds what somebody with all rights on the database changed, and names it.

use common::order::LimitRules;
use platform::{flow::publish, trial_balance::TrialBalance};
use sqlx::Connection;
use uuid::Uuid;

use crate::{
    bench::{World, accepted, command, rejected, submission, write},
    databases::{connect, database, sql},
};

/// A world with one of everything.
async fn world() -> World {
    let world = World::new().await;
    let book = world.book(1);
    let gone = submission(write(&book, command(world.pay_bank("gone", 30))).await);
    write(&book, world.conclude(gone.payment.id, 1, accepted())).await;
    let back = write(&book, world.refund("alice", "gone back", gone.payment.id, Some(7))).await;
    world.end_of(&book, back).await;
    assert_eq!(world.archive().await, 2);
    world.limit(world.alice, LimitRules::default()).await;
    write(&book, command(world.pay_bank("held", 10))).await;
    write(&book, command(world.pay_on_us("on us", world.bob, 20))).await;
    for (request, evidence) in [("paid", accepted()), ("failed", rejected())] {
        let made = submission(write(&book, command(world.pay_bank(request, 30))).await);
        write(&book, world.conclude(made.payment.id, 1, evidence)).await;
    }
    world.asked(&book, "asked").await;
    publish::place(&world.store).await.unwrap();
    world.store.pool().close().await;
    world
}

/// Changes, in which `<paid>` stands for that payment's number and `<deposit>` for Alice's deposit's, and what the trial
/// balance must name: rows by their names, or words.
const CHANGES: [(&str, &[&str]); 49] = [
    ("SELECT 1", &[]),
    ("UPDATE accounts SET credits_posted = credits_posted + 1 WHERE request_id = 'Bob'", &["Bob", "currency EUR"]),
    // Balanced by itself, and yet not what the transfers say.
    ("UPDATE accounts SET debits_posted = debits_posted + 5, credits_posted = credits_posted + 5", &["Alice", "Bob"]),
    ("UPDATE accounts SET currency = 'USD' WHERE request_id = 'Bob'", &["mixed currencies", "currency USD"]),
    ("UPDATE accounts SET debits_pending = debits_pending + 1", &["Alice", "Bob"]),
    ("DELETE FROM transfers WHERE id = <paid>", &["paid", "Alice"]),
    ("UPDATE transfers SET id = gen_random_uuid() WHERE id = <paid>", &["paid", "books nothing"]),
    ("DELETE FROM transfers WHERE id = <deposit>", &["deposit", "Alice"]),
    ("UPDATE transfers SET amount = amount + 1 WHERE id = <on us>", &["on us", "Bob"]),
    ("UPDATE transfers SET id = <failed> WHERE id = <paid>", &["failed", "paid"]),
    // The other one pays, and the sums are made to fit.
    (
        "UPDATE transfers SET debit_account = credit_account, credit_account = debit_account WHERE id = <on us>;
         UPDATE accounts SET debits_posted = debits_posted - 20, credits_posted = credits_posted + 20
           WHERE request_id = 'Alice';
         UPDATE accounts SET debits_posted = debits_posted + 20, credits_posted = credits_posted - 20
           WHERE request_id = 'Bob'",
        &["on us"],
    ),
    ("UPDATE payments SET payer_account = credit_account WHERE id = <on us>", &["on us"]),
    ("UPDATE payments SET state = 'FAILED', reason_code = 'X' WHERE id = <paid>", &["paid"]),
    ("UPDATE payments SET state = 'SUCCEEDED', reason_code = NULL WHERE id = <failed>", &["failed"]),
    ("UPDATE payments SET state = 'UNKNOWN', reason_code = 'X', sequence = 2 WHERE id = <held>", &["held"]),
    ("UPDATE payments SET amount = amount + 1 WHERE id = <paid>", &["paid"]),
    ("UPDATE payments SET sequence = sequence + 1 WHERE id = <paid>", &["paid"]),
    ("DELETE FROM first_leases", &["held"]),
    ("UPDATE payments SET is_queued = true WHERE id = <held>", &["held"]),
    ("INSERT INTO dispatches (payment_id, bank_id, due_at) SELECT <paid>, 'aurora', now()", &["paid"]),
    ("UPDATE payments SET first_valid_until = NULL WHERE id = <paid>", &["paid"]),
    ("DELETE FROM payment_events WHERE payment_id = <asked>", &["asked"]),
    ("UPDATE payment_events SET sequence = 3 WHERE payment_id = <asked>", &["asked"]),
    ("INSERT INTO payment_events SELECT * FROM current_payment_events WHERE payment_id = <paid>", &["paid"]),
    ("UPDATE deposits SET amount = amount + 1 WHERE id = <deposit>", &["deposit"]),
    (
        "UPDATE deposits SET account_id = (SELECT id FROM accounts WHERE request_id = 'Bob') WHERE id = <deposit>",
        &["deposit"],
    ),
    (
        "UPDATE deposits SET state = 'REJECTED', reject_reason = 'x' WHERE id = <deposit>",
        &["deposit"],
    ),
    (
        "UPDATE transfers SET debit_account = (SELECT id FROM accounts WHERE request_id = 'Bob') WHERE id = <deposit>",
        &["deposit", "Bob"],
    ),
    ("UPDATE archived_payments SET amount = amount + 1 WHERE id = <gone>", &["gone"]),
    ("UPDATE archived_payments SET payer_account = credit_account WHERE id = <gone>", &["gone"]),
    ("UPDATE archived_payments SET state = 'FAILED', reason_code = 'X' WHERE id = <gone>", &["gone"]),
    ("UPDATE archived_payments SET state = 'FAILED', reason_code = 'X' WHERE id = <gone back>", &["gone", "gone back"]),
    ("UPDATE archived_payments SET state = 'INVESTIGATE', reason_code = 'X' WHERE id = <gone>", &["archived payment"]),
    ("UPDATE archived_payments SET sequence = sequence + 1 WHERE id = <gone>", &["gone"]),
    ("UPDATE archived_payments SET request_key = gen_random_uuid() WHERE id = <gone>", &["gone"]),
    ("UPDATE refundable SET refunded = 0", &["gone"]),
    ("UPDATE limits SET hour_amount = hour_amount - 1", &["limits of"]),
    ("UPDATE limits SET day_count = day_count - 1", &["limits of"]),
    ("UPDATE limits SET hour_since = hour_since - interval '1 hour', hour_amount = 0", &["limits of"]),
    ("DELETE FROM archived_payments WHERE id = <gone>", &["gone"]),
    ("DELETE FROM archived_requests WHERE payment_id = <gone>", &["gone"]),
    ("UPDATE archived_payments SET first_valid_until = NULL WHERE id = <gone>", &["gone"]),
    ("DELETE FROM event_log WHERE payments[1] = <on us>", &["on us", "the log of events goes on"]),
    ("DELETE FROM event_log WHERE payments[1] = <paid> AND sequences[1] = 2", &["paid"]),
    ("UPDATE event_log SET position = 99 WHERE position = 3", &["the log of events goes on"]),
    (
        "UPDATE event_log SET sequences = ARRAY[3 - sequences[1]] WHERE payments[1] = <paid>",
        &["paid"],
    ),
    ("INSERT INTO event_log (payments, sequences) VALUES (ARRAY[<paid>], '{2}')", &["paid"]),
    // Half of a family is here, and what is here is not what it was.
    (
        "INSERT INTO payments SELECT * FROM archived_payments WHERE id = <gone>;
         INSERT INTO payment_events SELECT * FROM archived_payment_events WHERE payment_id = <gone>",
        &["is without its original"],
    ),
    (
        "SELECT bring_back(ARRAY[<gone>]); UPDATE archived_payments SET personal = 'x' WHERE id = <gone>;
         UPDATE archived_payments SET bank_message_id = 'x' WHERE id = <gone>",
        &["gone"],
    ),
];

#[tokio::test]
async fn every_change_by_hand_is_found_and_named() {
    let world = world().await;
    let mut connection = connect(&world.options).await;
    let rows: Vec<(String, String, Uuid)> = sqlx::query_as(
        "SELECT request_id, 'pay_', id FROM all_payments UNION ALL SELECT request_id, 'acc_', id FROM accounts WHERE request_id IS NOT NULL
         UNION ALL SELECT 'deposit', 'dep_', id FROM deposits WHERE participant_id = 'alice'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    for (change, differs) in CHANGES {
        let fill = |text: String, (name, _, id): &(String, String, Uuid)| {
            text.replace(&format!("<{name}>"), &format!("'{id}'::uuid"))
        };
        let change = rows.iter().fold(change.to_owned(), fill);
        let options = database(world.options.get_database()).await;
        sql(&options, &format!("SET session_replication_role = replica; {change}")).await;
        let balance = TrialBalance::take(&options).await.unwrap();
        assert_eq!(balance.is_ok(), differs.is_empty(), "{change}\n{balance}");
        for name in differs {
            let row = rows.iter().find(|(known, ..)| known == name);
            let word = row.map_or((*name).to_owned(), |(_, prefix, id)| format!("{prefix}{}", id.simple()));
            let named = balance.differences.iter().any(|difference| difference.contains(&word));
            assert!(named, "{change}\ndoes not name {word} ({name}):\n{balance}");
        }
    }
}
