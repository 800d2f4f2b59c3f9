//! Events on their way to a real NATS server: all of them, in order for each payment, however often they are sent.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use async_nats::{ConnectOptions, jetstream::stream::Config};
use clap::Parser;
use common::{id::PaymentId, settings::Problems};
use harness::{
    certificates::Certificates,
    nats::{self, Nats, Operator, Reader, Stored},
    postgres::own_folder,
};
use nkeys::KeyPair;
use platform::{
    broker::{Broker, BrokerArgs, BrokerError},
    flow::{
        book::Book,
        broker::{NotPublished, Publisher},
        publish,
    },
};

use uuid::Uuid;

use crate::{
    bench::{World, accepted, all, command, payment, rejected, submission, write},
    databases::{number, sql},
};

const DAY: Duration = Duration::from_secs(86_400);
const STREAM: &str = "RIALTO";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    broker: BrokerArgs,
}

/// The broker of these settings.
fn broker(flags: &[String]) -> Result<Broker, String> {
    let line = Line::parse_from(std::iter::once("platform".to_owned()).chain(flags.iter().cloned()));
    let mut problems = Problems::new();
    let broker = line.broker.check(Some(30 * DAY), &mut problems);
    problems.finish(|| broker).map_err(|error| error.to_string())
}

fn plain(nats: &Nats) -> Vec<String> {
    vec![format!("--broker=nats://{}", nats.address()), "--insecure-broker".to_owned()]
}

/// A server, who reads it, and one who publishes to it from now on.
async fn bench(world: &World, settings: &str) -> (Nats, Reader, Publisher) {
    let nats = Nats::start(own_folder("nats").unwrap(), settings).await.unwrap();
    let reader = Reader::connect(&nats, ConnectOptions::new()).await.unwrap();
    let mut publisher = another(world, &nats);
    publish::place(&world.store).await.unwrap();
    assert!(publisher.step().await.unwrap(), "it begins with what comes");
    assert!(!publisher.step().await.unwrap());
    (nats, reader, publisher)
}

/// Another platform on the same ledger and broker.
fn another(world: &World, nats: &Nats) -> Publisher {
    Publisher::new(world.store.clone(), broker(&plain(nats)).unwrap())
}

/// A payment to a bank, of two steps.
async fn pay(world: &World, book: &Book, name: &str) -> PaymentId {
    let made = submission(write(book, command(world.pay_bank(name, 1))).await);
    write(book, world.conclude_known(&made, accepted())).await;
    made.payment.id
}

async fn publish_all(world: &World, publisher: &mut Publisher) {
    publish::place(&world.store).await.unwrap();
    while publisher.step().await.unwrap() {}
}

fn id(payment: PaymentId, sequence: i32, participant: &str) -> String {
    format!("evt_{}_{sequence}/{participant}", payment.uuid().simple())
}

/// Each step of each payment once, and behind the one before it.
fn assert_in_order(stored: &[Stored], payments: usize) {
    let mut steps: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for one in stored {
        let payment = one.event["subject"].as_str().unwrap().to_owned();
        steps.entry(payment).or_default().push(one.event["data"]["payment"]["sequence"].as_i64().unwrap());
    }
    assert_eq!(steps.len(), payments);
    for (payment, steps) in steps {
        assert_eq!(steps, [1, 2], "{payment}");
    }
}

/// Lets the turn lapse.
async fn later(world: &World) {
    sql(
        &world.options,
        "UPDATE broker_published SET leased_until = now() - interval '1 second' WHERE holder IS NOT NULL",
    )
    .await;
}

