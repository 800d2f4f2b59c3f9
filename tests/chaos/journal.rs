//! The clients' journal: what each caller was about to ask, on disk before a byte of it left, and what it heard.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use harness::BenchError;
use proto::payments::{Payment, PaymentKind};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// What the journal is called in the run's folder.
pub const FILE: &str = "journal.jsonl";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The call that it is about.
    pub call: u64,
    /// Microseconds since the run began.
    pub at_us: u64,
    /// What is told.
    pub what: What,
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// What is about to be asked.
    Intent(Intent),
    /// What was heard.
    Heard(Heard),
}

/// What is about to be asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The method.
    pub method: Method,
    /// The request id of the payment or deposit that it is about.
    pub request_id: String,
    /// The request id of the payment that it goes back to: its own, or that of what is captured, cancelled or refunded.
    pub family: String,
    /// What is captured, cancelled, refunded or resolved: `pay_…`.
    pub original: String,
    /// The kind and the state of the original that the caller knew of.
    pub original_seen: String,
    /// The account that pays or is credited; empty for a read, and where the original says it.
    pub account: String,
    /// The bank that a deposit came through; empty otherwise.
    pub bank: String,
    /// The account of this ledger that is paid; empty if a bank is.
    pub payee_account: String,
    /// Minor units; 0 for a read, and for whatever is left.
    pub amount: i64,
    /// The amount's currency.
    pub currency: String,
    /// When an authorization is to end, in milliseconds since 1970; 0 if that was not asked for.
    pub expire_time_ms: i64,
    /// Tells requests of one id apart: a hash of the message.
    pub content: String,
    /// How it is asked: `plainly`, with a deadline, or hanging up.
    pub manner: String,
}

/// The methods that are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// CreatePayment.
    Pay,
    /// GetPayment.
    #[default]
    Read,
    /// Deposit.
    Deposit,
    /// CapturePayment.
    Capture,
    /// CancelPayment, of the payment that the request made.
    Cancel,
    /// RefundPayment.
    Refund,
    /// ResolvePayment, of the payment that the request made.
    Resolve,
}

impl Method {
    /// Whether a call of it makes what its request id stands for.
    pub fn makes(self) -> bool {
        matches!(self, Self::Pay | Self::Deposit | Self::Capture | Self::Refund)
    }
}

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// The gRPC code's name, or `HungUp`.
    pub code: String,
    /// Whether the code is the server's own, not one that the client's library made up for a broken connection.
    pub from_server: bool,
    /// The reason (ErrorInfo) or the message of a refusal.
    pub reason: String,
    /// The payment, if that was the answer.
    pub payment: Option<Seen>,
}

/// A payment as a caller saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `pay_…`.
    pub id: String,
    /// Its request id.
    pub request_id: String,
    /// What it is, without the enum's prefix.
    pub kind: String,
    /// What it captures or refunds; empty otherwise.
    pub original: String,
    /// Who pays; empty if a bank does.
    pub account: String,
    /// Minor units.
    pub amount: i64,
    /// The amount's currency.
    pub currency: String,
    /// Its reference at the bank.
    pub uetr: String,
    /// Its state, without the enum's prefix.
    pub state: String,
    /// The state's number.
    pub sequence: i64,
    /// A hash of the whole message.
    pub bytes: String,
}

impl From<&Payment> for Seen {
    fn from(payment: &Payment) -> Self {
        let amount = payment.amount.clone().unwrap_or_default();
        Self {
            id: payment.id.clone(),
            request_id: payment.request_id.clone(),
            kind: kind_name(payment.kind()),
            original: payment.original_payment.clone(),
            account: payment.payer_account.clone(),
            amount: amount.minor_units,
            currency: amount.currency,
            uetr: payment.uetr.clone(),
            state: state_name(payment),
            sequence: payment.sequence,
            bytes: hash(payment),
        }
    }
}

/// A payment's state, without the enum's prefix.
pub fn state_name(payment: &Payment) -> String {
    payment.state().as_str_name().trim_start_matches("PAYMENT_STATE_").to_owned()
}

/// A kind, without the enum's prefix.
pub fn kind_name(kind: PaymentKind) -> String {
    kind.as_str_name().trim_start_matches("PAYMENT_KIND_").to_owned()
}

/// A hash of a message's bytes.
pub fn hash(message: &impl prost::Message) -> String {
    blake3::hash(&message.encode_to_vec()).to_hex().chars().take(16).collect()
}

/// The file, kept by a thread of its own that writes whatever queued up while its last sync ran.
#[derive(Debug)]
pub struct Journal {
    queue: mpsc::Sender<(Vec<u8>, Option<oneshot::Sender<()>>)>,
    began: Instant,
    calls: AtomicU64,
}

impl Journal {
    /// Begins a journal in the run's folder.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn begin(folder: &Path) -> Result<Self, BenchError> {
        let file = File::create(folder.join(FILE))?;
        let (queue, lines) = mpsc::channel();
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || keep(file, &lines))?;
        Ok(Self { queue, began: Instant::now(), calls: AtomicU64::new(1) })
    }

    /// The time since the run began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Puts an intent on disk, and returns the call's number.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn intend(&self, intent: Intent) -> Result<u64, BenchError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let (written, on_disk) = oneshot::channel();
        self.put(call, What::Intent(intent), Some(written))?;
        on_disk.await.map_err(|_| "the journal can't be written")?;
        Ok(call)
    }

    /// Takes down what was heard.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn hear(&self, call: u64, heard: Heard) -> Result<(), BenchError> {
        self.put(call, What::Heard(heard), None)
    }

    /// Waits until everything is on disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn flush(&self) -> Result<(), BenchError> {
        let (written, on_disk) = oneshot::channel();
        self.queue.send((Vec::new(), Some(written))).map_err(|_| "the journal can't be written")?;
        on_disk.await.map_err(|_| "the journal can't be written".into())
    }

    fn put(&self, call: u64, what: What, written: Option<oneshot::Sender<()>>) -> Result<(), BenchError> {
        let at_us = u64::try_from(self.now().as_micros())?;
        let mut line = serde_json::to_vec(&Line { call, at_us, what })?;
        line.push(b'\n');
        self.queue.send((line, written)).map_err(|_| "the journal can't be written".into())
    }
}

/// Ends at the first failure: whoever waits then hears that the queue is gone.
fn keep(mut file: File, lines: &mpsc::Receiver<(Vec<u8>, Option<oneshot::Sender<()>>)>) {
    while let Ok((mut bytes, written)) = lines.recv() {
        let mut waiting = vec![written];
        while let Ok((more, written)) = lines.try_recv() {
            bytes.extend(more);
            waiting.push(written);
        }
        if file.write_all(&bytes).and_then(|()| file.sync_data()).is_err() {
            return;
        }
        for written in waiting.into_iter().flatten() {
            // Who no longer waits has hung up.
            let _ = written.send(());
        }
    }
}
