//! Encryption: what tells of people is read with its key, for its row, and in no other way; keys are made once and replaced without a stop.

use std::{fs, path::PathBuf, time::Duration};

use common::{audit::hex, id::PaymentId};
use harness::{data_keys, postgres::own_folder};
use platform::{
    config,
    domain::payment::State,
    encryption::{Keyring, contents::OfPayment, number_of, wrapping::WrappingKeys},
    flow::{book::NotWritten, seal},
    store::{Store, StoreError, data_keys::DataKeyError},
};
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use crate::{
    bench::{
        BOB_IBAN, World, all, command, data_key, payment, submission, try_open, try_write, unlocked, write,
    },
    databases::{connect, database, number, sql, wait_until},
};

/// A change by hand, as the owner, of a ledger whose payments nobody keeps from changing.
async fn tamper(options: &PgConnectOptions, change: &str) {
    sql(options, &format!("SET session_replication_role = replica; {change}")).await;
}

fn corrupt<T>(found: Result<T, StoreError>, column: &str) -> bool {
    matches!(found, Err(StoreError::Corrupt(what)) if what == column)
}

#[tokio::test]
async fn what_was_changed_moved_or_encrypted_otherwise_is_never_shown() {
    let world = World::new().await;
    let book = world.book(1);
    let good = payment(write(&book, command(world.pay_on_us("good", world.bob, 1))).await);
    let bad = payment(write(&book, command(world.pay_on_us("bad", world.bob, 1_000_000))).await);
    assert_eq!(bad.state, State::Failed);
    let id = bad.id.uuid();
    let mut other = Keyring::default();
    assert!(other.add(1, &[7; 32]));
    let forged =
        other.encrypt_payment(id, &OfPayment { payee_name: "Mallory".to_owned(), ..OfPayment::default() });
    let forged = format!("personal = '\\x{}'", hex(&forged.unwrap()));
    let from_another = "personal = (SELECT o.personal FROM payments o WHERE o.request_id = 'good')";
    for (column, change) in [
        ("payments.personal", from_another),
        ("payments.personal", "personal = set_bit(personal, 20, 1 - get_bit(personal, 20))"),
        ("payments.personal", "personal = substr(personal, 1, length(personal) - 1)"),
        ("payments.personal", "personal = ''"),
        ("payments.personal", "personal = '\\x63' || substr(personal, 2)"),
        ("payments.personal", &forged),
        ("payments.reason_message", "reason_message = personal"),
        // What is encrypted says the account here, and the row that the payee is at a bank.
        ("payments.payee_account", "payee_account = NULL, payee_bank_id = 'aurora'"),
    ] {
        let before = "CREATE TABLE kept AS SELECT * FROM payments WHERE request_id = 'bad'";
        tamper(&world.options, &format!("{before}; UPDATE payments SET {change} WHERE request_id = 'bad'"))
            .await;
        assert!(corrupt(world.store.payment("alice", bad.id).await, column), "{change}");
        assert!(corrupt(world.store.payment_by_request("alice", "bad").await, column), "{change}");
        assert!(
            corrupt(world.store.payments("alice", &Default::default(), None, 10).await, column),
            "{change}"
        );
        // A repeat is refused without a word of what stands there.
        let again = try_write(&book, command(world.pay_on_us("bad", world.bob, 1_000_000))).await;
        assert_eq!(again, Err(NotWritten::Defect), "{change}");
        assert_eq!(world.store.payment("alice", good.id).await.unwrap().as_ref(), Some(&good));
        let back = "DELETE FROM payments WHERE request_id = 'bad'; INSERT INTO payments SELECT * FROM kept; DROP TABLE kept";
        tamper(&world.options, back).await;
        assert_eq!(world.store.payment("alice", bad.id).await.unwrap().as_ref(), Some(&bad));
    }
}

