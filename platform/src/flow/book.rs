//! The ledger's writer: gathers commands and commits them together.
//!
//! A batch is whatever queued up while the last commit ran; nothing waits for one to fill. It is decided on what is known of
//! accounts, or else on what is loaded (see [`crate::store::load`]), and saved by one statement, which the database refuses if
//! anything that the decision follows from is not so any more. Then it is decided again on what the database says, and after
//! that, and whenever a try fails, under locks, in one transaction: begin, load, decide, save, commit. When the answer to a commit is lost, the batch is done again as it is: its
//! commands carry their numbers, so what was saved is found, not written twice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    clock::Clock,
    crash_point,
    fault::Fault,
    planted,
    trace::{Span, SpanKind, TraceParent},
};
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    time::timeout,
};

use super::{
    pace::Pace,
    queue::{Queue, Waiting, queue},
};
use crate::{
    domain::{
        ledger::{self, Command, Outcome, Writes},
        payment::{State, Submission},
    },
    gate::Place,
    metrics,
    store::{
        Store, StoreError,
        doubt::{self, Doubts},
        known::KnownAccounts,
        load::{self, Loaded, View},
        save::{self, Traces},
    },
};

/// How often a batch is tried before its senders hear that the database is not there.
const MAX_TRIES: u32 = 4;

/// How long a try may take before its connection is given up: longer than the database's own limits, so that this ends
/// only tries whose line has gone quiet.
const LONGEST_TRY: Duration = Duration::from_secs(15);

/// How many batches are decided on what is read, after one that was decided on what was known was refused: whoever repeats
/// requests, or has accounts change elsewhere, makes few batches be decided twice.
const WARY_BATCHES: u32 = 64;

/// Hands commands to the writers. Clones share them.
#[derive(Clone, Debug)]
pub struct Book {
    queue: Queue<Job>,
    pace: Arc<Pace>,
    committed: Arc<Notify>,
}

#[derive(Debug)]
struct Job {
    command: Command,
    context: Context,
    /// From when it waits to when its sender hears.
    span: Span,
    outcome: oneshot::Sender<Result<Outcome, NotWritten>>,
}

/// What travels with a command to whoever carries on with what came of it.
#[derive(Debug)]
pub struct Context {
    /// The trace.
    pub trace: TraceParent,
    /// The place at the bank, if the payment is to be sent at once.
    pub place: Option<Place>,
}

impl From<TraceParent> for Context {
    fn from(trace: TraceParent) -> Self {
        Self { trace, place: None }
    }
}

/// A payment that is written and is to be sent.
pub type ToSend = (Submission, Context);

/// Why a command has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWritten {
    /// Too many commands are waiting; this one was not begun.
    Overloaded,
    /// The database is not there; whether the command was carried out shows when it is asked again.
    Unavailable,
    /// The command cannot be carried out: a defect, which the log describes.
    Defect,
}

impl From<NotWritten> for Fault {
    fn from(why: NotWritten) -> Self {
        match why {
            NotWritten::Overloaded => Fault::overloaded("too many payments are waiting; nothing was begun"),
            NotWritten::Unavailable => Fault::unavailable(
                "LEDGER_UNAVAILABLE",
                "the ledger is not there, or too busy to answer in time: send the same request again",
            ),
            NotWritten::Defect => Fault::internal(),
        }
    }
}

/// How batches are made.
#[derive(Clone, Copy, Debug)]
pub struct BookConfig {
    /// Ends of payments that may wait, and so many other commands.
    pub max_waiting: usize,
    /// Commands in one transaction.
    pub max_batch: usize,
    /// Transactions at once. They lock accounts in the same order; more than one overlaps the reading of a batch with the
    /// commit of another.
    pub writers: usize,
}

impl Book {
    /// Starts the writers. Payments that are to be sent to a bank go to the returned receiver once they are committed.
    pub fn open(store: &Store, clock: &Clock, config: BookConfig) -> (Self, mpsc::UnboundedReceiver<ToSend>) {
        let (queue, jobs) = queue(config.max_waiting);
        let (submissions, to_send) = mpsc::unbounded_channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let pace = Arc::new(Pace::of(config.max_batch.saturating_mul(config.writers)));
        let committed = Arc::new(Notify::new());
        for _ in 0..config.writers {
            let (store, clock, pace) = (store.clone(), clock.clone(), Arc::clone(&pace));
            let (submissions, jobs) = (submissions.clone(), Arc::clone(&jobs));
            let committed = Arc::clone(&committed);
            tokio::spawn(async move {
                // A defect that panics costs its batch, not the writer: whoever comes next finds one.
                loop {
                    let (store, clock, submissions) = (store.clone(), clock.clone(), submissions.clone());
                    let (pace, committed) = (Arc::clone(&pace), Arc::clone(&committed));
                    let known = KnownAccounts::default();
                    let writer = Writer {
                        store,
                        clock,
                        submissions,
                        pace,
                        committed,
                        connection: None,
                        known,
                        wary: 0,
                    };
                    let writing = tokio::spawn(writer.run(Arc::clone(&jobs), config.max_batch));
                    if writing.await.is_ok() {
                        return;
                    }
                    tracing::error!("a writer panicked; another one takes its place");
                }
            });
        }
        (Self { queue, pace, committed }, to_send)
    }

