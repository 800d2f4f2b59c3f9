//! The audit log: everything that was decided is in it once, in an order that never changes, and whatever is changed is found.

use std::time::Duration;

use common::{
    audit::merkle::{self, Hash},
    id::ApiKeyId,
    order::LimitRules,
    role::Role,
    verification_key::VerificationKey,
};
use platform::{
    audit::proofs::{self, NoProof},
    audit_check::AuditCheck,
    domain::{deposit::DepositState, ledger::Ruling},
    flow::seal,
    store::api_keys::{ApiKey, Made, NewApiKey},
};
use sqlx::Connection;
use uuid::Uuid;

use crate::{
    bench::{World, accepted, command, deposit, payment, rejected, submission, write},
    databases::{connect, database, number, sql},
    identity::by_ada,
    life::payment_row,
    verdicts::{contradictory, resolve},
    webhooks::endpoint,
};

/// How many leaves there are to seal.
const ROWS: &str = "SELECT count(*) FROM audit_rows";

impl World {
    /// Ada makes an API key with a role.
    async fn api_key(&self, participant: &str, role: &str) {
        let (id, by) = (ApiKeyId::new(&self.clock), by_ada());
        let record = ApiKey {
            id,
            participant: participant.to_owned(),
            roles: Role::named(role).into_iter().collect(),
            label: "web shop".to_owned(),
            credential: id.to_string(),
            replaces: None,
            request_id: id.to_string(),
            fingerprint: [0; 16],
            created_at: by.at,
            expires_at: None,
            revoked_at: None,
            verification_key: VerificationKey::read(&[7; 32]).ok(),
        };
        let new = NewApiKey { record, hash: [7; 32], replaced_ends_at: None };
        assert!(matches!(self.store.make_api_key(&new, &by).await.unwrap(), Made::Now(_)));
    }

    /// Seals all that there is; returns how many leaves.
    async fn seal_all(&self) -> u64 {
        // What was made in this millisecond is sealed with the next.
        tokio::time::sleep(Duration::from_millis(2)).await;
        seal::round(&self.store, Duration::ZERO, || true).await.unwrap()
    }

    async fn check(&self) -> AuditCheck {
        AuditCheck::take(&self.store, None, |_| {}).await.unwrap()
    }

    async fn size_and_root(&self) -> (u64, Hash) {
        let log = self.store.last_seal().await.unwrap().expect("a seal").log;
        (log.size(), log.root())
    }
}

/// Payments in many a state, sealed when some of them have not come to their end.
async fn sealed_world() -> World {
    let world = World::new().await;
    let book = world.book(1);
    world.paid(&book, "paid").await;
    world.asked(&book, "asked").await;
    write(&book, command(world.pay_on_us("on us", world.bob, 5))).await;
    let sent = submission(write(&book, command(world.pay_bank("sent", 10))).await);
    let taken = world.authorize("taken", false).await;
    world.seal_all().await;
    write(&book, world.conclude_known(&sent, rejected())).await;
    let part = write(&book, world.capture("part", taken.id, Some(60))).await;
    world.end_of(&book, part).await;
    write(&book, world.cancel(&payment_row(&world, taken.id).await)).await;
    world.authorize("open", true).await;
    world.limit(world.alice, LimitRules::default()).await;
    endpoint(&world, "alice", "https://alice.example/", &[]).await;
    world.store.create_participant("some-shop", &by_ada()).await.unwrap();
    world.api_key("some-shop", "operator").await;
    world.store.disable_participant("some-shop", &by_ada()).await.unwrap();
    let odd = submission(write(&book, command(world.pay_bank("odd", 10))).await);
    write(&book, world.conclude_known(&odd, contradictory())).await;
    for (by, succeeded) in [("ada", true), ("ada", false), ("bea", false)] {
        write(&book, resolve(&world, &odd.payment, by, succeeded, "letter 1")).await;
    }
    let proposed = deposit(write(&book, world.deposit("alice", "no", world.alice, 7)).await);
    let reason = "no such line".to_owned();
    write(&book, world.decide(&proposed, Ruling::Reject { by: "bea".to_owned(), reason })).await;
    let proposed =
        deposit(write(&book, world.deposit_for("alice", "nobody", world.alice, 7, Duration::ZERO)).await);
    let lapsed = deposit(write(&book, world.decide(&proposed, Ruling::Lapse)).await);
    assert_eq!(lapsed.state(), DepositState::Lapsed);
    world.seal_all().await;
    world
}

