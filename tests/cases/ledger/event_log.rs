//! The log of events: nothing is missed, nothing comes twice, and each payment's steps come in their order, whoever commits and
//! whoever gives places.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{
    id::PaymentId,
    order::{BankKey, PayeeAccount},
};
use platform::{
    domain::statistics::Statistics,
    flow::{book::Book, publish, webhooks},
    store::{
        Store,
        event_log::LoggedEvent,
        statistics::{GroupBy, Window},
    },
    wire,
};
use sqlx::Connection;

use crate::{
    bench::{
        WAITING, World, accepted, all, command, inconclusive, never_sent, open, payment, rejected,
        submission, write,
    },
    databases::{connect, number, sql, wait_until},
};

/// The steps behind a place, to the end of the log.
async fn read_behind(store: &Store, position: i64) -> Vec<LoggedEvent> {
    let mut read = Vec::new();
    let mut behind = position;
    loop {
        let stretch = store.stretch_behind(behind, 7).await.unwrap();
        let Some(end) = stretch.end() else { return read };
        read.extend(store.events(&stretch, None).await.unwrap());
        behind = end;
    }
}

fn steps(events: &[LoggedEvent]) -> Vec<(PaymentId, i32)> {
    events.iter().map(|event| (event.payment.id, event.payment.sequence)).collect()
}

/// Whoever remembers the largest number that it has read misses the one whose commit comes later; whoever remembers a place does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_comes_late_is_not_missed() {
    let world = World::new().await;
    let books = [world.book(1), world.book(1)];
    let carol = open(&world.store, "carol", "Carol", None).await;
    world.book_deposit(&books[0], "carol", "hundred", carol, 100).await;
    let late = world.pay_on_us("late", world.bob, 1);
    // Its commit waits when it has its number and all of its locks.
    let mut holder = connect(&world.options).await;
    let mut held = holder.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(7)").execute(&mut *held).await.unwrap();
    let wait = format!(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END';
         CREATE TRIGGER waits AFTER INSERT ON event_log FOR EACH ROW WHEN (NEW.payments[1] = '{}') EXECUTE FUNCTION wait()",
        late.id.uuid(),
    );
    sql(&world.options, &wait).await;
    let late = {
        let (book, late) = (books[0].clone(), command(late));
        tokio::spawn(async move { payment(write(&book, late).await) })
    };
    wait_until(&world.options, WAITING, |waiting| waiting == 1).await;
    let bank = PayeeAccount::Number("123".to_owned(), BankKey::Id("aurora".to_owned()));
    let early = command(world.pay(("carol", carol), "early", bank, 1));
    let early = payment(write(&books[1], early).await).id;

    publish::place(&world.store).await.unwrap();
    let seen = read_behind(&world.store, 0).await;
    assert_eq!(steps(&seen), [(early, 1)]);
    let largest = number(&world.options, "SELECT max(number) FROM event_log").await;

    held.rollback().await.unwrap();
    let late = late.await.unwrap().id;
    publish::place(&world.store).await.unwrap();
    assert_eq!(steps(&read_behind(&world.store, seen[0].position).await), [(late, 1)]);
    let naive = format!("SELECT count(*) FROM event_log WHERE number > {largest}");
    assert_eq!(number(&world.options, &naive).await, 0, "who remembers numbers never hears of it");
    world.assert_balanced().await;
}

