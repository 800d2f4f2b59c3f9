//! The whole channel, started as its program starts it, between a platform's client and small banks.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use clap::Parser;
use common::rpc_server;
use proto::channel::{
    ExchangeResponse, Notice, NoticeReceipt, instruction_service_client::InstructionServiceClient,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use super::*;
use crate::{
    config::Args,
    directory::tests::File,
    instruction::tests::{credit_transfer, status_enquiry},
    rails::iso20022::tests::{bank, good_answer, request},
};

/// How long the slow bank takes.
const SLOW: Duration = Duration::from_millis(600);

pub(crate) struct Running {
    client: InstructionServiceClient<Channel>,
    pub(crate) lifecycle: Lifecycle,
    server: JoinHandle<()>,
    /// Where notices are taken.
    pub(crate) notices: SocketAddr,
    file: File,
    /// How many answers of the slow bank were taken by a connection that stayed open.
    slow_answers_taken: Arc<AtomicUsize>,
}

/// Starts a channel with a fast and a slow bank.
pub(crate) async fn start(name: &str, arguments: &[&str], slow_in_flight: u32) -> Running {
    let arguments = [arguments, &["--notice-listen=127.0.0.1:0", "--insecure-notice-listen"]].concat();
    start_with(name, &arguments, slow_in_flight, ["", ""]).await
}

/// Starts a channel with a fast and a slow bank, each with further settings in the directory.
pub(crate) async fn start_with(
    name: &str,
    arguments: &[&str],
    slow_in_flight: u32,
    [of_fast, of_slow]: [&str; 2],
) -> Running {
    let fast = bank(|mut stream| async move {
        while request(&mut stream).await.is_some() {
            drop(stream.write_all(good_answer().as_bytes()).await);
        }
    })
    .await;
    let slow_answers_taken = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&slow_answers_taken);
    let slow = bank(move |mut stream| {
        let taken = Arc::clone(&taken);
        async move {
            while request(&mut stream).await.is_some() {
                sleep(SLOW).await;
                drop(stream.write_all(good_answer().as_bytes()).await);
                if timeout(Duration::from_millis(100), stream.read(&mut [0])).await.is_err() {
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    })
    .await;
    let entry = |id: &str, bic: &str, address: &str, in_flight: u32| {
        format!(
            "[[bank]]\nid = {id:?}\nname = \"A bank\"\nbic = {bic:?}\niban_bank_codes = []\ncurrencies = [\"EUR\"]\n\
             rail = \"iso20022\"\ninsecure = true\naddress = {address:?}\nanswer_timeout_ms = 5000\nenquire_after_ms = 7000\n\
             valid_for_ms = 20000\nmax_in_flight = {in_flight}\n"
        )
    };
    let banks = entry("fast", "FASTDEFF", fast.as_str(), 100)
        + of_fast
        + &entry("slow", "SLOWDEFF", slow.as_str(), slow_in_flight)
        + of_slow;
    let file = File::new(name, &banks);
    let path = file.0.display().to_string();
    let arguments =
        ["channel", "--insecure-listen", "--directory", &path].into_iter().chain(arguments.iter().copied());
    let (config, _) = Args::try_parse_from(arguments).expect("arguments").config().expect("settings");
    let listener = rpc_server::bind(&config.server).await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let lifecycle = Lifecycle::new();
    let notice_listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let notices = notice_listener.local_addr().expect("an address");
    let running = crate::run(config, listener, Some(notice_listener), lifecycle.clone());
    let server = tokio::spawn(async move { running.await.expect("served") });
    let channel = common::rpc_client::Route::to(&address, None).expect("an address").connect();
    Running {
        client: InstructionServiceClient::new(channel),
        lifecycle,
        server,
        notices,
        file,
        slow_answers_taken,
    }
}

impl Running {
    /// Hangs up, and returns what ends with the channel.
    pub(crate) fn end(self) -> JoinHandle<()> {
        self.server
    }
}

fn to(bank_id: &str, correlation_id: u64) -> WireInstruction {
    WireInstruction { correlation_id, bank_id: bank_id.to_owned(), ..credit_transfer() }
}

/// A platform's end of an Exchange.
pub(crate) struct Exchange {
    requests: mpsc::Sender<ExchangeRequest>,
    answers: Streaming<ExchangeResponse>,
}

impl Exchange {
    pub(crate) async fn open(running: &Running) -> Self {
        let (requests, receiver) = mpsc::channel(16);
        let answers = running
            .client
            .clone()
            .exchange(ReceiverStream::new(receiver))
            .await
            .expect("opened")
            .into_inner();
        Self { requests, answers }
    }

    async fn send(&self, instructions: Vec<WireInstruction>) {
        self.requests
            .send(ExchangeRequest { instructions, receipts: Vec::new() })
            .await
            .expect("the channel listens");
    }

    pub(crate) async fn next(&mut self) -> Option<ExchangeResponse> {
        timeout(Duration::from_secs(10), self.answers.message()).await.expect("in time").expect("no error")
    }

    /// The next notice.
    pub(crate) async fn notice(&mut self) -> Notice {
        loop {
            let response = self.next().await.expect("an answer");
            if let Some(notice) = response.notices.into_iter().next() {
                return notice;
            }
        }
    }

    pub(crate) async fn receive(&self, receipt: NoticeReceipt) {
        let request = ExchangeRequest { instructions: Vec::new(), receipts: vec![receipt] };
        self.requests.send(request).await.expect("the channel listens");
    }

    /// The next outcomes in short, in order of their ids.
    async fn outcomes(&mut self, count: usize) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        while found.len() < count {
            let response = self.next().await.expect("an answer");
            found.extend(
                response.outcomes.into_iter().map(|outcome| (outcome.correlation_id, short(outcome.verdict))),
            );
        }
        found.sort();
        found
    }
}

fn short(verdict: Option<Verdict>) -> String {
    match verdict.expect("a verdict") {
        Verdict::Accepted(_) => "accepted".to_owned(),
        Verdict::NotSent(not_sent) => not_sent.reason,
        other => format!("{other:?}"),
    }
}

fn expected(outcomes: &[(u64, &str)]) -> Vec<(u64, String)> {
    outcomes.iter().map(|(id, verdict)| (*id, (*verdict).to_owned())).collect()
}

#[tokio::test]
async fn a_slow_bank_delays_nobody_else() {
    let running = start("slow", &[], 10).await;
    let mut exchange = Exchange::open(&running).await;
    let directory = exchange.next().await.expect("an answer").directory.expect("the directory comes first");
    assert_eq!(directory.banks.len(), 2);
    let start = Instant::now();
    let invalid = WireInstruction { uetr: "x".to_owned(), ..to("fast", 4) };
    exchange.send(vec![to("slow", 1), to("fast", 2), to("nowhere", 3), invalid]).await;
    let fast = exchange.outcomes(3).await;
    assert_eq!(fast, expected(&[(2, "accepted"), (3, "BANK_NOT_IN_DIRECTORY"), (4, "INVALID_INSTRUCTION")]));
    assert!(start.elapsed() < SLOW, "{:?}", start.elapsed());
    assert_eq!(exchange.outcomes(1).await, expected(&[(1, "accepted")]));
}

#[tokio::test]
async fn full_bulkheads_answer_at_once_that_nothing_was_sent() {
    let running = start("busy", &[], 1).await;
    let mut exchange = Exchange::open(&running).await;
    exchange.send(vec![to("slow", 1), to("slow", 2), to("fast", 3)]).await;
    assert_eq!(exchange.outcomes(3).await, expected(&[(1, "accepted"), (2, "BANK_BUSY"), (3, "accepted")]));

    let running = start("full", &["--max-in-flight", "1"], 10).await;
    let mut exchange = Exchange::open(&running).await;
    exchange.send(vec![to("slow", 1), to("fast", 2)]).await;
    assert_eq!(exchange.outcomes(2).await, expected(&[(1, "accepted"), (2, "CHANNEL_BUSY")]));
}

#[tokio::test]
async fn payments_keep_no_enquiry_out_and_enquiries_no_payment() {
    let running = start("rooms", &["--max-in-flight", "1"], 1).await;
    let mut exchange = Exchange::open(&running).await;
    let enquiry =
        |correlation_id| WireInstruction { correlation_id, bank_id: "slow".to_owned(), ..status_enquiry() };
    exchange.send(vec![to("slow", 1), to("slow", 2)]).await;
    exchange.send((3..8).map(enquiry).collect()).await;
    let accepted = [(1, "accepted"), (2, "CHANNEL_BUSY"), (3, "accepted"), (4, "accepted")];
    let rest = [(5, "accepted"), (6, "accepted"), (7, "CHANNEL_BUSY")];
    assert_eq!(exchange.outcomes(7).await, expected(&[&accepted[..], &rest].concat()));
}

#[tokio::test]
async fn what_is_under_way_is_carried_to_its_end_when_the_platform_goes_away() {
    let running = start("gone", &[], 10).await;
    let exchange = Exchange::open(&running).await;
    exchange.send(vec![to("slow", 1)]).await;
    sleep(SLOW / 3).await;
    drop(exchange);
    let mut client = running.client.clone();
    let request = ExecuteRequest { instruction: Some(to("slow", 2)) };
    assert!(timeout(SLOW / 3, client.execute(request)).await.is_err(), "answered too early");
    sleep(SLOW * 3).await;
    assert_eq!(running.slow_answers_taken.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_drain_answers_what_is_under_way_and_refuses_the_rest() {
    let running = start("drain", &[], 10).await;
    let mut exchange = Exchange::open(&running).await;
    exchange.send(vec![to("slow", 1)]).await;
    sleep(SLOW / 3).await;
    running.lifecycle.drain();
    exchange.send(vec![to("fast", 2)]).await;
    assert_eq!(exchange.outcomes(2).await, expected(&[(1, "accepted"), (2, "CHANNEL_STOPPING")]));
    assert!(exchange.next().await.is_none(), "the stream ends");
    timeout(Duration::from_secs(5), running.end()).await.expect("in time").expect("stopped");
}

#[tokio::test]
async fn a_drain_waits_for_what_a_platform_sent_that_went_away() {
    let running = start("drain-gone", &[], 10).await;
    let exchange = Exchange::open(&running).await;
    exchange.send(vec![to("slow", 1)]).await;
    sleep(SLOW / 3).await;
    drop(exchange);
    sleep(SLOW / 6).await;
    running.lifecycle.drain();
    let mut server = running.end();
    assert!(timeout(SLOW / 4, &mut server).await.is_err(), "stopped while the bank was at it");
    timeout(Duration::from_secs(5), server).await.expect("in time").expect("stopped");
}

#[tokio::test]
async fn execute_names_the_bad_field() {
    let mut client = start("execute", &[], 10).await.client;
    let mut execute = async |instruction| client.execute(ExecuteRequest { instruction }).await;
    let good =
        execute(Some(to("fast", 9))).await.expect("executed").into_inner().outcome.expect("an outcome");
    assert_eq!((good.correlation_id, short(good.verdict)), (9, "accepted".to_owned()));
    let unknown =
        execute(Some(to("nowhere", 9))).await.expect("executed").into_inner().outcome.expect("an outcome");
    assert_eq!(short(unknown.verdict), "BANK_NOT_IN_DIRECTORY");
    for (instruction, field) in [
        (None, "instruction"),
        (Some(WireInstruction { uetr: "x".to_owned(), ..to("fast", 1) }), "instruction.uetr"),
        (Some(WireInstruction { amount: None, ..to("fast", 1) }), "instruction.amount"),
    ] {
        let status = execute(instruction).await.expect_err(field);
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        let details = status.get_error_details();
        let violations = &details.bad_request().expect("violations").field_violations;
        assert_eq!(violations.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>(), [field]);
    }
}

#[tokio::test]
async fn a_hangup_publishes_the_directory_again() {
    let running = start("hangup", &[], 10).await;
    let mut exchange = Exchange::open(&running).await;
    assert!(exchange.next().await.expect("an answer").directory.is_some());
    let banks = std::fs::read_to_string(&running.file.0).expect("the banks file");
    std::fs::write(&running.file.0, banks.replace("\"A bank\"", "\"Another bank\"")).expect("written");
    let pid = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().expect("kill").success());
    let directory = exchange.next().await.expect("an answer").directory.expect("a directory");
    assert!(directory.banks.iter().all(|bank| bank.name == "Another bank"));
    let request = GetDirectoryRequest {};
    let same = running.client.clone().get_directory(request).await.expect("a directory").into_inner();
    assert_eq!(same.directory, Some(directory));
}
