//! Banks that go away and come back, as the platform sees them.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    sync::{mpsc, watch},
    time::timeout,
};

use super::*;
use crate::{
    directory::{Directory, DirectorySource, tests::File},
    instruction::tests::{credit_transfer, status_enquiry},
    rails::iso20022::tests::{answer, bank, bank_on, bank_that_says, good_answer, request, short},
};

/// A directory, and who is told of its banks' changes.
struct Running {
    file: File,
    source: DirectorySource,
    published: watch::Sender<Arc<Directory>>,
}

fn entry(id: &str, bic: &str, address: &str) -> String {
    format!(
        "[[bank]]\nid = {id:?}\nname = \"A bank\"\nbic = {bic:?}\niban_bank_codes = []\ncurrencies = [\"EUR\"]\n\
         rail = \"iso20022\"\ninsecure = true\naddress = {address:?}\nanswer_timeout_ms = 2000\nenquire_after_ms = 2000\n\
         valid_for_ms = 20000\n"
    )
}

impl Running {
    fn new(name: &str, banks: &str) -> Self {
        let file = File::new(name, banks);
        let source = file.source();
        let directory = source.load(&Directory::default()).expect("a good file");
        Self { file, source, published: watch::Sender::new(Arc::new(directory)) }
    }

    /// Carries a message to a bank; the verdict in short.
    async fn carry(&self, bank_id: &str, instruction: wire::Instruction) -> String {
        let instruction = wire::Instruction { bank_id: bank_id.to_owned(), ..instruction };
        let directory = Arc::clone(&self.published.borrow());
        short(directory.carry(&Instruction::parse(instruction).expect("well-formed")).await.verdict)
    }

    fn is_online(&self, bank_id: &str) -> bool {
        self.published.borrow().to_wire().banks.iter().any(|bank| bank.id == bank_id && bank.online)
    }

    /// Waits until a bank says that it has gone offline or come back.
    async fn told(&self) {
        timeout(Duration::from_secs(10), self.source.changes.notified()).await.expect("told in time");
    }
}

/// A port on which nobody listens now.
async fn free_port() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address")
}

#[tokio::test]
async fn a_dead_bank_goes_offline_at_once_and_comes_back_after_two_probes() {
    let port = free_port().await;
    let fast = bank(|mut stream| async move {
        while request(&mut stream).await.is_some() {
            drop(stream.write_all(good_answer().as_bytes()).await);
        }
    })
    .await;
    let banks =
        entry("dead", "DEADDEFF", &format!("http://{port}/")) + &entry("fast", "FASTDEFF", fast.as_str());
    let running = Running::new("breaker", &banks);
    for _ in 0..5 {
        assert!(running.is_online("dead"));
        assert_eq!(running.carry("dead", credit_transfer()).await, "not sent: BANK_UNREACHABLE");
    }
    running.told().await;
    assert!(!running.is_online("dead") && running.is_online("fast"));
    for instruction in [credit_transfer(), status_enquiry()] {
        assert_eq!(running.carry("dead", instruction).await, "not sent: BANK_OFFLINE");
        assert_eq!(running.carry("fast", credit_transfer()).await, "accepted");
    }

    let listener = TcpListener::bind(port).await.expect("the bank's port");
    let (sender, mut probes) = mpsc::unbounded_channel();
    bank_on(listener, move |mut stream| {
        let sender = sender.clone();
        async move {
            while let Some(request) = request(&mut stream).await {
                sender.send(request).expect("the test listens");
                drop(stream.write_all(good_answer().as_bytes()).await);
            }
        }
    });
    running.told().await;
    assert!(running.is_online("dead"));
    let mut uetrs = Vec::new();
    while let Ok(probe) = probes.try_recv() {
        assert!(probe.contains("pacs.028.001.03"), "an enquiry changes nothing: {probe}");
        let (_, rest) = probe.split_once("<OrgnlUETR>").expect("a UETR");
        uetrs.push(rest.get(..36).expect("a UETR").to_owned());
    }
    uetrs.dedup();
    assert_eq!(uetrs.len(), 2, "two probes about different payments: {uetrs:?}");
    assert_eq!(running.carry("dead", credit_transfer()).await, "accepted");
    assert!(probes.recv().await.expect("the payment").contains("pacs.008.001.08"));
    assert!(timeout(Duration::from_millis(1_500), probes.recv()).await.is_err(), "online, it is not probed");
}

