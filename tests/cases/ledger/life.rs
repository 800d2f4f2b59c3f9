//! The life of a payment on a real ledger: captured, cancelled, expired, refunded, resolved, and put right when the bank
//! speaks late; each under the races that break other systems.

use std::time::Duration;

use common::id::{AccountId, AlarmId, PaymentId};
use platform::domain::{
    ledger::{
        Cancel, Capture, Command, Compensation, Conclude, Declined, Expire, Finding, NoRoute, Outcome,
        Refund, Request, Resolve, Submit, TransferIds, Witness,
    },
    payment::{Evidence, MAX_FRUITLESS, Payment, State, Work},
};
use uuid::Uuid;

use crate::bench::{
    World, accepted, all, command, eur, inconclusive, number, payment, rejected, submission, write,
};

impl World {
    /// Alice authorizes 100 to an account at the bank, or to Bob.
    pub async fn authorize(&self, request: &str, on_us: bool) -> Payment {
        let mut pay = match on_us {
            true => self.pay_on_us(request, self.bob, 100),
            false => self.pay_bank(request, 100),
        };
        pay.order.capture = common::order::Capture::Manual(None);
        let authorized = payment(write(&self.book(1), command(pay)).await);
        assert_eq!(authorized.state, State::Authorized);
        authorized
    }

    fn request(&self, participant: &str, request: &str) -> Request {
        Request { participant: participant.to_owned(), request_id: request.to_owned(), fingerprint: [7; 32] }
    }

    /// Alice captures (part of) an authorization.
    pub fn capture(&self, request: &str, payment: PaymentId, amount: Option<i64>) -> Command {
        let bank = self.pay_bank("route", 1).bank;
        Command::Capture(Box::new(Capture {
            id: PaymentId::new(&self.clock),
            uetr: Uuid::new_v4(),
            request: self.request("alice", request),
            payment,
            amount: amount.map(eur),
            bank,
            transfers: TransferIds::new(&self.clock),
        }))
    }

    fn cancel(&self, payment: &Payment) -> Command {
        Command::Cancel(Box::new(Cancel {
            participant: "alice".to_owned(),
            payment: payment.id,
            original: payment.original,
            transfers: TransferIds::new(&self.clock),
        }))
    }

    /// `participant` asks for (part of) a payment back.
    pub fn refund(
        &self,
        participant: &str,
        request: &str,
        payment: PaymentId,
        amount: Option<i64>,
    ) -> Command {
        let bank = self.pay_bank("route", 1).bank;
        Command::Refund(Box::new(Refund {
            id: PaymentId::new(&self.clock),
            uetr: Uuid::new_v4(),
            request: self.request(participant, request),
            payment,
            amount: amount.map(eur),
            remittance_information: String::new(),
            bank,
        }))
    }

    fn said(&self, payment: &Payment, witness: Witness, evidence: Evidence, suspense: AccountId) -> Command {
        Command::Conclude(Box::new(Conclude {
            payment: payment.id,
            original: payment.original,
            witness,
            evidence,
            transfers: TransferIds::new(&self.clock),
            alarm: AlarmId::new(&self.clock),
            compensation: Some(Compensation {
                suspense_account: suspense,
                payment: PaymentId::new(&self.clock),
                uetr: Uuid::new_v4(),
                bank_id: "aurora".to_owned(),
            }),
        }))
    }

    async fn suspense(&self) -> AccountId {
        let (id, currency) = (AccountId::new(&self.clock), eur(1).currency());
        let named = ("aurora", "Banca Aurora");
        self.store.house_account(id, named, currency, true, self.clock.now()).await.unwrap()
    }

    async fn state(&self, payment: PaymentId) -> State {
        self.store.any_payment(payment).await.unwrap().unwrap().state
    }
}

fn done(outcomes: &[Outcome]) -> usize {
    let made = |outcome: &&Outcome| matches!(outcome, Outcome::Submitted(_) | Outcome::Payment(_));
    outcomes.iter().filter(made).count()
}

