//! Who gets a notice, and what becomes of it.

use std::time::Instant;

use proto::channel::NoticeResult;
use tokio::{task::JoinHandle, time::sleep};

use super::*;

type Delivery = JoinHandle<Result<NoticeReceipt, NotTaken>>;

fn send(notices: &Notices) -> Delivery {
    let notices = notices.clone();
    tokio::spawn(async move { notices.deliver(Notice::default()).await })
}

fn receipt(notice: &Notice, result: NoticeResult) -> NoticeReceipt {
    let notice_id = notice.notice_id;
    NoticeReceipt { notice_id, result: result.into(), ..NoticeReceipt::default() }
}

async fn next(notices: &mut mpsc::Receiver<Notice>) -> Notice {
    timeout(Duration::from_secs(2), notices.recv()).await.expect("in time").expect("connected")
}

async fn result(delivery: Delivery) -> Result<NoticeResult, NotTaken> {
    delivery.await.expect("delivered").map(|receipt| receipt.result())
}

#[tokio::test]
async fn each_platform_has_its_turn_and_each_notice_its_receipt() {
    let notices = Notices::default();
    let (first, mut to_first) = notices.connect(TaskTracker::new());
    let (second, mut to_second) = notices.connect(TaskTracker::new());
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (one, other) = (send(&notices), send(&notices));
        let (here, there) = (next(&mut to_first).await, next(&mut to_second).await);
        assert!(to_first.try_recv().is_err() && to_second.try_recv().is_err());
        first.receive(receipt(&here, NoticeResult::Taken));
        second.receive(receipt(&there, NoticeResult::Refused));
        assert_eq!(result(one).await, Ok(NoticeResult::Taken));
        assert_eq!(result(other).await, Ok(NoticeResult::Refused));
        ids.extend([here.notice_id, there.notice_id]);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "every notice has an id of its own");
}

#[tokio::test]
async fn a_receipt_counts_only_from_the_platform_that_has_the_notice() {
    let notices = Notices::default();
    let (first, mut to_first) = notices.connect(TaskTracker::new());
    let delivery = send(&notices);
    let notice = next(&mut to_first).await;
    let (second, _to_second) = notices.connect(TaskTracker::new());
    second.receive(receipt(&notice, NoticeResult::Taken));
    first.receive(NoticeReceipt {
        notice_id: notice.notice_id.wrapping_add(1),
        ..receipt(&notice, NoticeResult::Taken)
    });
    sleep(Duration::from_millis(50)).await;
    assert!(!delivery.is_finished());
    first.receive(receipt(&notice, NoticeResult::Refused));
    first.receive(receipt(&notice, NoticeResult::Taken));
    assert_eq!(result(delivery).await, Ok(NoticeResult::Refused));
}

#[tokio::test]
async fn what_one_bank_may_have_under_way_leaves_the_others_room() {
    let notices = Notices::default();
    let (_platform, _unread) = notices.connect(TaskTracker::new());
    let _of_one: Vec<Delivery> = (0..MAX_UNASKED).map(|_| send(&notices)).collect();
    sleep(Duration::from_millis(50)).await;
    let of_another = send(&notices);
    sleep(Duration::from_millis(50)).await;
    assert!(!of_another.is_finished(), "it waits, and is not told to come back");
}

#[tokio::test]
async fn without_a_platform_that_can_take_it_a_notice_is_not_taken_at_once() {
    let notices = Notices::default();
    assert_eq!(result(send(&notices)).await, Err(NotTaken::NoPlatform));

    let (first, to_first) = notices.connect(TaskTracker::new());
    let waiting: Vec<Delivery> = (0..WAITING_NOTICES).map(|_| send(&notices)).collect();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(result(send(&notices)).await, Err(NotTaken::NoPlatform), "its queue is full");
    let (second, mut to_second) = notices.connect(TaskTracker::new());
    for _ in 0..4 {
        let delivery = send(&notices);
        second.receive(receipt(&next(&mut to_second).await, NoticeResult::Taken));
        assert_eq!(result(delivery).await, Ok(NoticeResult::Taken), "the other one has room");
    }
    drop(first);
    for delivery in waiting {
        assert_eq!(result(delivery).await, Err(NotTaken::Lost));
    }
    drop((second, to_second, to_first));
    let (third, _to_third) = notices.connect(TaskTracker::new());
    drop(third);
    assert_eq!(result(send(&notices)).await, Err(NotTaken::NoPlatform), "all have gone");
}

#[tokio::test]
async fn a_platform_that_stopped_listening_is_passed_over() {
    let notices = Notices::default();
    let (_deaf, to_deaf) = notices.connect(TaskTracker::new());
    let (hearing, mut to_hearing) = notices.connect(TaskTracker::new());
    drop(to_deaf);
    for _ in 0..4 {
        let delivery = send(&notices);
        hearing.receive(receipt(&next(&mut to_hearing).await, NoticeResult::Taken));
        assert_eq!(result(delivery).await, Ok(NoticeResult::Taken));
    }
}

#[tokio::test]
async fn what_waits_for_a_receipt_is_under_way() {
    let notices = Notices::default();
    let under_way = TaskTracker::new();
    let (platform, mut to_platform) = notices.connect(under_way.clone());
    let (answered, abandoned) = (send(&notices), send(&notices));
    let notice = next(&mut to_platform).await;
    next(&mut to_platform).await;
    assert_eq!(under_way.len(), 2);
    platform.receive(receipt(&notice, NoticeResult::Taken));
    assert_eq!(result(answered).await, Ok(NoticeResult::Taken));
    assert_eq!(under_way.len(), 1);
    abandoned.abort();
    assert!(abandoned.await.is_err());
    assert_eq!(under_way.len(), 0, "nobody waits for it any more");
}

#[tokio::test]
async fn a_platform_that_is_silent_for_five_seconds_has_not_taken_it() {
    let notices = Notices::default();
    let (platform, mut to_platform) = notices.connect(TaskTracker::new());
    let start = Instant::now();
    let delivery = send(&notices);
    let notice = next(&mut to_platform).await;
    assert_eq!(result(delivery).await, Err(NotTaken::TimedOut));
    assert!((4_900..6_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    platform.receive(receipt(&notice, NoticeResult::Taken));
}
