//! What the schema refuses of API keys, participants and the record of acts, whoever asks.

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{clock::Clock, id::ActId, verification_key::VerificationKey};
use platform::store::{
    Store,
    acts::{By, Callers, Lookout},
};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{bench::World, databases::connect};

/// The SQLSTATE with which a statement is refused; nothing is kept of it.
async fn sqlstate(connection: &mut PgConnection, text: &str) -> Option<String> {
    use sqlx::Connection;
    let mut transaction = connection.begin().await.unwrap();
    let result = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    result.err().map(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
}

const REFUSED_BY_TRIGGER: &str = "23000";
const CHECK_VIOLATED: &str = "23514";
const NOT_ALLOWED: &str = "42501";

#[tokio::test]
async fn what_an_api_key_is_never_changes_and_it_only_ends() {
    let world = World::new().await;
    let by = by_ada();
    world.store.create_participant("some-shop", &by).await.unwrap();
    let mut owner = connect(&world.options).await;
    let mut platform = connect(&world.options).await;
    sqlx::raw_sql("SET ROLE rialto_platform").execute(&mut platform).await.unwrap();
    let insert = |hash: &str, roles: &str| {
        format!(
            "INSERT INTO api_keys (id, participant_id, hash, roles, label, credential, requested_by, request_id,
               request_fingerprint, created_at, expires_at)
             VALUES (gen_random_uuid(), 'some-shop', {hash}, '{roles}', 'x', 'ada', 'house', gen_random_uuid()::text,
               gen_random_uuid(), now(), now() + interval '1 day')"
        )
    };
    let hash = "sha256(gen_random_uuid()::text::bytea)";
    for (hash, roles) in [("'short'", "{operator}"), (hash, "{}"), (hash, "{king}")] {
        let refused = sqlstate(&mut platform, &insert(hash, roles)).await;
        assert_eq!(refused.as_deref(), Some(CHECK_VIOLATED), "{hash} {roles}");
    }
    for _ in 0..2 {
        sqlx::raw_sql(AssertSqlSafe(insert(hash, "{operator}"))).execute(&mut platform).await.unwrap();
    }
    let ends = "UPDATE api_keys SET revoked_at = now() WHERE id = (SELECT min(id::text)::uuid FROM api_keys)";
    sqlx::raw_sql(ends).execute(&mut platform).await.unwrap();

    for (statement, of_owner, of_platform) in [
        ("UPDATE api_keys SET hash = hash", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("UPDATE api_keys SET roles = roles", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("UPDATE api_keys SET verification_key = NULL", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("UPDATE api_keys SET participant_id = 'rialto-house'", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("UPDATE api_keys SET credential = 'bea'", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("UPDATE api_keys SET revoked_at = NULL", REFUSED_BY_TRIGGER, REFUSED_BY_TRIGGER),
        (
            "UPDATE api_keys SET revoked_at = 'now' WHERE revoked_at IS NOT NULL",
            REFUSED_BY_TRIGGER,
            REFUSED_BY_TRIGGER,
        ),
        ("UPDATE api_keys SET expires_at = NULL", REFUSED_BY_TRIGGER, REFUSED_BY_TRIGGER),
        (
            "UPDATE api_keys SET expires_at = expires_at + interval '1 s'",
            REFUSED_BY_TRIGGER,
            REFUSED_BY_TRIGGER,
        ),
        ("DELETE FROM api_keys WHERE false", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("TRUNCATE api_keys CASCADE", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("UPDATE identity_acts SET by_credential = 'bea'", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("DELETE FROM identity_acts WHERE false", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("TRUNCATE identity_acts CASCADE", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("UPDATE participants SET id = 'other-shop' WHERE id = 'some-shop'", REFUSED_BY_TRIGGER, NOT_ALLOWED),
        ("DELETE FROM participants WHERE false", REFUSED_BY_TRIGGER, NOT_ALLOWED),
    ] {
        assert_eq!(sqlstate(&mut owner, statement).await.as_deref(), Some(of_owner), "owner: {statement}");
        assert_eq!(sqlstate(&mut platform, statement).await.as_deref(), Some(of_platform), "{statement}");
    }
    // Only an act moves the count by which platforms notice changes.
    let count = "UPDATE installation SET acts = acts + 1";
    assert_eq!(sqlstate(&mut platform, count).await.as_deref(), Some(NOT_ALLOWED));
    let sooner = "UPDATE api_keys SET expires_at = expires_at - interval '1 s'";
    assert_eq!(sqlstate(&mut platform, sooner).await, None);
}

/// Only what no gateway can believe any more is forgotten, and a nonce is claimed once.
#[tokio::test]
async fn a_nonce_is_claimed_once_until_no_signature_with_it_is_believed() {
    let world = World::new().await;
    let keys = [7, 8].map(|byte| VerificationKey::read(&[byte; 32]).unwrap());
    let nonces = ["0".repeat(16), "1".repeat(128)];
    for key in &keys {
        for nonce in &nonces {
            assert!(world.store.claim_nonce(key, nonce).await.unwrap());
            assert!(!world.store.claim_nonce(key, nonce).await.unwrap());
        }
    }
    let race = "2".repeat(16);
    let won = AtomicUsize::new(0);
    let all = (0..8).map(|_| async {
        let claimed = world.store.claim_nonce(&keys[0], &race).await.unwrap();
        won.fetch_add(usize::from(claimed), Ordering::Relaxed);
    });
    crate::bench::all(all).await;
    assert_eq!(won.into_inner(), 1);
    for bad in ["3".repeat(15), "3".repeat(129)] {
        assert!(world.store.claim_nonce(&keys[0], &bad).await.is_err());
    }

    let mut owner = connect(&world.options).await;
    let mut platform = connect(&world.options).await;
    sqlx::raw_sql("SET ROLE rialto_platform").execute(&mut platform).await.unwrap();
    for (statement, of_platform) in [
        ("UPDATE request_nonces SET claimed_at = claimed_at - interval '1 hour'", NOT_ALLOWED),
        ("TRUNCATE request_nonces", NOT_ALLOWED),
        ("DELETE FROM request_nonces", REFUSED_BY_TRIGGER),
    ] {
        assert_eq!(sqlstate(&mut owner, statement).await.as_deref(), Some(REFUSED_BY_TRIGGER), "{statement}");
        assert_eq!(sqlstate(&mut platform, statement).await.as_deref(), Some(of_platform), "{statement}");
    }
    assert_eq!(world.store.forget_nonces(100).await.unwrap(), 0);
    let older = |minutes: u32| {
        format!(
            "INSERT INTO request_nonces SELECT sha256(number::text::bytea), '{}', now() - interval '{minutes} min' \
             FROM generate_series(1, 3) number",
            minutes.to_string().repeat(8)
        )
    };
    for minutes in [29, 31] {
        sqlx::raw_sql(AssertSqlSafe(older(minutes))).execute(&mut owner).await.unwrap();
    }
    assert_eq!(world.store.forget_nonces(2).await.unwrap(), 2);
    assert_eq!(world.store.forget_nonces(100).await.unwrap(), 1);
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM request_nonces").fetch_one(&mut owner).await.unwrap();
    assert_eq!(left, 8, "five of now, three of 29 minutes ago");
}

/// Ada of the house does something.
pub fn by_ada() -> By<'static> {
    let act = ActId::new(&Clock::system());
    By { act, participant: "house", credential: "ada", at: std::time::UNIX_EPOCH }
}

async fn acts(store: &Store) -> Callers {
    Lookout::new(store.clone()).look(None, std::time::UNIX_EPOCH).await.unwrap().unwrap()
}

#[tokio::test]
async fn whoever_sees_the_count_of_acts_sees_every_act() {
    let world = World::new().await;
    let names: Vec<String> = (0..8).map(|number| format!("shop-{number}")).collect();
    let all = names.iter().map(|name| {
        let store = world.store.clone();
        async move {
            let by = by_ada();
            store.disable_participant(name, &by).await.unwrap();
            // What is counted is there: acts that are under way do not count.
            let seen = acts(&store).await;
            assert!(seen.disabled.len() >= usize::try_from(seen.acts).unwrap(), "{seen:?}");
            assert!(seen.disabled.contains(name));
        }
    });
    crate::bench::all(all).await;
    assert_eq!(acts(&world.store).await.acts, 8);
    let by = by_ada();
    world.store.disable_participant(&names[0], &by).await.unwrap();
    assert_eq!(acts(&world.store).await.acts, 8, "what changes nothing is no act");
    let mut owner = connect(&world.options).await;
    let numbers: Vec<i64> = sqlx::query_scalar("SELECT number FROM identity_acts ORDER BY number")
        .fetch_all(&mut owner)
        .await
        .unwrap();
    assert_eq!(numbers, (1..=8).collect::<Vec<i64>>());
}