#[tokio::test]
async fn captures_never_exceed_what_was_authorized() {
    let world = World::new().await;
    for on_us in [false, true] {
        let authorized = world.authorize(&format!("authorized-{on_us}"), on_us).await;
        let books = [world.book(1), world.book(1)];
        let captures = (0..64).map(|nth| {
            let capture = world.capture(&format!("c-{on_us}-{nth}"), authorized.id, Some(30));
            write(&books[nth % 2], capture)
        });
        let outcomes = all(captures).await;
        assert_eq!(done(&outcomes), 3, "three times 30 of 100");
        let refused = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Declined(Declined::CaptureExceedsAuthorized(10))));
        assert!(refused.count() >= 60);
        world.assert_balanced().await;
        let last =
            payment(write(&books[0], world.capture(&format!("last-{on_us}"), authorized.id, None)).await);
        assert_eq!(last.amount, eur(10));
        world.assert_balanced().await;
        let then = world.state(authorized.id).await;
        assert_eq!(then, if on_us { State::Succeeded } else { State::Authorized });
        // The request id of the last capture is used up, for another authorization as well.
        let other = world.authorize(&format!("other-{on_us}"), false).await;
        let reused = write(&books[0], world.capture(&last.request_id, other.id, None)).await;
        assert_eq!(payment_of_replay(reused), last.id);
    }
}

fn payment_of_replay(outcome: Outcome) -> PaymentId {
    match outcome {
        Outcome::Replayed(payment) => payment.id,
        other => panic!("not replayed: {other:?}"),
    }
}