#[tokio::test]
async fn an_accounts_name_and_iban_are_its_own() {
    let world = World::new().await;
    let taken = try_open(&world.store, "alice", "another", Some(BOB_IBAN)).await.unwrap_err();
    assert_eq!(taken.constraint(), Some("accounts_iban_is_unique"));
    // A copy is made of what nobody is connected to.
    world.store.pool().close().await;
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'NAME' AND application_name = 'rialto-platform'";
    let server = crate::databases::server().await.options("postgres");
    wait_until(&server, &connected.replace("NAME", world.options.get_database().unwrap()), |count| {
        count == 0
    })
    .await;
    for (column, change) in [
        ("accounts.personal", "personal = (SELECT b.personal FROM accounts b WHERE b.request_id = 'Bob')"),
        ("accounts.personal", "personal = set_bit(personal, 20, 1 - get_bit(personal, 20))"),
        // Who took Bob's hash would be paid what is paid to Bob's IBAN.
        ("accounts.iban_hash", "iban_hash = (SELECT b.iban_hash FROM accounts b WHERE b.request_id = 'Bob')"),
    ] {
        let options = database(world.options.get_database()).await;
        let copy = World::at(options, &world).await;
        let free = "ALTER TABLE accounts DROP CONSTRAINT accounts_iban_is_unique";
        tamper(&copy.options, &format!("{free}; UPDATE accounts SET {change} WHERE request_id = 'Alice'"))
            .await;
        assert!(corrupt(copy.store.account("alice", world.alice).await, column), "{change}");
        assert!(corrupt(copy.store.accounts("alice", None, 10).await, column), "{change}");
        let paid = try_write(&copy.book(1), command(copy.pay_on_us("paid", copy.bob, 1))).await;
        assert_eq!(paid, Err(NotWritten::Defect), "{change}");
        assert!(copy.store.account("bob", world.bob).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_payment_that_cannot_be_read_keeps_no_other_from_being_worked_on() {
    let world = World::new().await;
    let book = world.book(1);
    for request in ["one", "two", "three"] {
        submission(write(&book, command(world.pay_bank(request, 1))).await);
    }
    tamper(&world.options, "UPDATE payments SET personal = '\\x01' WHERE request_id = 'two'").await;
    tamper(&world.options, "UPDATE first_leases SET ends_at = now()").await;
    let claimed = world.claim_due(10, Duration::from_secs(60)).await.unwrap();
    let claimed: Vec<&str> = claimed.iter().map(|claimed| claimed.payment.request_id.as_str()).collect();
    assert_eq!(claimed, ["one", "three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn platforms_that_start_at_once_on_an_empty_ledger_have_the_same_keys() {
    let options = database(None).await;
    let stores = all((0..8).map(|_| unlocked(&options, 1))).await;
    assert_eq!(number(&options, "SELECT count(*) FROM data_keys").await, 2);
    let id = Uuid::from_u128(42);
    for one in &stores {
        let encrypted = one.keys().current().encrypt_payment(id, &OfPayment::default()).unwrap();
        let hash = one.keys().lookup().unwrap().iban_hash(BOB_IBAN);
        for other in &stores {
            assert!(other.keys().current().decrypt_payment(id, &encrypted).is_ok());
            assert_eq!(other.keys().lookup().unwrap().iban_hash(BOB_IBAN), hash);
        }
    }
}

#[tokio::test]
async fn a_new_data_key_encrypts_what_follows_and_platforms_that_have_not_heard_of_it_look_it_up() {
    let world = World::new().await;
    let other = unlocked(&world.options, 2).await;
    let before = payment(write(&world.book(1), command(world.pay_on_us("before", world.bob, 1))).await);
    assert_eq!(world.store.rotate_data_key().await.unwrap(), 2);
    let book = world.book(1);
    let after = payment(write(&book, command(world.pay_on_us("after", world.bob, 1))).await);
    write(&book, command(world.pay_bank("queued", 1))).await;
    try_open(&world.store, "alice", "another", None).await.unwrap();
    let mut connection = connect(&world.options).await;
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT request_id, personal FROM payments UNION ALL SELECT request_id, personal FROM accounts WHERE request_id IS NOT NULL",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for (request, personal) in rows {
        let number = if ["after", "queued", "another"].contains(&request.as_str()) { 2 } else { 1 };
        assert_eq!(number_of(&personal), Some(number), "{request}");
    }
    assert!(!other.keys().current().has(2), "it has not heard of it");
    assert_eq!(other.payment("alice", after.id).await.unwrap(), Some(after.clone()));
    assert!(other.keys().current().has(2));
    assert_eq!(other.payment("alice", before.id).await.unwrap(), Some(before));
    // Each way to meet a row, for somebody who has not heard.
    let deaf = async || unlocked(&world.options, 2).await;
    for number in 3..8 {
        let deaf = deaf().await;
        world.store.rotate_data_key().await.unwrap();
        let request = format!("key {number}");
        let made = write(&world.book(1), command(world.pay_bank(&request, 1))).await;
        let opened = try_open(&world.store, "alice", &format!("account {number}"), None).await.unwrap();
        assert!(!deaf.keys().current().has(number));
        match number {
            3 => assert_eq!(deaf.payments("alice", &Default::default(), None, 1).await.unwrap().len(), 1),
            4 => assert!(deaf.account("alice", opened).await.unwrap().is_some()),
            5 => {
                sql(&world.options, "UPDATE first_leases SET ends_at = now()").await;
                deaf.end_first_leases(100).await.unwrap();
                let work = platform::domain::payment::Work::Enquire;
                let claimed =
                    deaf.claim_due(Some("aurora"), work, 100, Duration::from_secs(1)).await.unwrap();
                assert!(claimed.iter().any(|claimed| claimed.payment.request_id == request));
            }
            6 => {
                let repeated = command(world.pay_bank(&request, 1));
                let found = payment(write(&crate::bench::book_on(&deaf, 1), repeated).await);
                assert_eq!(found.id, submission(made).payment.id);
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(2)).await;
                assert!(seal::round(&deaf, Duration::ZERO, || true).await.unwrap() > 0);
            }
        }
        assert!(deaf.keys().current().has(number));
    }
    world.assert_balanced().await;
}

#[tokio::test]
async fn running_platforms_hear_of_new_keys_by_themselves() {
    let world = World::new().await;
    let following = tokio::spawn(unlocked(&world.options, 1).await.follow_data_keys());
    let (file, new) = (folder().join("keys"), new_key());
    fs::copy(data_key(), &file).unwrap();
    let other = data_keys::unlocked(world.options.clone(), 1, &file).await.unwrap();
    let others = tokio::spawn(other.clone().follow_data_keys());
    world.store.rotate_data_key().await.unwrap();
    harness::wait::until("it has heard", Duration::from_secs(10), || async {
        other.keys().current().has(2).then_some(())
    })
    .await
    .unwrap();
    fs::write(&file, format!("{new}{}", fs::read_to_string(data_key()).unwrap())).unwrap();
    let old = "SELECT count(*) FROM data_keys WHERE wrapped_by = (SELECT min(wrapped_by) FROM data_keys)";
    let ids = "SELECT count(DISTINCT wrapped_by) FROM data_keys";
    let first: String = wrapped_by(&world.options).await;
    wait_until(
        &world.options,
        &format!("SELECT count(*) FROM data_keys WHERE wrapped_by <> '{first}'"),
        |n| n == 3,
    )
    .await;
    assert_eq!((number(&world.options, old).await, number(&world.options, ids).await), (3, 1));
    following.abort();
    others.abort();
}

async fn wrapped_by(options: &PgConnectOptions) -> String {
    let mut connection = connect(options).await;
    sqlx::query_scalar("SELECT wrapped_by FROM data_keys WHERE number = 0")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

fn folder() -> PathBuf {
    own_folder("encryption").unwrap()
}

fn new_key() -> String {
    WrappingKeys::new_file().unwrap()
}

/// A platform starts with this file.
async fn start(options: &PgConnectOptions, text: &str) -> Result<Store, DataKeyError> {
    let file = folder().join("keys");
    fs::write(&file, text).unwrap();
    let store = Store::new(options.clone(), 1);
    store.unlock(config::wrapping_keys(file).unwrap()).await.map(|()| store)
}

#[tokio::test]
async fn key_encryption_keys_are_replaced_and_whoever_has_none_that_fits_does_not_start() {
    let world = World::new().await;
    let made = payment(write(&world.book(1), command(world.pay_on_us("paid", world.bob, 1))).await);
    let (old, new, strange) = (fs::read_to_string(data_key()).unwrap(), new_key(), new_key());
    let reads = async |text: &str| {
        let store = start(&world.options, text).await?;
        Ok::<_, DataKeyError>(store.payment("alice", made.id).await.unwrap().as_ref() == Some(&made))
    };
    let was = wrapped_by(&world.options).await;
    let refused = start(&world.options, &strange).await.unwrap_err().to_string();
    assert!(
        refused.contains(&was) && refused.contains("data key 0") && refused.contains("add that key's line")
    );
    assert!(!refused.contains(strange.trim()) && !refused.contains(old.trim()), "{refused}");
    assert!(reads(&format!("{old}{new}")).await.unwrap(), "the new key is known before it is used");
    assert_eq!(wrapped_by(&world.options).await, was);
    assert!(reads(&format!("{new}{old}")).await.unwrap());
    assert_ne!(wrapped_by(&world.options).await, was, "wrapped anew");
    assert!(reads(&new).await.unwrap(), "the old key may go");
    assert!(matches!(reads(&old).await, Err(DataKeyError::NotUnwrapped { number: 0, .. })));
    // Who has them already goes on.
    assert_eq!(world.store.payment("alice", made.id).await.unwrap(), Some(made.clone()));
    let damaged =
        "UPDATE data_keys SET wrapped = set_bit(wrapped, 7, 1 - get_bit(wrapped, 7)) WHERE number = 1";
    sql(&world.options, damaged).await;
    assert!(matches!(reads(&new).await, Err(DataKeyError::NotUnwrapped { number: 1, .. })));
}

#[tokio::test]
async fn a_ledger_that_lost_its_data_keys_is_given_no_others() {
    let world = World::new().await;
    tamper(&world.options, "DELETE FROM data_keys").await;
    let text = fs::read_to_string(data_key()).unwrap();
    assert!(matches!(start(&world.options, &text).await, Err(DataKeyError::Lost)));
    assert_eq!(number(&world.options, "SELECT count(*) FROM data_keys").await, 0);
}

#[tokio::test]
async fn a_store_without_keys_reads_and_writes_nothing_of_people() {
    let world = World::new().await;
    let made = payment(write(&world.book(1), command(world.pay_on_us("paid", world.bob, 1))).await);
    let locked = Store::new(world.options.clone(), 1);
    assert!(matches!(locked.payment("alice", made.id).await, Err(StoreError::NoDataKey)));
    assert!(matches!(try_open(&locked, "alice", "another", None).await, Err(StoreError::NoDataKey)));
    assert!(matches!(locked.payment("alice", PaymentId::from_uuid(Uuid::nil())).await, Ok(None)));
}

#[tokio::test]
async fn a_leaf_says_what_is_encrypted_with_a_salt_and_outlives_the_keys() {
    let world = World::new().await;
    let book = world.book(1);
    for request in ["one", "two"] {
        write(&book, command(world.pay_on_us(request, world.bob, 1))).await;
    }
    let seal_all = async || {
        tokio::time::sleep(Duration::from_millis(2)).await;
        seal::round(&world.store, Duration::ZERO, || true).await
    };
    seal_all().await.unwrap();
    world.store.rotate_data_key().await.unwrap();
    write(&world.book(1), command(world.pay_on_us("three", world.bob, 1))).await;
    seal_all().await.unwrap();
    let found = platform::audit_check::AuditCheck::take(&world.store, None, |_| {}).await.unwrap();
    assert!(found.is_ok(), "{found}");
    let mut salts = Vec::new();
    let mut at = 0;
    while let Some(seal) = world.store.seal_with_leaf(at).await.unwrap() {
        for leaf in world.store.leaves_of(&seal).await.unwrap() {
            let facts: serde_json::Value = serde_json::from_str(&leaf.text).unwrap();
            if facts["kind"] == "PAYMENT" {
                assert_eq!(facts["payee_name"], "Päivi Œuvre 🦆");
                assert_eq!(facts["metadata"]["order"], "\"7\" \\ \u{1}");
                salts.push(facts["salt"].as_str().unwrap().to_owned());
            }
        }
        at = seal.log.size();
    }
    salts.sort_unstable();
    salts.dedup();
    assert_eq!(salts.len(), 3);
    assert!(salts.iter().all(|salt| salt.len() == 32));
    // What nobody can read is not taken up, and what was taken up and is changed is found.
    write(&world.book(1), command(world.pay_on_us("four", world.bob, 1))).await;
    tamper(&world.options, "UPDATE payments SET personal = '\\x0101' WHERE request_id = 'four'").await;
    assert!(corrupt(seal_all().await, "payments.personal"));
}
