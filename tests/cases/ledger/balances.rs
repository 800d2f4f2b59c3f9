//! The trial balance that reads no transfer, and traces, on a database alone.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    bench::{World, command, payment, write},
    databases::{number, sql},
};

#[tokio::test]
async fn what_does_not_add_up_is_found() {
    let world = World::new().await;
    write(&world.book(1), command(world.pay_bank("held", 100))).await;
    let violations = async |whose| {
        let found = world.store.balances(whose).await.unwrap();
        (found.unequal, found.unheld, found.overdrawn)
    };
    assert_eq!(violations(None).await, (Some(0), 0, 0));
    assert_eq!(violations(Some("alice")).await, (None, 0, 0));
    for (change, all, own) in [
        ("debits_posted = debits_posted + 1", (Some(1), 0, 0), (None, 0, 0)),
        ("debits_pending = debits_pending + 1", (Some(1), 1, 0), (None, 1, 0)),
        ("debits_pending = 0", (Some(1), 1, 0), (None, 1, 0)),
        ("debits_pending = 1000000000", (Some(1), 1, 1), (None, 1, 1)),
    ] {
        sql(&world.options, "ALTER TABLE accounts DROP CONSTRAINT IF EXISTS accounts_not_overdrawn").await;
        sql(&world.options, "CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM accounts").await;
        sql(&world.options, &format!("UPDATE accounts SET {change} WHERE participant_id = 'alice'")).await;
        assert_eq!(violations(None).await, all, "{change}");
        assert_eq!(violations(Some("alice")).await, own, "{change}");
        assert_eq!(violations(Some("bob")).await, (None, 0, 0), "{change}: nobody else's");
        let back = "UPDATE accounts a SET debits_pending = k.debits_pending, debits_posted = k.debits_posted FROM kept k WHERE k.id = a.id";
        sql(&world.options, back).await;
    }
}

#[tokio::test]
async fn traces_are_forgotten_when_they_are_old() {
    let world = World::new().await;
    let paid = payment(write(&world.book(1), command(world.pay_bank("untraced", 100))).await);
    assert_eq!(number(&world.options, "SELECT count(*) FROM payment_traces").await, 0, "few are sampled");
    let old = Uuid::try_parse("01000000-0000-7000-8000-000000000000").unwrap();
    for id in [old, paid.id.uuid()] {
        let row = format!("INSERT INTO payment_traces VALUES ('{id}', '4bf92f3577b34da6a3ce929d0e0e4736')");
        sql(&world.options, &row).await;
    }
    assert_eq!(world.store.forget_traces(Duration::from_secs(3600), 10).await.unwrap(), 1);
    assert_eq!(world.store.forget_traces(Duration::from_secs(3600), 10).await.unwrap(), 0);
    let told = world.store.story(&paid).await.unwrap();
    assert_eq!(
        told.trace.map(|trace| trace.simple().to_string()).as_deref(),
        Some("4bf92f3577b34da6a3ce929d0e0e4736")
    );
}