#[tokio::test]
async fn both_sides_are_told_in_cloud_events() {
    let world = World::new().await;
    let book = world.book(1);
    write(&book, command(world.pay_on_us("before", world.bob, 1))).await;
    let (_nats, reader, mut publisher) = bench(&world, "").await;
    let arrived = payment(write(&book, command(world.pay_on_us("arrives", world.bob, 7))).await).id;
    let paid = pay(&world, &book, "to the bank").await;
    let refused = submission(write(&book, command(world.pay_bank("refused", 1))).await);
    write(&book, world.conclude_known(&refused, rejected())).await;
    publish_all(&world, &mut publisher).await;
    let refused = refused.payment.id;
    let stored = reader.stored(STREAM).await.unwrap();
    let mut found: Vec<(&str, &str)> =
        stored.iter().map(|one| (one.id.as_str(), one.subject.as_str())).collect();
    found.sort();
    let mut expected = [
        (id(arrived, 1, "alice"), "rialto.payments.alice.succeeded"),
        (id(arrived, 1, "bob"), "rialto.payments.bob.succeeded"),
        (id(paid, 1, "alice"), "rialto.payments.alice.submitted"),
        (id(paid, 2, "alice"), "rialto.payments.alice.succeeded"),
        (id(refused, 1, "alice"), "rialto.payments.alice.submitted"),
        (id(refused, 2, "alice"), "rialto.payments.alice.failed"),
    ];
    expected.sort();
    assert_eq!(found, expected.each_ref().map(|(id, subject)| (id.as_str(), *subject)));

    let of = |participant: &str| {
        let wanted = id(arrived, 1, participant);
        stored.iter().find(|one| one.id == wanted).unwrap()
    };
    let (alices, bobs) = (of("alice"), of("bob"));
    assert_eq!(alices.content_type, "application/cloudevents+json; charset=utf-8");
    let event = &alices.event;
    // CloudEvents 1.0.2, section 3: these four, and nothing but lower-case letters and digits in names.
    assert_eq!((&event["specversion"], &event["type"]), (&"1.0".into(), &"payment.succeeded".into()));
    assert_eq!((&event["id"], &event["source"]), (&event["data"]["id"], &"/participants/alice".into()));
    assert_eq!(
        (&event["subject"], &event["datacontenttype"]),
        (&arrived.to_string().into(), &"application/json".into())
    );
    assert_eq!(event["time"], event["data"]["payment"]["update_time"]);
    let is_name = |name: &String| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    assert!(event.as_object().unwrap().keys().all(is_name), "{event}");
    // What webhooks say of it, side by side.
    assert_eq!(
        (&event["data"]["side"], &event["data"]["payment"]["request_id"]),
        (&"PAYER".into(), &"arrives".into())
    );
    let payee = &bobs.event["data"];
    assert_eq!((&payee["side"], &payee["payment"]["amount"]["minor_units"]), (&"PAYEE".into(), &7.into()));
    for hidden in ["request_id", "payer_account", "metadata"] {
        assert!(payee["payment"][hidden].is_null(), "{hidden}");
    }
}

#[tokio::test]
async fn a_broker_that_is_down_misses_nothing() {
    let world = World::new().await;
    let book = world.book(1);
    let (mut nats, _, mut publisher) = bench(&world, "").await;
    for number in 0..5 {
        pay(&world, &book, &format!("before {number}")).await;
    }
    publish_all(&world, &mut publisher).await;
    nats.kill().unwrap();
    for number in 0..20 {
        pay(&world, &book, &format!("meanwhile {number}")).await;
    }
    publish::place(&world.store).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(publisher.step().await, Err(NotPublished::Broker(_))), "nobody is there");
    }
    let figures = world.store.figures().await.unwrap();
    let lag = figures.told.broker.unwrap();
    assert!((lag.events, lag.missed) == (40, 0) && lag.oldest_ms > 0, "{lag:?}");
    nats.restart().await.unwrap();
    publish_all(&world, &mut publisher).await;
    let reader = Reader::connect(&nats, ConnectOptions::new()).await.unwrap();
    assert_in_order(&reader.stored(STREAM).await.unwrap(), 25);
    let lag = world.store.figures().await.unwrap().told.broker.unwrap();
    assert_eq!((lag.events, lag.oldest_ms), (0, 0));
    world.assert_balanced().await;
}