#[tokio::test]
async fn everything_that_was_decided_is_sealed_once_whenever_it_happened() {
    let world = World::new().await;
    let book = world.book(1);
    let sent = submission(write(&book, command(world.pay_bank("sent", 10))).await);
    let first = world.seal_all().await;
    assert_eq!(i64::try_from(first).unwrap(), number(&world.options, ROWS).await);
    assert_eq!(first, 3 + 2 + 2 + 1, "accounts, deposits, what was decided on them, a step");
    assert_eq!(world.seal_all().await, 0);
    let kept = world.size_and_root().await;

    write(&book, world.conclude_known(&sent, accepted())).await;
    world.paid(&book, "paid").await;
    assert_eq!(world.seal_all().await, 1 + 2, "the late step, and the new payment");
    assert_eq!(world.seal_all().await, 0);
    assert_eq!(number(&world.options, "SELECT count(*) FROM audit_unfinished").await, 0);
    let found = AuditCheck::take(&world.store, Some(kept), |_| {}).await.unwrap();
    assert!(found.is_ok() && found.size == 11 && found.leaves == 11, "{found}");
}

#[tokio::test]
async fn many_payments_make_many_seals_and_every_proof_holds() {
    let world = World::new().await;
    let book = world.book(1);
    for number in 0..1_300 {
        write(&book, command(world.pay_on_us(&format!("{number}"), world.bob, 1))).await;
        if number == 700 {
            world.seal_all().await;
        }
    }
    world.seal_all().await;
    assert!(number(&world.options, "SELECT count(*) FROM audit_seals").await >= 4);
    let found = world.check().await;
    assert!(found.is_ok(), "{found}");
    let (size, root) = world.size_and_root().await;
    assert_eq!(size, 1_307);
    let leaf = async |leaf: u64| {
        let seal = world.store.seal_with_leaf(leaf).await.unwrap().unwrap();
        let leaves = world.store.leaves_of(&seal).await.unwrap();
        leaves[usize::try_from(leaf - seal.first_leaf).unwrap()].hash()
    };
    for number in [0, 1, 255, 256, 511, 512, 700, 1_279, 1_280, 1_306] {
        let proof = proofs::inclusion(&world.store, number, size).await.unwrap();
        assert_eq!(
            merkle::root_of_inclusion(number, size, leaf(number).await, &proof),
            Some(root),
            "{number}"
        );
    }
    let mut log = merkle::Frontier::default();
    for number in 0..700 {
        if [1, 2, 255, 256, 257, 512, 699].contains(&log.size()) {
            let old = log.size();
            let proof = proofs::consistency(&world.store, old, size).await.unwrap();
            assert!(merkle::is_consistent(old, &log.root(), size, &root, &proof), "{old}");
        }
        log.push(leaf(number).await, |_, _| {});
    }
    let none = proofs::inclusion(&world.store, size, size).await;
    assert!(matches!(none, Err(NoProof::NoSuchSize)), "{none:?}");
}