async fn payment_row(world: &World, id: PaymentId) -> Payment {
    world.store.any_payment(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_capture_that_fails_gives_its_part_back() {
    let world = World::new().await;
    let book = world.book(1);
    let authorized = world.authorize("authorized", false).await;
    let made = submission(write(&book, world.capture("c1", authorized.id, Some(60))).await);
    let suspense = world.suspense().await;
    let lease = Witness::Lease(made.lease.token);
    write(&book, world.said(&made.payment, lease, rejected(), suspense)).await;
    let sums = payment_row(&world, authorized.id).await.authorization.unwrap();
    assert_eq!((sums.held, sums.capturing, sums.captured), (100, 0, 0));
    world.assert_balanced().await;
    // Cancelled while a capture is under way: the rest is released now, the capture's part when it has failed.
    let made = submission(write(&book, world.capture("c2", authorized.id, Some(60))).await);
    write(&book, world.cancel(&authorized)).await;
    assert_eq!(world.alice().await, (9_940, 60));
    assert_eq!(world.state(authorized.id).await, State::Authorized);
    let lease = Witness::Lease(made.lease.token);
    write(&book, world.said(&made.payment, lease, rejected(), suspense)).await;
    assert_eq!(world.alice().await, (10_000, 0));
    assert_eq!(world.state(authorized.id).await, State::Cancelled);
    world.assert_balanced().await;
}

#[tokio::test]
async fn of_capture_cancel_and_expiry_at_once_one_has_each_minor_unit() {
    let world = World::new().await;
    let books = [world.book(1), world.book(1), world.book(1)];
    for round in 0..20 {
        let authorized = world.authorize(&format!("authorized-{round}"), round % 2 == 0).await;
        let expired = "UPDATE dispatches SET due_at = now() WHERE work = 'EXPIRE'";
        crate::bench::sql(&world.options, expired).await;
        let due = world.store.claim_due(None, Work::Expire, 10, Duration::from_secs(60)).await.unwrap();
        let expire = due.iter().filter(|due| due.payment.id == authorized.id).map(|due| {
            Command::Expire(Box::new(Expire {
                payment: authorized.id,
                token: due.lease.token,
                transfers: TransferIds::new(&world.clock),
            }))
        });
        let commands =
            [world.capture(&format!("c-{round}"), authorized.id, Some(70)), world.cancel(&authorized)];
        let commands: Vec<_> = commands.into_iter().chain(expire).collect();
        assert_eq!(commands.len(), 3);
        all(commands.into_iter().zip(&books).map(|(command, book)| write(book, command))).await;
        world.assert_balanced().await;
    }
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments WHERE state = 'EXPIRED'").await, 0);
}

#[tokio::test]
async fn an_authorization_ends_by_itself_and_not_before_its_time() {
    let world = World::new().await;
    let mut pay = world.pay_bank("authorized", 100);
    let soon = world.clock.now() + Duration::from_millis(60_300);
    pay.order.capture = common::order::Capture::Manual(Some(soon));
    let authorized = payment(write(&world.book(1), command(pay)).await);
    let mut early = world.pay_bank("early", 100);
    early.order.capture = common::order::Capture::Manual(Some(world.clock.now() + Duration::from_secs(59)));
    let refused = write(&world.book(1), command(early)).await;
    assert_eq!(refused, Outcome::Declined(Declined::ExpireTimeOutOfRange));
    // A platform whose clock is a minute ahead of the one that took the authorization.
    let clock = common::clock::Clock::manual(world.clock.now());
    let config = platform::flow::book::BookConfig { max_waiting: 16, max_batch: 16, writers: 1 };
    let book = platform::flow::book::Book::open(&world.store, &clock, config).0;
    let expire = |token| {
        Command::Expire(Box::new(Expire {
            payment: authorized.id,
            token,
            transfers: TransferIds::new(&world.clock),
        }))
    };
    assert_eq!(write(&book, expire(9)).await, Outcome::Declined(Declined::LeaseLost));
    assert_eq!(payment(write(&book, expire(1)).await).state, State::Authorized, "too early");
    clock.advance(Duration::from_secs(61));
    let late = write(&book, world.capture("c", authorized.id, None)).await;
    assert!(matches!(late, Outcome::Declined(Declined::NotPermitted(..))), "{late:?}");
    assert_eq!(payment(write(&book, expire(1)).await).state, State::Expired);
    assert_eq!(world.alice().await, (10_000, 0));
    world.assert_balanced().await;
}

#[tokio::test]
async fn refunds_never_exceed_what_was_paid() {
    let world = World::new().await;
    let books = [world.book(1), world.book(1)];
    let at_bank = submission(write(&books[0], command(world.pay_bank("at-bank", 100))).await);
    let early = write(&books[0], world.refund("alice", "early", at_bank.payment.id, Some(1))).await;
    assert!(matches!(early, Outcome::Declined(Declined::NotPermitted(..))), "not paid yet: {early:?}");
    write(&books[0], world.conclude(at_bank.payment.id, at_bank.lease.token, accepted())).await;
    let on_us = payment(write(&books[0], command(world.pay_on_us("on-us", world.bob, 100))).await);
    for (who, paid) in [("alice", at_bank.payment.id), ("bob", on_us.id)] {
        let refunds = (0..64)
            .map(|nth| write(&books[nth % 2], world.refund(who, &format!("{who}-{nth}"), paid, Some(60))));
        assert_eq!(done(&all(refunds).await), 1, "one refund of 60 of 100");
        world.assert_balanced().await;
        let left = write(&books[0], world.refund(who, &format!("{who}-41"), paid, Some(41))).await;
        assert_eq!(left, Outcome::Declined(Declined::RefundExceedsCaptured(40)));
        let rest = payment(write(&books[0], world.refund(who, &format!("{who}-rest"), paid, None)).await);
        assert_eq!(rest.amount, eur(40));
        let of_refund = write(&books[0], world.refund(who, &format!("{who}-of-refund"), rest.id, None)).await;
        assert!(matches!(of_refund, Outcome::Declined(_)), "{of_refund:?}");
        world.assert_balanced().await;
    }
    let stranger = write(&books[0], world.refund("bob", "bob-x", at_bank.payment.id, None)).await;
    assert_eq!(stranger, Outcome::Declined(Declined::PaymentNotFound));
    let payer = write(&books[0], world.refund("alice", "alice-x", on_us.id, None)).await;
    assert_eq!(payer, Outcome::Declined(Declined::RefundByPayeeOnly));
}

#[tokio::test]
async fn a_refund_of_unknown_outcome_keeps_its_part_and_a_failed_one_gives_it_back() {
    let world = World::new().await;
    let book = world.book(1);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    write(&book, world.conclude(paid.payment.id, paid.lease.token, accepted())).await;
    let refund = submission(write(&book, world.refund("alice", "r1", paid.payment.id, Some(60))).await);
    assert_eq!(refund.original.as_ref().unwrap().uetr, paid.payment.uetr);
    let (suspense, lease) = (world.suspense().await, Witness::Lease(refund.lease.token));
    let unknown = inconclusive(Duration::from_secs(60));
    write(&book, world.said(&refund.payment, lease, unknown, suspense)).await;
    let again = write(&book, world.refund("alice", "r2", paid.payment.id, Some(60))).await;
    assert_eq!(again, Outcome::Declined(Declined::RefundExceedsCaptured(40)));
    write(&book, world.said(&refund.payment, Witness::Bank, rejected(), suspense)).await;
    world.assert_balanced().await;
    let whole = submission(write(&book, world.refund("alice", "r3", paid.payment.id, None)).await);
    assert_eq!(whole.payment.amount, eur(100));
    let lease = Witness::Lease(whole.lease.token);
    write(&book, world.said(&whole.payment, lease, accepted(), suspense)).await;
    assert_eq!(world.alice().await, (10_000, 0));
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_late_success_is_booked_once_and_taken_back() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    write(&book, world.conclude(paid.payment.id, paid.lease.token, rejected())).await;
    let failed = payment_row(&world, paid.payment.id).await;
    for _ in 0..3 {
        let after = payment(write(&book, world.said(&failed, Witness::Bank, accepted(), suspense)).await);
        assert_eq!(after, failed, "history is not rewritten");
    }
    let balances = world.balances("rialto-house", suspense).await;
    assert_eq!(balances.posted(), -100);
    world.assert_balanced().await;
    let alarms = world.store.alarms("alice", None, 10).await.unwrap();
    assert_eq!(alarms.iter().map(|alarm| alarm.kind.name()).collect::<Vec<_>>(), ["LATE_SUCCESS"]);
    let due = world.store.claim_due(Some("aurora"), Work::Send, 10, Duration::from_secs(60)).await.unwrap();
    let [back] = due.as_slice() else { panic!("one return: {due:?}") };
    let submit = Command::Submit(Box::new(Submit {
        payment: back.payment.id,
        original: back.payment.original,
        token: back.lease.token,
        valid_for: Duration::from_secs(20),
        lease: Duration::from_secs(20),
    }));
    let sent = submission(write(&book, submit).await);
    assert_eq!(sent.original.as_ref().unwrap().message_id, paid.attempt.message_id(failed.id));
    let lease = Witness::Lease(sent.lease.token);
    write(&book, world.said(&sent.payment, lease, accepted(), suspense)).await;
    assert_eq!(world.balances("rialto-house", suspense).await.posted(), 0);
    assert_eq!(world.alice().await, (10_000, 0));
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_terminal_state_is_not_overwritten_by_what_the_bank_says_later() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    // The bank's own verdict counts without the lease, and its holder hears it.
    write(&book, world.said(&paid.payment, Witness::Bank, accepted(), suspense)).await;
    let succeeded = payment_row(&world, paid.payment.id).await;
    assert_eq!(succeeded.state, State::Succeeded);
    let lease = Witness::Lease(paid.lease.token);
    for (witness, evidence) in [
        (lease, accepted()),
        (Witness::Bank, rejected()),
        (lease, rejected()),
        (lease, inconclusive(Duration::ZERO)),
    ] {
        let after = payment(write(&book, world.said(&paid.payment, witness, evidence, suspense)).await);
        assert_eq!(after, succeeded);
    }
    let alarms = world.store.alarms("alice", None, 10).await.unwrap();
    assert_eq!(alarms.iter().map(|alarm| alarm.kind.name()).collect::<Vec<_>>(), ["CONTRADICTION"]);
    world.assert_balanced().await;
}

#[tokio::test]
async fn it_takes_two_operators_to_end_what_no_machine_can_know() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let paid = submission(write(&book, command(world.pay_bank("paid", 100))).await);
    let contradictory = Evidence::Contradictory { reason: "X".to_owned(), detail: "x".to_owned() };
    let lease = Witness::Lease(paid.lease.token);
    write(&book, world.said(&paid.payment, lease, contradictory, suspense)).await;
    assert_eq!(world.alice().await, (9_900, 100), "the hold stays");
    let resolve = |actor: &str, succeeded, reference: &str| {
        Command::Resolve(Box::new(Resolve {
            participant: "alice".to_owned(),
            actor: actor.to_owned(),
            payment: paid.payment.id,
            original: None,
            finding: Finding { succeeded, evidence_reference: reference.to_owned() },
            transfers: TransferIds::new(&world.clock),
            alarm: AlarmId::new(&world.clock),
        }))
    };
    let awaits = |outcome: Outcome| match outcome {
        Outcome::Resolution(payment, awaits) => (payment.state, awaits),
        other => panic!("{other:?}"),
    };
    assert_eq!(awaits(write(&book, resolve("ada", true, "1")).await), (State::Investigate, true));
    assert_eq!(awaits(write(&book, resolve("ada", false, "2")).await), (State::Investigate, true));
    let differs = write(&book, resolve("bob", true, "1")).await;
    assert_eq!(differs, Outcome::Declined(Declined::ResolutionDiffers));
    assert_eq!(awaits(write(&book, resolve("ada", false, "2")).await), (State::Investigate, true));
    assert_eq!(awaits(write(&book, resolve("bob", false, "2")).await), (State::Failed, false));
    assert_eq!(awaits(write(&book, resolve("bob", false, "2")).await), (State::Failed, false));
    let over = write(&book, resolve("bob", true, "3")).await;
    assert!(matches!(over, Outcome::Declined(Declined::NotPermitted(..))), "{over:?}");
    assert_eq!(world.alice().await, (10_000, 0));
    world.assert_balanced().await;
}

#[tokio::test]
async fn a_payment_that_waits_for_its_bank_is_sent_later_or_cancelled() {
    let world = World::new().await;
    let (book, suspense) = (world.book(1), world.suspense().await);
    let mut held = Vec::new();
    for request in ["one", "two"] {
        let mut pay = world.pay_bank(request, 100);
        pay.bank.as_mut().unwrap().waits = true;
        held.push(payment(write(&book, command(pay)).await));
    }
    assert!(held.iter().all(|held| held.state == State::Held));
    assert!(world.claim_due(10, Duration::ZERO).await.unwrap().is_empty(), "nothing to ask about");
    assert_eq!(payment(write(&book, world.cancel(&held[0])).await).state, State::Cancelled);
    let due = world.store.claim_due(Some("aurora"), Work::Send, 10, Duration::from_secs(60)).await.unwrap();
    assert_eq!(due.len(), 1);
    let submit = |token| {
        Command::Submit(Box::new(Submit {
            payment: held[1].id,
            original: None,
            token,
            valid_for: Duration::from_secs(20),
            lease: Duration::from_secs(20),
        }))
    };
    assert_eq!(write(&book, submit(1)).await, Outcome::Declined(Declined::LeaseLost), "a zombie");
    let sent = submission(write(&book, submit(due[0].lease.token)).await);
    let refused = write(&book, world.cancel(&held[1])).await;
    assert!(matches!(refused, Outcome::Declined(Declined::NotPermitted(..))), "it was sent: {refused:?}");
    // A binding negative, at a bank whose payments wait: the next attempt has a number of its own.
    let never = Evidence::NeverReceived { next_attempt_after: Some(Duration::ZERO) };
    let lease = Witness::Lease(sent.lease.token);
    let back = payment(write(&book, world.said(&sent.payment, lease, never, suspense)).await);
    assert_eq!(back.state, State::Held);
    let due = world.store.claim_due(Some("aurora"), Work::Send, 10, Duration::from_secs(60)).await.unwrap();
    let sent = submission(write(&book, submit(due[0].lease.token)).await);
    assert_eq!(sent.attempt.number, 2);
    let lease = Witness::Lease(sent.lease.token);
    write(&book, world.said(&sent.payment, lease, accepted(), suspense)).await;
    assert_eq!(world.alice().await, (9_900, 0));
    world.assert_balanced().await;
}

#[tokio::test]
async fn work_that_never_comes_to_an_end_is_quarantined_and_the_rest_flows() {
    let world = World::new().await;
    let book = world.book(1);
    let mut pay = world.pay_bank("poison", 1);
    pay.bank.as_mut().unwrap().lease = Duration::ZERO;
    let poison = submission(write(&book, command(pay)).await).payment.id;
    for fruitless in 1..=MAX_FRUITLESS + 1 {
        let taken = world.claim_due(10, Duration::ZERO).await.unwrap();
        assert_eq!(taken.iter().map(|taken| taken.lease.fruitless).collect::<Vec<_>>(), [fruitless]);
    }
    assert!(world.claim_due(10, Duration::ZERO).await.unwrap().is_empty(), "left alone for long");
    let mut pay = world.pay_bank("good", 1);
    pay.bank.as_mut().unwrap().lease = Duration::ZERO;
    write(&book, command(pay)).await;
    assert_eq!(world.claim_due(10, Duration::ZERO).await.unwrap().len(), 1);
    assert_eq!(world.state(poison).await, State::Submitted, "the hold stays");
    let overdue = world.store.raise_overdue("aurora", Duration::ZERO, &world.clock, 10).await.unwrap();
    let again = world.store.raise_overdue("aurora", Duration::ZERO, &world.clock, 10).await.unwrap();
    assert!(overdue <= 2 && again == 0, "{overdue} then {again}: once for each");
    world.assert_balanced().await;
}

/// A route error is heard only by who may do the thing at all.
#[tokio::test]
async fn a_bank_that_is_down_refuses_before_money_is_held() {
    let world = World::new().await;
    let book = world.book(1);
    let mut pay = world.pay_bank("down", 100);
    pay.bank = Err(NoRoute::Offline("aurora".to_owned()));
    let refused = write(&book, command(pay)).await;
    assert_eq!(refused, Outcome::Declined(Declined::NoRoute(NoRoute::Offline("aurora".to_owned()))));
    assert_eq!(world.alice().await, (10_000, 0));
    assert_eq!(number(&world.options, "SELECT count(*) FROM payments").await, 0);
}