/// As if a platform were killed when the broker has its events and the database does not know it yet.
#[tokio::test]
async fn what_is_sent_twice_is_stored_once() {
    let world = World::new().await;
    let book = world.book(1);
    let (nats, reader, mut publisher) = bench(&world, "").await;
    for number in 0..10 {
        pay(&world, &book, &format!("payment {number}")).await;
    }
    publish::place(&world.store).await.unwrap();
    let fail =
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''killed''; END';
        CREATE TRIGGER fails BEFORE UPDATE OF up_to ON broker_published FOR EACH ROW EXECUTE FUNCTION fail()";
    sql(&world.options, fail).await;
    assert!(matches!(publisher.step().await, Err(NotPublished::Store(_))));
    sql(&world.options, "DROP TRIGGER fails ON broker_published").await;
    let first = reader.stored(STREAM).await.unwrap();
    assert_in_order(&first, 10);
    let mut next = another(&world, &nats);
    assert!(!next.step().await.unwrap());
    let (up_to, last) = world.store.published().await.unwrap().unwrap();
    assert_eq!(last - up_to, 20, "it is not its turn yet");
    later(&world).await;
    pay(&world, &book, "one more").await;
    publish_all(&world, &mut next).await;
    let stored = reader.stored(STREAM).await.unwrap();
    assert_eq!(stored[..20], first[..]);
    assert_in_order(&stored, 11);
    // Whoever had the turn before can't move what is published back, nor claim what it did not do.
    assert!(!publisher.step().await.unwrap());
    let behind = number(
        &world.options,
        "SELECT up_to - (SELECT next_position - 1 FROM events_placed) FROM broker_published",
    )
    .await;
    assert_eq!(behind, 0);
}