    /// Completes when something was committed since the last time that this completed. For one who waits.
    pub async fn committed(&self) {
        self.committed.notified().await;
    }

    /// Whether a new command would be written soon. What goes on with work that was begun needs not ask.
    pub fn has_room(&self) -> bool {
        self.queue.has_room(self.pace.room())
    }

    /// Commands that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Has a command carried out. Dropping the future does not take the command back.
    ///
    /// # Errors
    /// See [`NotWritten`].
    pub async fn write(&self, command: Command, context: impl Into<Context>) -> Result<Outcome, NotWritten> {
        let (outcome, written) = oneshot::channel();
        let context = context.into();
        let span = context.trace.span("ledger.write", SpanKind::Internal);
        let is_end = command.is_end();
        let job = Job { command, context, span, outcome };
        self.queue.put(job, is_end).map_err(|_| NotWritten::Overloaded)?;
        written.await.unwrap_or(Err(NotWritten::Unavailable))
    }
}

/// The sampled traces of the payments in a batch, which go on where others take the work over.
fn traces(jobs: &[Job]) -> Traces {
    let sampled = jobs.iter().filter(|job| job.context.trace.is_sampled());
    sampled.filter_map(|job| Some((job.command.payment()?, job.context.trace.to_string()))).collect()
}

/// A span of what is done for all of a batch at once, linked with those of its members.
fn batch_span(jobs: &mut [Job]) -> Option<Span> {
    let mut batch = Span::of_many("ledger.batch", jobs.iter().map(|job| job.span.context()))?;
    batch.set("rialto.ledger.batch.size", i64::try_from(jobs.len()).unwrap_or(i64::MAX));
    jobs.iter_mut().for_each(|job| job.span.link(batch.context()));
    Some(batch)
}

struct Writer {
    store: Store,
    clock: Clock,
    submissions: mpsc::UnboundedSender<ToSend>,
    pace: Arc<Pace>,
    committed: Arc<Notify>,
    connection: Option<PgConnection>,
    known: KnownAccounts,
    /// How many batches are to be decided on what is read.
    wary: u32,
}

impl Writer {
    async fn run(mut self, jobs: Arc<Mutex<Waiting<Job>>>, max_batch: usize) {
        let mut batch = Vec::new();
        loop {
            jobs.lock().await.take(&mut batch, max_batch).await;
            if batch.is_empty() {
                return;
            }
            let began = Instant::now();
            self.commit(std::mem::take(&mut batch)).await;
            self.pace.learn(began.elapsed());
            self.committed.notify_one();
        }
    }