/// Payments of all kinds of ends, through one book.
async fn work(world: &World, book: &Book, name: &str) {
    for round in 0..6 {
        let pay = |number: usize| command(world.pay_bank(&format!("{name} {round} {number}"), 1));
        let made = all((0..12).map(|number| write(book, pay(number)))).await;
        let on_us = |number: i64| {
            command(world.pay_on_us(&format!("{name} us {round} {number}"), world.bob, 1 + number * 9_000))
        };
        let concluded = all(made.into_iter().enumerate().map(async |(number, made)| {
            let made = submission(made);
            let end = |evidence| write(book, world.conclude_known(&made, evidence));
            match number % 4 {
                0 => end(accepted()).await,
                1 => end(rejected()).await,
                2 => end(never_sent()).await,
                _ => end(inconclusive(Duration::ZERO)).await,
            }
        }));
        tokio::join!(concluded, all((0..4).map(|number| write(book, on_us(number)))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_is_read_once_in_its_order_while_many_write_and_many_give_places() {
    let world = Arc::new(World::new().await);
    let [is_written, is_over] = std::array::from_fn(|_| Arc::new(AtomicBool::new(false)));
    let placing: Vec<_> = (0..3)
        .map(|_| {
            let (store, is_written) = (world.store.clone(), Arc::clone(&is_written));
            tokio::spawn(async move {
                while !is_written.load(Ordering::Relaxed) {
                    publish::place(&store).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    let reading = {
        let (store, is_over) = (world.store.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut read: Vec<LoggedEvent> = Vec::new();
            loop {
                let was_over = is_over.load(Ordering::Relaxed);
                let behind = read.last().map_or(0, |last| last.position);
                read.extend(read_behind(&store, behind).await);
                if was_over {
                    return read;
                }
            }
        })
    };
    let books: Vec<Book> = (0..3).map(|_| world.book(2)).collect();
    all(books.iter().enumerate().map(|(number, book)| {
        let (world, name) = (&world, format!("book {number}"));
        async move {
            work(world, book, &name).await;
            // Somebody else goes on with what nobody knew the end of.
            for made in world.claim_due(100, Duration::from_secs(60)).await.unwrap() {
                write(book, world.conclude_known(&made, accepted())).await;
            }
        }
    }))
    .await;
    is_written.store(true, Ordering::Relaxed);
    for placing in placing {
        placing.await.unwrap();
    }
    // Nobody else is at it any more.
    publish::place(&world.store).await.unwrap();
    is_over.store(true, Ordering::Relaxed);
    let read = reading.await.unwrap();
    let mut known: BTreeMap<PaymentId, i32> = BTreeMap::new();
    for (place, event) in (1..).zip(&read) {
        assert_eq!(event.position, place, "no gap");
        let before = known.insert(event.payment.id, event.payment.sequence).unwrap_or_default();
        assert_eq!(event.payment.sequence, before + 1, "{}", event.payment.id);
    }
    let all = number(&world.options, "SELECT count(*) FROM current_payment_events").await;
    assert_eq!(usize::try_from(all), Ok(read.len()));
    let shown = read.iter().filter_map(|event| wire::event(event, "alice")).count();
    assert_eq!(shown, read.len(), "all are Alice's");
    world.assert_balanced().await;
}

#[tokio::test]
async fn an_event_is_the_same_whenever_it_is_read() {
    let world = World::new().await;
    let book = world.book(1);
    let made = submission(write(&book, command(world.pay_bank("rejected", 5))).await);
    publish::place(&world.store).await.unwrap();
    let first = read_behind(&world.store, 0).await;
    write(&book, world.conclude_known(&made, rejected())).await;
    let mut arrives = world.pay_on_us("arrives", world.bob, 7);
    // What only a payment from another bank may say to its payee.
    arrives.order.metadata.insert("debtor_name".to_owned(), "Mallory".to_owned());
    let arrived = payment(write(&book, command(arrives)).await);
    // Of what does not reach him Bob is not told.
    write(&book, command(world.pay_on_us("too much", world.bob, 1_000_000))).await;
    publish::place(&world.store).await.unwrap();
    let all = read_behind(&world.store, 0).await;
    let seen = |events: &[LoggedEvent], by: &str| -> Vec<_> {
        events.iter().filter_map(|event| wire::event(event, by)).collect()
    };
    let own = seen(&all, "alice");
    assert_eq!(own[..1], seen(&first, "alice"));
    let states: Vec<_> = own
        .iter()
        .map(|event| event.payment.as_ref().unwrap())
        .map(|payment| (payment.state().as_str_name(), payment.sequence))
        .collect();
    assert_eq!(
        states,
        [
            ("PAYMENT_STATE_SUBMITTED", 1),
            ("PAYMENT_STATE_FAILED", 2),
            ("PAYMENT_STATE_SUCCEEDED", 1),
            ("PAYMENT_STATE_FAILED", 1)
        ]
    );
    let reason = own[1].payment.as_ref().unwrap().reason.clone().unwrap();
    assert_eq!(
        (reason.code.as_str(), reason.iso_code.as_str(), reason.message.as_str()),
        ("REJECTED_BY_BANK", "AC04", "")
    );
    assert_eq!(own[2].id, format!("evt_{}_1", arrived.id.uuid().simple()));

    // Bob hears of what arrived, and nothing of what is Alice's business.
    let others = seen(&all, "bob");
    let [other] = others.as_slice() else { panic!("{others:?}") };
    assert_eq!((other.id.as_str(), other.side().as_str_name()), (own[2].id.as_str(), "PAYMENT_SIDE_PAYEE"));
    let (told, own_told) = (other.payment.clone().unwrap(), own[2].payment.clone().unwrap());
    assert!(told.request_id.is_empty() && told.payer_account.is_empty() && told.metadata.is_empty());
    assert_eq!(told.debtor, None, "a payer calls itself what it likes");
    let (request_id, payer_account) = (own_told.request_id.clone(), own_told.payer_account.clone());
    let metadata = own_told.metadata.clone();
    assert_eq!(own_told, proto::payments::Payment { request_id, payer_account, metadata, ..told });
    assert_eq!(seen(&all, "carol"), []);

    // Nor does it change when the payment is in the archive. Neither do figures.
    let hour = Duration::from_secs(3_600);
    let window = Window {
        start: world.clock.now() - hour,
        end: world.clock.now() + hour,
        participant: Some("alice".to_owned()),
        bank_id: None,
    };
    let figures = async || {
        let courses = world.store.courses(&window, GroupBy::Bank, 10).await.unwrap();
        Statistics::by_key(&courses)
    };
    let before = figures().await;
    assert_eq!(
        before.iter().map(|(key, own)| (key.as_str(), own.payments)).collect::<Vec<_>>(),
        [("", 2), ("aurora", 1)]
    );
    tokio::time::sleep(Duration::from_millis(5)).await;
    world.archive().await;
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 0);
    let archived = read_behind(&world.store, 0).await;
    assert_eq!((seen(&archived, "alice"), seen(&archived, "bob")), (own, others));
    assert_eq!(figures().await, before);
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_place_is_given_once_and_kept() {
    let world = World::new().await;
    let book = world.book(1);
    write(&book, command(world.pay_on_us("one", world.bob, 7))).await;
    let mut connection = connect(&world.options).await;
    let try_as = async |connection: &mut sqlx::PgConnection, statement: &'static str| {
        let mut transaction = connection.begin().await.unwrap();
        let done = sqlx::raw_sql(statement).execute(&mut *transaction).await;
        transaction.rollback().await.unwrap();
        done.map(|done| done.rows_affected()).map_err(|error| error.to_string())
    };
    // As the owner, whom no grant keeps from anything.
    let unplaced = [
        "UPDATE event_log SET payments = payments || payments",
        "UPDATE event_log SET sequences = '{2}'",
        "UPDATE event_log SET position = 1",
        "DELETE FROM event_log",
        "TRUNCATE event_log",
    ];
    for statement in unplaced {
        let refused = try_as(&mut connection, statement).await.expect_err(statement);
        assert!(
            refused.contains("is refused") || refused.contains("event_log_sound"),
            "{statement}: {refused}"
        );
    }
    publish::place(&world.store).await.unwrap();
    let placed = [
        "UPDATE event_log SET position = position + 1",
        "UPDATE event_log SET position = NULL, placed_at = NULL",
        "DELETE FROM event_log",
        "UPDATE events_placed SET next_position = next_position - 1",
        "INSERT INTO event_log (payments, sequences) VALUES ('{}', '{}')",
    ];
    for statement in placed {
        let refused = try_as(&mut connection, statement).await.expect_err(statement);
        assert!(
            refused.contains("is refused") || refused.contains("event_log_sound"),
            "{statement}: {refused}"
        );
    }
    // As the platform, which may neither say what a commit did nor where it stands before it has committed.
    sqlx::raw_sql("SET ROLE rialto_platform").execute(&mut connection).await.unwrap();
    for statement in [
        "INSERT INTO event_log (payments, sequences, position) VALUES ('{}', '{}', 5)",
        "UPDATE event_log SET payments = '{}'",
        "TRUNCATE event_log",
        "DELETE FROM events_placed",
    ] {
        let refused = try_as(&mut connection, statement).await.expect_err(statement);
        assert!(refused.contains("permission denied"), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn only_what_is_old_is_forgotten_and_what_follows_keeps_its_place() {
    let world = World::new().await;
    let book = world.book(1);
    for name in ["old 1", "old 2", "old 3"] {
        write(&book, command(world.pay_on_us(name, world.bob, 1))).await;
    }
    publish::place(&world.store).await.unwrap();
    webhooks::round(&world.store).await.unwrap();
    let before = read_behind(&world.store, 0).await;
    assert_eq!(world.store.forget_events(Duration::from_secs(3_600), 10).await.unwrap(), 0, "too young");
    let age = "ALTER TABLE event_log DISABLE TRIGGER event_log_placed_once;
        UPDATE event_log SET placed_at = placed_at - interval '2 days' WHERE position <= 2;
        ALTER TABLE event_log ENABLE TRIGGER event_log_placed_once";
    sql(&world.options, age).await;
    assert_eq!(world.store.forget_events(Duration::from_secs(3 * 86_400), 10).await.unwrap(), 0);
    assert_eq!(world.store.forget_events(Duration::from_secs(86_400), 1).await.unwrap(), 1);
    assert_eq!(world.store.forget_events(Duration::from_secs(86_400), 10).await.unwrap(), 1);
    assert_eq!(world.store.first_position().await.unwrap(), 2);
    assert_eq!(steps(&read_behind(&world.store, 2).await), steps(&before[2..]));
    world.assert_balanced().await;
    // Even when nothing is left, no place is given twice.
    sql(&world.options, &age.replace("position <= 2", "true")).await;
    assert_eq!(world.store.forget_events(Duration::from_secs(86_400), 10).await.unwrap(), 1);
    assert_eq!(
        (world.store.first_position().await.unwrap(), world.store.last_position().await.unwrap()),
        (3, 3)
    );
    write(&book, command(world.pay_on_us("new", world.bob, 1))).await;
    publish::place(&world.store).await.unwrap();
    let new = read_behind(&world.store, 3).await;
    assert_eq!(new.iter().map(|event| event.position).collect::<Vec<_>>(), [4]);
    world.assert_balanced().await;
}