#[tokio::test]
async fn who_slept_through_its_turn_moves_nothing() {
    let world = World::new().await;
    let book = world.book(1);
    world.store.begin_broker().await.unwrap();
    pay(&world, &book, "somebody's").await;
    publish::place(&world.store).await.unwrap();
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let minute = Duration::from_secs(60);
    let take = async |who| world.store.take_broker_turn(who, minute).await.unwrap();
    let slept = take(one).await.unwrap();
    assert_eq!(take(one).await, Some(slept), "it keeps its turn");
    assert_eq!(take(other).await, None);
    later(&world).await;
    let next = take(other).await.unwrap();
    assert!(!world.store.end_broker_turn(slept, slept.behind + 1, 1).await.unwrap(), "not its turn any more");
    assert!(world.store.end_broker_turn(next, next.behind + 2, 0).await.unwrap());
    assert!(!world.store.end_broker_turn(next, next.behind + 1, 0).await.unwrap(), "it was ended");
    assert_eq!(number(&world.options, "SELECT missed FROM broker_published").await, 0);
    // Who ends gives its turn back at once; nobody gives back another's.
    world.store.give_broker_turn(one).await.unwrap();
    assert_eq!(take(one).await, None);
    world.store.give_broker_turn(other).await.unwrap();
    assert!(take(one).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn platforms_share_the_work() {
    let world = World::new().await;
    let book = world.book(2);
    let (nats, reader, publisher) = bench(&world, "").await;
    let publishing =
        [publisher, another(&world, &nats), another(&world, &nats)].map(async |mut publisher: Publisher| {
            for round in 0..150 {
                publish::place(&world.store).await.unwrap();
                publisher.step().await.unwrap();
                if round % 10 == 0 {
                    later(&world).await;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    let paying = all((0..60).map(async |number| pay(&world, &book, &format!("payment {number}")).await));
    tokio::join!(all(publishing), paying);
    later(&world).await;
    publish_all(&world, &mut another(&world, &nats)).await;
    assert_in_order(&reader.stored(STREAM).await.unwrap(), 60);
    world.assert_balanced().await;
}

/// A step that the broker does not take must not be overtaken by the payment's next one.
#[tokio::test]
async fn no_step_comes_before_the_one_that_the_broker_lacks() {
    let world = World::new().await;
    let book = world.book(1);
    let refuse = r#"authorization { users: [
        { user: "reader", password: "r" },
        { user: "picky", password: "p", permissions: { publish: { allow: [">"], deny: ["*.*.*.submitted"] } } } ] }
        no_auth_user: "picky"
        "#;
    let (_nats, reader, mut publisher) = bench(&world, refuse).await;
    pay(&world, &book, "two steps").await;
    publish::place(&world.store).await.unwrap();
    assert!(matches!(publisher.step().await, Err(NotPublished::Broker(BrokerError::NotTaken { .. }))));
    assert_eq!(reader.stored(STREAM).await.unwrap(), []);
}

#[tokio::test]
async fn what_was_forgotten_before_it_was_published_is_counted() {
    let world = World::new().await;
    let book = world.book(1);
    let (_nats, reader, mut publisher) = bench(&world, "").await;
    for number in 0..3 {
        pay(&world, &book, &format!("old {number}")).await;
    }
    publish::place(&world.store).await.unwrap();
    let age = "ALTER TABLE event_log DISABLE TRIGGER event_log_placed_once;
        UPDATE event_log SET placed_at = placed_at - interval '2 days';
        ALTER TABLE event_log ENABLE TRIGGER event_log_placed_once;
        UPDATE webhooks_queued SET up_to = (SELECT next_position - 1 FROM events_placed)";
    sql(&world.options, age).await;
    // Some of what waits, and then all of it.
    assert!(world.store.forget_events(DAY, 4).await.unwrap() > 0);
    publish_all(&world, &mut publisher).await;
    let (missed, told) = ("SELECT missed FROM broker_published", reader.stored(STREAM).await.unwrap().len());
    let first = number(&world.options, missed).await;
    assert_eq!((first > 0, first + i64::try_from(told).unwrap()), (true, 6));
    pay(&world, &book, "old as well").await;
    publish::place(&world.store).await.unwrap();
    sql(&world.options, age).await;
    while world.store.forget_events(DAY, 100).await.unwrap() > 0 {}
    assert_eq!(number(&world.options, "SELECT count(*) FROM event_log").await, 0);
    publish_all(&world, &mut publisher).await;
    assert_eq!(number(&world.options, missed).await, first + 2);
    // And then it goes on.
    let new = pay(&world, &book, "new").await;
    publish_all(&world, &mut publisher).await;
    let stored = reader.stored(STREAM).await.unwrap();
    assert_eq!(stored.len(), told + 2);
    assert_eq!(stored[told].id, id(new, 1, "alice"));
    assert_eq!(number(&world.options, missed).await, first + 2);
}

#[tokio::test]
async fn a_stream_is_made_or_must_serve() {
    let nats = Nats::start(own_folder("nats").unwrap(), "").await.unwrap();
    let reader = Reader::connect(&nats, ConnectOptions::new()).await.unwrap();
    let with = |stream: &str| [plain(&nats), vec![format!("--broker-stream={stream}")]].concat();
    broker(&with("MADE")).unwrap().connect().await.unwrap();
    let made = reader.stream("MADE").await.unwrap().config;
    assert_eq!(made.subjects, ["rialto.payments.>"]);
    assert_eq!((made.max_age, made.duplicate_window), (30 * DAY, Duration::from_secs(120)));
    reader.context().delete_stream("MADE").await.unwrap();
    let minute = Duration::from_secs(60);
    for (name, subjects, duplicate_window, complaint) in [
        ("OTHER", "orders.>", 2 * minute, "rialto.payments.>"),
        ("SHORT", "rialto.payments.>", minute / 2, "duplicate_window"),
        ("GOOD", "rialto.payments.>", minute, ""),
    ] {
        let config = Config {
            name: name.to_owned(),
            subjects: vec![subjects.to_owned()],
            duplicate_window,
            ..Config::default()
        };
        reader.context().create_stream(config).await.unwrap();
        let found = broker(&with(name)).unwrap().connect().await;
        assert_eq!(found.is_err(), !complaint.is_empty(), "{name}: {found:?}");
        if let Err(error) = found {
            assert!(error.to_string().contains(complaint), "{error}");
        }
        reader.context().delete_stream(name).await.unwrap();
    }
}

/// A file that holds this text.
fn file(name: &str, text: &str) -> PathBuf {
    let file = own_folder("broker").unwrap().join(name);
    std::fs::write(&file, text).unwrap();
    file
}

#[tokio::test]
async fn only_a_known_broker_is_spoken_to_and_it_only_lets_in_who_it_knows() {
    let certificates = Certificates::make(&own_folder("certificates").unwrap(), [].into_iter()).unwrap();
    let user = KeyPair::new_user();
    let operator = Operator::default();
    let known = format!("authorization {{ users: [ {{ nkey: {} }} ] }}\n", user.public_key());
    let flags = |nats: &Nats, ca: &str, credentials: Option<PathBuf>| {
        let address = nats.address().to_owned();
        let (broker, ca) =
            (format!("--broker=tls://{address}"), format!("--broker-ca={}", certificates.file(ca).display()));
        let credentials = credentials.map(|file| format!("--broker-credentials-file={}", file.display()));
        [broker, ca].into_iter().chain(credentials).collect::<Vec<_>>()
    };
    for (settings, good, bad) in [
        (known, user.seed().unwrap(), KeyPair::new_user().seed().unwrap()),
        (
            operator.settings().unwrap(),
            operator.credentials().unwrap(),
            Operator::default().credentials().unwrap(),
        ),
    ] {
        let settings = settings + &nats::tls(&certificates, "public");
        let nats = Nats::start(own_folder("nats").unwrap(), &settings).await.unwrap();
        let good = file("good", &good);
        let connect = async |ca: &str, credentials: Option<PathBuf>| {
            broker(&flags(&nats, ca, credentials)).unwrap().connect().await
        };
        connect("ca", Some(good.clone())).await.unwrap();
        for (what, refused) in [
            ("another CA", connect("peer-ca", Some(good.clone())).await),
            ("other credentials", connect("ca", Some(file("bad", &bad))).await),
            ("no credentials", connect("ca", None).await),
        ] {
            assert!(matches!(refused, Err(BrokerError::NotConnected(_))), "{what}: {refused:?}");
        }
        // Credentials are replaced while the platform runs.
        let replaced = file("replaced", &bad);
        let known = broker(&flags(&nats, "ca", Some(replaced.clone()))).unwrap();
        known.connect().await.unwrap_err();
        std::fs::copy(&good, &replaced).unwrap();
        known.connect().await.unwrap();
    }
    // Nobody is told in plaintext who asks for it.
    let nats = Nats::start(own_folder("nats").unwrap(), "").await.unwrap();
    let refused = broker(&flags(&nats, "ca", None)).unwrap().connect().await;
    assert!(matches!(refused, Err(BrokerError::NotConnected(_))), "{refused:?}");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let seed = file("seed", "SUcanary");
    for (flags, complaint) in [
        (vec!["--broker=nats://127.0.0.1:1"], "--insecure-broker"),
        (vec!["--broker=tls://127.0.0.1:1,nats://127.0.0.1:1"], "--insecure-broker"),
        (vec!["--broker=tls://127.0.0.1:1", "--insecure-broker"], "keep one"),
        (vec!["--broker=nats://u:canary@127.0.0.1:1", "--insecure-broker"], "--broker-credentials-file"),
        (vec!["--broker=nats://canary@127.0.0.1:1", "--insecure-broker"], "--broker-credentials-file"),
        (vec!["--broker=ws://127.0.0.1:1"], "tls://nats:4222"),
        (vec!["--broker="], "tls://nats:4222"),
        (vec!["--broker=nats://127.0.0.1:1", "--insecure-broker", "--broker-ca=/no/such"], "--broker-ca"),
        (vec!["--broker-ca=/no/such"], "there is no --broker"),
        (vec!["--broker=tls://a:1", "--broker-stream=a.b"], "--broker-stream"),
        (vec!["--broker=tls://a:1", "--broker-subject-prefix=a..b"], "--broker-subject-prefix"),
        (vec!["--broker=tls://a:1", "--broker-subject-prefix=a.*"], "--broker-subject-prefix"),
        (vec!["--broker=tls://a:1", &format!("--broker-credentials-file={}", seed.display())], "NKey"),
    ] {
        let flags: Vec<String> = flags.into_iter().map(str::to_owned).collect();
        let problem = broker(&flags).unwrap_err();
        assert!(problem.contains(complaint) && !problem.contains("canary"), "{flags:?}: {problem}");
    }
}