    /// Commits a batch, in as many transactions as the rules want; one that the database refuses is split, so that a bad
    /// command harms nobody but its sender.
    async fn commit(&mut self, mut jobs: Vec<Job>) {
        let traces = traces(&jobs);
        let batch_span = batch_span(&mut jobs);
        let (commands, askers): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.command, (job.context, job.outcome, job.span))).unzip();
        let (mut waiting, mut askers) = (commands.as_slice(), askers.into_iter());
        let mut max_batch = waiting.len();
        while !waiting.is_empty() {
            let batch = &waiting[..max_batch.min(waiting.len())];
            let results = match self.commit_with_retries(batch, &traces).await {
                Ok(mut outcomes) => {
                    if planted::is("X2") {
                        outcomes.reverse();
                    }
                    outcomes.into_iter().map(Ok).collect()
                }
                Err(NotWritten::Defect) if batch.len() > 1 => {
                    max_batch = 1;
                    continue;
                }
                Err(why) => vec![Err(why); batch.len()],
            };
            waiting = &waiting[results.len()..];
            for (result, (context, asker, span)) in results.into_iter().zip(&mut askers) {
                drop(span);
                self.deliver(result, context, asker);
            }
        }
        drop(batch_span);
    }

    fn deliver(
        &self,
        result: Result<Outcome, NotWritten>,
        context: Context,
        asker: oneshot::Sender<Result<Outcome, NotWritten>>,
    ) {
        if let Ok(Outcome::Submitted(submission)) = &result {
            // The receiver lives as long as the process; what it does not get, recovery takes from the queue of work.
            let _ = self.submissions.send((submission.as_ref().clone(), context));
        }
        // Who stopped waiting asks again with the same request id.
        let _ = asker.send(result);
    }

    async fn commit_with_retries(
        &mut self,
        commands: &[Command],
        traces: &Traces,
    ) -> Result<Vec<Outcome>, NotWritten> {
        let (mut failed, mut lost_races) = (0, 0);
        let mut view = self.first_view(commands);
        let began = Instant::now();
        while failed < MAX_TRIES {
            let error = match timeout(LONGEST_TRY, self.try_commit(commands, view, traces)).await {
                Ok(Ok(Some(outcomes))) => {
                    metrics::batch_done(commands.len(), began.elapsed());
                    return Ok(outcomes);
                }
                Ok(Ok(None)) => {
                    view = View::Read;
                    continue;
                }
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::from(std::io::Error::from(std::io::ErrorKind::TimedOut)).into(),
            };
            self.known = KnownAccounts::default();
            metrics::batch_repeated(error.is_refused());
            let refused = view;
            view = if refused == View::Known && error.is_refused() { View::Read } else { View::Locked };
            if refused != View::Locked && error.is_refused() {
                self.wary = WARY_BATCHES;
                tracing::debug!(%error, commands = commands.len(), ?view, "a batch is decided again");
                continue;
            }
            // A race is over by the next try; one that never ends is a command that contradicts what is written.
            *if error.is_lost_race() { &mut lost_races } else { &mut failed } += 1;
            if !error.is_passing() || lost_races == MAX_TRIES {
                tracing::error!(%error, commands = commands.len(), "the database refuses a batch");
                self.connection = None;
                return Err(NotWritten::Defect);
            }
            let tried = failed + lost_races;
            tracing::warn!(%error, tried, commands = commands.len(), "a batch is done again");
            if !error.is_lost_race() {
                self.connection = None;
                if self.store.waits_for_standbys() {
                    doubt::raise();
                }
            }
            let pause = Duration::from_millis(u64::from(rand::random_range(5..20 * tried * tried + 5)));
            tokio::time::sleep(pause).await;
        }
        Err(NotWritten::Unavailable)
    }

    fn first_view(&mut self, commands: &[Command]) -> View {
        let is_wary = self.wary > 0;
        self.wary = self.wary.saturating_sub(1);
        match commands.iter().any(Command::needs_locks) {
            true => View::Locked,
            false if is_wary => View::Read,
            false => View::Known,
        }
    }

    /// Decides a batch and saves it; none if what was known is not enough to decide it on.
    async fn try_commit(
        &mut self,
        commands: &[Command],
        view: View,
        traces: &Traces,
    ) -> Result<Option<Vec<Outcome>>, StoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.store.connect().await?),
        };
        let keys = self.store.keys();
        crash_point::here("book.before_transaction");
        if view != View::Locked {
            let Loaded { snapshot, guards } =
                load::snapshot(keys, connection, commands, view, &mut self.known).await?;
            let (outcomes, writes) = ledger::decide(snapshot, commands, self.clock.now());
            if !guards.is_empty() && commands.iter().zip(&outcomes).any(is_doubtful) {
                return Ok(None);
            }
            if !writes.is_empty() {
                before_commit(&self.submissions, &outcomes).await;
                let doubts = Doubts::so_far();
                let saved = save::at_once(connection, &writes, &guards, &keys.current(), traces).await;
                self.after_commit(saved, doubts)?;
                self.written(&writes);
            }
            return Ok(Some(outcomes));
        }
        let mut transaction = connection.begin().await?;
        let loaded = load::snapshot(keys, &mut transaction, commands, view, &mut self.known).await?;
        let (outcomes, writes) = ledger::decide(loaded.snapshot, commands, self.clock.now());
        if writes.is_empty() {
            transaction.rollback().await?;
        } else {
            save::writes(&mut transaction, &writes, &keys.current(), traces).await?;
            before_commit(&self.submissions, &outcomes).await;
            let doubts = Doubts::so_far();
            let committed = transaction.commit().await.map_err(StoreError::from);
            self.after_commit(committed, doubts)?;
            self.written(&writes);
        }
        Ok(Some(outcomes))
    }

    fn after_commit(&self, committed: Result<(), StoreError>, doubts: Doubts) -> Result<(), StoreError> {
        if planted::is("X4") {
            return Ok(());
        }
        committed?;
        if self.store.waits_for_standbys() && !doubts.are_all() {
            return Err(StoreError::Doubtful);
        }
        crash_point::here("book.after_commit");
        Ok(())
    }

    /// These writes are committed.
    fn written(&mut self, writes: &Writes) {
        self.known.follow(writes);
        metrics::written(writes);
    }
}

/// Whether what was known may have let a payment fail that what is true would not: no write that the database could refuse
/// says so.
fn is_doubtful((command, outcome): (&Command, &Outcome)) -> bool {
    let Command::Pay(_) = command else { return false };
    !matches!(outcome, Outcome::Submitted(_))
        && !matches!(outcome, Outcome::Payment(payment) if payment.state != State::Failed)
}

async fn before_commit(submissions: &mpsc::UnboundedSender<ToSend>, outcomes: &[Outcome]) {
    if planted::is("M7") {
        send_early(submissions, outcomes).await;
    }
    crash_point::here("book.before_commit");
}

/// The planted bug M7: what is to be sent goes out before its commit.
async fn send_early(submissions: &mpsc::UnboundedSender<ToSend>, outcomes: &[Outcome]) {
    for outcome in outcomes {
        if let Outcome::Submitted(submission) = outcome {
            drop(submissions.send((submission.as_ref().clone(), TraceParent::unsampled().into())));
        }
    }
    // Otherwise the runtime would begin to send only when this task waits for the COMMIT.
    tokio::time::sleep(Duration::from_millis(2)).await;
}