/// What is done to the ledger by its owner, and part of what is said of it.
const CHANGES: [(&str, &str); 49] = [
    ("SELECT", ""),
    ("UPDATE payments SET amount = amount + 1 WHERE request_id = 'paid'", "was changed"),
    ("UPDATE payments SET personal = personal || 'x' WHERE request_id = 'sent'", "was changed"),
    (
        "UPDATE payments SET personal = (SELECT o.personal FROM payments o WHERE o.request_id = 'paid') WHERE request_id = 'on us'",
        "was changed",
    ),
    (
        "UPDATE payments SET personal = set_bit(personal, 99, 1 - get_bit(personal, 99)) WHERE request_id = 'paid'",
        "was changed",
    ),
    ("UPDATE payments SET credit_account = payer_account WHERE request_id = 'part'", "was changed"),
    ("UPDATE payments SET participant_id = 'bob' WHERE request_id = 'open'", "was changed"),
    ("UPDATE payments SET uetr = gen_random_uuid() WHERE request_id = 'taken'", "was changed"),
    ("UPDATE payments SET bank_message_id = 'x' WHERE id = <paid>", "was changed"),
    (
        "UPDATE payments SET updated_at = updated_at + interval '1 microsecond' WHERE id = <sent>",
        "was changed",
    ),
    ("UPDATE payments SET reason_code = 'X' WHERE id = <sent>", "was changed"),
    (
        "UPDATE payment_events SET reason_code = NULL WHERE payment_id = <asked> AND sequence = 2",
        "was changed",
    ),
    (
        "UPDATE payments SET first_valid_until = first_valid_until + interval '1 microsecond' WHERE id = <paid>",
        "was changed",
    ),
    ("UPDATE payments SET first_valid_until = NULL WHERE id = <paid>", "rows are there"),
    (
        "INSERT INTO payment_events SELECT * FROM current_payment_events WHERE payment_id = <paid> AND sequence = 1",
        "rows are there",
    ),
    ("DELETE FROM payment_events WHERE payment_id = <asked>", "rows are there"),
    ("DELETE FROM payments WHERE request_id = 'on us'", "rows are there"),
    (
        "INSERT INTO payment_events (payment_id, created_at, sequence, state, bank_message_id)
      VALUES (<on us>, now(), 2, 'FAILED', '')",
        "rows are there",
    ),
    ("UPDATE deposits SET amount = amount + 1 WHERE participant_id = 'alice'", "was changed"),
    ("DELETE FROM deposits WHERE participant_id = 'bob'", "rows are there"),
    ("UPDATE limit_changes SET by_credential = 'eve'", "was changed"),
    ("UPDATE limit_changes SET max_unsigned_payment = 1", "was changed"),
    ("DELETE FROM limit_changes", "rows are there"),
    ("UPDATE deposits SET proposed_by = 'cleo' WHERE participant_id = 'bob'", "was changed"),
    ("UPDATE deposits SET decided_by = 'cleo' WHERE participant_id = 'bob'", "was changed"),
    (
        "UPDATE deposits SET decided_at = decided_at - interval '1 microsecond' WHERE request_id = 'no'",
        "was changed",
    ),
    ("UPDATE deposits SET reject_reason = 'mistyped' WHERE request_id = 'no'", "was changed"),
    ("UPDATE deposits SET state = 'BOOKED', reject_reason = NULL WHERE request_id = 'no'", "was changed"),
    (
        "UPDATE deposits SET expires_at = expires_at + interval '1 day' WHERE participant_id = 'bob'",
        "was changed",
    ),
    (
        "UPDATE deposits SET state = 'PENDING_APPROVAL', decision_id = NULL, decided_at = NULL WHERE request_id = 'nobody'",
        "rows are there",
    ),
    ("UPDATE identity_acts SET by_credential = 'bea' WHERE act = 'CREATE_API_KEY'", "was changed"),
    ("UPDATE identity_acts SET act = 'ENABLE_PARTICIPANT' WHERE act = 'DISABLE_PARTICIPANT'", "was changed"),
    ("DELETE FROM identity_acts WHERE act = 'DISABLE_PARTICIPANT'", "rows are there"),
    ("UPDATE webhook_acts SET by_credential = 'eve'", "was changed"),
    ("UPDATE webhook_acts SET url_hash = gen_random_uuid()", "was changed"),
    ("DELETE FROM webhook_acts", "rows are there"),
    ("UPDATE resolution_acts SET by_credential = 'cleo' WHERE is_approval", "was changed"),
    ("UPDATE resolution_acts SET succeeded = false WHERE succeeded", "was changed"),
    ("UPDATE resolution_acts SET evidence_reference = 'letter 2' WHERE is_approval", "was changed"),
    ("DELETE FROM resolution_acts WHERE succeeded", "rows are there"),
    ("UPDATE api_keys SET roles = '{operator,payer-app}'", "was changed"),
    ("UPDATE api_keys SET hash = sha256(hash)", "was changed"),
    ("UPDATE api_keys SET credential = 'ada'", "was changed"),
    ("UPDATE api_keys SET verification_key = sha256(verification_key)", "was changed"),
    ("UPDATE api_keys SET verification_key = NULL", "was changed"),
    ("UPDATE accounts SET may_overdraw = true WHERE participant_id = 'alice'", "was changed"),
    (
        "UPDATE audit_seals SET peaks = set_byte(peaks, 3, get_byte(peaks, 3) # 1) WHERE first_leaf = 0",
        "was changed",
    ),
    ("DELETE FROM audit_seals WHERE first_leaf = 0", "a seal is missing behind leaf 0"),
    ("DELETE FROM audit_seals WHERE first_leaf > 0", "once, and has"),
];