#[tokio::test]
async fn only_failures_count_against_a_bank() {
    let xml = "200 OK\r\ncontent-type: application/xml";
    let rejected = "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><FIToFIPmtStsRpt><GrpHdr>\
        <MsgId>B</MsgId></GrpHdr><TxInfAndSts><OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f001</OrgnlUETR>\
        <TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf></TxInfAndSts></FIToFIPmtStsRpt></Document>";
    for (said, goes_offline) in [
        (answer("500 Oops", ""), true),
        (answer("503 Busy", ""), true),
        (String::new(), true),
        (good_answer(), false),
        (answer(xml, rejected), false),
        (answer(xml, &rejected.replace("AC04", "XX99")), false),
        (answer(xml, &rejected.replace("8a562c67", "11111111")), false),
        (answer(xml, "<html/>"), false),
        (answer("429 Too Many Requests", ""), false),
        (answer("404 Not Found", ""), false),
    ] {
        let address = bank_that_says(said.clone()).await;
        let running = Running::new("counts", &entry("some", "SOMEDEFF", address.as_str()));
        for _ in 0..25 {
            running.carry("some", credit_transfer()).await;
        }
        assert_eq!(running.is_online("some"), !goes_offline, "{said:.60}");
    }
}

#[tokio::test]
async fn a_silent_bank_goes_offline_when_time_has_run_out_five_times() {
    let silent = bank(|mut stream| async move {
        request(&mut stream).await;
        sleep(Duration::from_secs(60)).await;
    })
    .await;
    let banks = entry("mute", "MUTEDEFF", silent.as_str())
        .replace("answer_timeout_ms = 2000", "answer_timeout_ms = 200");
    let running = Arc::new(Running::new("silent", &banks));
    let sent = (0..5).map(|_| {
        let running = Arc::clone(&running);
        tokio::spawn(async move { running.carry("mute", credit_transfer()).await })
    });
    for verdict in sent.collect::<Vec<_>>() {
        assert_eq!(verdict.await.expect("carried"), "unknown: ANSWER_TIMED_OUT");
    }
    assert_eq!(running.carry("mute", credit_transfer()).await, "not sent: BANK_OFFLINE");
}

#[tokio::test]
async fn a_reload_keeps_the_breaker_of_an_unchanged_bank_and_ends_the_probes_of_a_changed_one() {
    let visits = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&visits);
    let slamming = bank(move |stream| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move { drop(stream) }
    })
    .await;
    let banks = entry("slam", "SLAMDEFF", slamming.as_str());
    let running = Running::new("kept", &banks);
    for _ in 0..5 {
        running.carry("slam", credit_transfer()).await;
    }
    assert!(!running.is_online("slam"));
    running.source.reload(&running.published);
    assert_eq!(running.carry("slam", credit_transfer()).await, "not sent: BANK_OFFLINE");
    let before = visits.load(Ordering::SeqCst);
    sleep(Duration::from_millis(1_200)).await;
    assert!(visits.load(Ordering::SeqCst) > before, "it is probed");

    std::fs::write(&running.file.0, banks.replace("A bank", "Another")).expect("written");
    running.source.reload(&running.published);
    assert!(running.is_online("slam"), "another entry begins anew");
    let before = visits.load(Ordering::SeqCst);
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(visits.load(Ordering::SeqCst), before, "nobody probes for the old entry");
}
