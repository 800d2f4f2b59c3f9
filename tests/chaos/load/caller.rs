//! One caller, and how any call is made: intent on disk, call, answer on disk.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use harness::{BenchError, client::Client};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use tokio::task::JoinSet;
use tonic::Status;
use tonic_types::StatusExt;

use super::{World, call::Call, life, operations::OPERATIONS};
use crate::journal::{Heard, Seen};

/// Deadlines that callers set, in milliseconds: too short to begin, too short for a bank, and long enough.
const DEADLINES_MS: [u64; 12] = [1, 5, 20, 60, 99, 105, 130, 200, 400, 1_000, 3_000, 10_000];
/// The longest patience of a caller who hangs up.
const MAX_PATIENCE_US: u64 = 120_000;
/// How long any call waits at most; longer than the gateway's own limit for a call without a deadline.
const LONGEST: Duration = Duration::from_secs(12);
/// How long a caller waits after a refusal.
const PAUSE: Duration = Duration::from_millis(25);

/// How a call is made.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Without a deadline.
    Plainly,
    /// With this deadline.
    Within(Duration),
    /// Hanging up after this time.
    HangingUp(Duration),
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plainly => f.write_str("plainly"),
            Self::Within(deadline) => write!(f, "within {deadline:?}"),
            Self::HangingUp(patience) => write!(f, "hanging up after {patience:?}"),
        }
    }
}

/// One caller.
pub struct Caller {
    /// What all callers share.
    pub world: Arc<World>,
    /// Its dice.
    pub random: StdRng,
    client: Client,
    prefix: String,
    made: u64,
}

impl Caller {
    /// A caller whose request ids begin with `prefix`.
    pub fn new(world: Arc<World>, client: Client, random: StdRng, prefix: String) -> Self {
        Self { world, random, client, prefix, made: 0 }
    }

    /// A request id that nobody has used.
    pub fn next_id(&mut self) -> String {
        self.made += 1;
        format!("{}-{}", self.prefix, self.made)
    }

    /// Calls until it is enough.
    pub async fn work(mut self, enough: Arc<AtomicBool>) -> Result<(), BenchError> {
        while !enough.load(Ordering::Relaxed) {
            let Some(call) = self.draw() else { continue };
            let mut rivals = JoinSet::new();
            for rival in life::at_once(&mut self, &call) {
                let (world, client, manner) = (Arc::clone(&self.world), self.client.clone(), self.manner());
                rivals.spawn(async move { ask(&world, &client, &rival, manner).await });
            }
            let manner = self.manner();
            if !ask(&self.world, &self.client, &call, manner).await? {
                tokio::time::sleep(PAUSE).await;
            }
            while let Some(asked) = rivals.join_next().await {
                asked??;
            }
        }
        Ok(())
    }

    fn draw(&mut self) -> Option<Call> {
        let operation = OPERATIONS.choose_weighted(&mut self.random, |operation| operation.share).ok()?;
        (operation.draw)(self)
    }

    fn manner(&mut self) -> Manner {
        match self.random.random_range(0..100) {
            0..70 => Manner::Plainly,
            70..85 => {
                let ms = DEADLINES_MS.choose(&mut self.random).copied().unwrap_or(1_000);
                Manner::Within(Duration::from_millis(ms))
            }
            _ => Manner::HangingUp(Duration::from_micros(self.random.random_range(1..MAX_PATIENCE_US))),
        }
    }
}

/// Makes a call, with its intent on disk before and what was heard after. Returns whether it was answered well.
///
/// # Errors
/// When the journal can't be written.
pub async fn ask(world: &World, client: &Client, call: &Call, manner: Manner) -> Result<bool, BenchError> {
    let intent = call.intent(manner.to_string());
    let method = intent.method;
    let number = world.journal.intend(intent).await?;
    if method.makes() {
        world.open_ends.begin(call, world.journal.now());
    }
    let (deadline, patience) = match manner {
        Manner::Plainly => (None, LONGEST),
        Manner::Within(deadline) => (Some(deadline), LONGEST),
        Manner::HangingUp(patience) => (None, patience),
    };
    let answer = tokio::time::timeout(patience, call.send(client, deadline)).await;
    if let Ok(Ok(Some(payment))) = &answer {
        world.known.heard(call, payment);
    }
    let heard = match &answer {
        Ok(Ok(payment)) => Heard {
            code: "Ok".to_owned(),
            from_server: true,
            payment: payment.as_ref().map(Seen::from),
            ..Heard::default()
        },
        Ok(Err(status)) => heard_refusal(status),
        Err(_) => Heard { code: "HungUp".to_owned(), ..Heard::default() },
    };
    let is_good = heard.code == "Ok";
    world.open_ends.heard(&call.request_id, method, &heard, world.journal.now());
    world.journal.hear(number, heard)?;
    Ok(is_good)
}

fn heard_refusal(status: &Status) -> Heard {
    let made_here = std::error::Error::source(status).is_some();
    let reason = status.get_details_error_info().map(|info| info.reason);
    Heard {
        code: format!("{:?}", status.code()),
        from_server: !made_here,
        reason: reason.unwrap_or_else(|| status.message().to_owned()),
        payment: None,
    }
}