#[tokio::test]
async fn every_single_change_of_what_is_sealed_is_found() {
    let world = sealed_world().await;
    let kept = world.size_and_root().await;
    let mut connection = connect(&world.options).await;
    let rows: Vec<(String, Uuid)> =
        sqlx::query_as("SELECT request_id, id FROM payments").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let name = world.options.get_database().map(str::to_owned);
    world.store.pool().close().await;
    for (change, says) in CHANGES {
        let fill = |text: String, (name, id): &(String, Uuid)| {
            text.replace(&format!("<{name}>"), &format!("'{id}'::uuid"))
        };
        let change = rows.iter().fold(change.to_owned(), fill);
        let copy = World::at(database(name.as_deref()).await, &world).await;
        sql(&copy.options, &format!("SET session_replication_role = replica; {change}")).await;
        let found = AuditCheck::take(&copy.store, Some(kept), |_| {}).await.unwrap();
        assert_eq!(found.is_ok(), says.is_empty(), "{change}\n{found}");
        assert!(
            says.is_empty() || found.to_string().contains(says),
            "{change}\ndoes not say {says}:\n{found}"
        );
    }
}

#[tokio::test]
async fn a_node_that_is_not_what_its_leaves_make_is_found() {
    let world = World::new().await;
    let book = world.book(1);
    for number in 0..260 {
        write(&book, command(world.pay_on_us(&format!("{number}"), world.bob, 1))).await;
    }
    world.seal_all().await;
    assert!(world.check().await.is_ok());
    let spoil = "SET session_replication_role = replica; UPDATE audit_nodes SET hash = sha256(hash)";
    sql(&world.options, spoil).await;
    let found = world.check().await;
    assert!(found.to_string().contains("node 0 of level 8"), "{found}");
}

#[tokio::test]
async fn nothing_comes_to_be_below_what_is_sealed() {
    let world = World::new().await;
    let book = world.book(1);
    let late = world.pay_bank("late", 10);
    tokio::time::sleep(Duration::from_millis(2)).await;
    world.limit(world.alice, LimitRules::default()).await;
    endpoint(&world, "alice", "https://alice.example/", &[]).await;
    world.seal_all().await;
    assert!(book.write(command(late), common::trace::TraceParent::unsampled()).await.is_err());
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 0);
    write(&book, command(world.pay_bank("in time", 10))).await;
    let mut connection = connect(&world.options).await;
    for (table, row) in [
        (
            "accounts",
            "SELECT (r).* FROM (SELECT jsonb_populate_record(a, jsonb_build_object('id', <old>, 'request_id', 'x')) AS r \
            FROM accounts a WHERE request_id = 'Alice') AS made",
        ),
        (
            "deposits",
            "SELECT (r).* FROM (SELECT jsonb_populate_record(d, jsonb_build_object('id', <old>, 'request_id', 'x', \
            'state', 'PENDING_APPROVAL', 'decision_id', NULL, 'decided_by', NULL, 'decided_at', NULL)) AS r \
            FROM deposits d LIMIT 1) AS made",
        ),
        ("alarms", "SELECT <old>, 'X', id, '', now() FROM payments"),
        ("limit_changes", "SELECT <old>, subject, 1, 1, 1, 1, 1, 1, 'alice', 'ada', now() FROM limits"),
        (
            "webhook_acts",
            "SELECT <old>, id, 'UPDATE', url_hash, states, false, 'alice', 'ada', now() FROM webhook_endpoints",
        ),
        ("resolution_acts", "SELECT <old>, id, false, true, 'letter', 'ada', now() FROM payments"),
        (
            "identity_acts (id, act, participant_id, by_participant, by_credential, created_at)",
            "SELECT <old>, 'DISABLE_PARTICIPANT', id, 'house', 'ada', now() FROM participants WHERE id = 'alice'",
        ),
    ] {
        let insert = |old: &str| format!("INSERT INTO {table} {}", row.replace("<old>", old));
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(insert("first_id(now() - interval '1 minute')")));
        let refused = refused.execute(&mut connection).await.unwrap_err().to_string();
        assert!(refused.contains("is sealed"), "{table}: {refused}");
        let taken = insert("first_id(now() + interval '1 minute')");
        sqlx::raw_sql(sqlx::AssertSqlSafe(taken)).execute(&mut connection).await.expect(table);
    }
    // What is decided on a deposit has a number of its own.
    let decide = |number: &str| {
        format!(
            "UPDATE deposits SET state = 'REJECTED', decision_id = {number}, decided_by = 'bea', decided_at = now(), \
             reject_reason = 'x' WHERE request_id = 'x'"
        )
    };
    let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(decide("first_id(now() - interval '1 minute')")));
    let refused = refused.execute(&mut connection).await.unwrap_err().to_string();
    assert!(refused.contains("is sealed"), "{refused}");
    let taken = sqlx::raw_sql(sqlx::AssertSqlSafe(decide("first_id(now() + interval '1 minute')")));
    taken.execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn what_began_before_the_horizon_is_waited_for_and_sealed() {
    let world = World::new().await;
    let mut writer = connect(&world.options).await;
    let mut writing = writer.begin().await.unwrap();
    let insert = "INSERT INTO accounts SELECT (r).* FROM (SELECT jsonb_populate_record(a, jsonb_build_object( \
        'id', first_id(now()), 'request_id', 'slow', 'iban_hash', NULL)) AS r FROM accounts a \
        WHERE request_id = 'Alice') AS made";
    sqlx::raw_sql(insert).execute(&mut *writing).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let sealing = world.seal_all();
    let committing = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(
            number(&world.options, "SELECT count(*) FROM audit_seals").await,
            0,
            "it was not waited for"
        );
        writing.commit().await.unwrap();
    };
    let (sealed, ()) = tokio::join!(sealing, committing);
    assert_eq!(sealed, 3 + 4 + 1);
    let found = world.check().await;
    assert!(found.is_ok(), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_platforms_seal_while_payments_go_on_and_nothing_is_left_out_or_doubled() {
    let world = World::new().await;
    let books = [world.book(2), world.book(1)];
    let paying = async |book: usize| {
        for number in 0..120 {
            let request = format!("{book} {number}");
            let made = write(&books[book], command(world.pay_bank(&request, 1))).await;
            if number % 3 > 0 {
                write(&books[book], world.conclude_known(&submission(made), accepted())).await;
            }
        }
    };
    // Longer than a commit takes on a busy machine: what is late is refused.
    let lag = Duration::from_secs(1);
    let paid = tokio::sync::watch::channel(false);
    let sealing = async || {
        while !*paid.1.borrow() {
            seal::round(&world.store, lag, || true).await.unwrap();
        }
    };
    let all_paid = async {
        tokio::join!(paying(0), paying(1));
        paid.0.send(true).unwrap();
    };
    tokio::join!(all_paid, sealing(), sealing());
    world.seal_all().await;
    let found = world.check().await;
    assert!(found.is_ok(), "{found}");
    assert_eq!(i64::try_from(found.size).unwrap(), number(&world.options, ROWS).await);
    assert_eq!(found.size, 7 + 240 + 160);
    assert_eq!(number(&world.options, "SELECT count(*) FROM audit_unfinished").await, 80);
}

#[tokio::test]
async fn what_leaves_for_the_archive_stays_provable_until_it_is_taken_out() {
    let world = World::new().await;
    let book = world.book(1);
    let old = world.paid_long_ago(&book, "old").await;
    world.paid(&book, "paid").await;
    world.seal_all().await;
    let kept = world.size_and_root().await;
    assert_eq!(world.archive().await, 2);
    let found = AuditCheck::take(&world.store, Some(kept), |_| {}).await.unwrap();
    assert!(found.is_ok() && found.leaves == 7 + 1 + 2, "{found}");
    // One comes back, and goes on being what it was.
    payment(write(&book, world.refund("bob", "back", old.id, Some(40))).await);
    world.seal_all().await;
    assert!(world.check().await.is_ok(), "{}", world.check().await);
    assert!(world.archive().await > 0);
    sql(&world.options, "SELECT take_out('2020-02-01')").await;
    let found = AuditCheck::take(&world.store, Some(kept), |_| {}).await.unwrap();
    assert!(found.taken_out > 0, "{found}");
    let gone = proofs::inclusion(&world.store, 0, kept.0).await;
    assert!(matches!(gone, Err(NoProof::TakenOut)), "{gone:?}");
}
