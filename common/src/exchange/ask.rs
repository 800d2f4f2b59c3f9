//! The asking half: keeps the stream open, matches answers to questions, and says what a broken stream means for each.

use std::{
    collections::HashMap,
    future::Future,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::measured::Measures;

/// How many questions one message carries at most.
const MAX_ITEMS_PER_MESSAGE: usize = 256;
/// How many messages wait for the network before questions queue up behind them.
const MESSAGES_AHEAD: usize = 2;
const FIRST_RECONNECT_PAUSE: Duration = Duration::from_millis(50);
const LAST_RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// One kind of hop: how to open its stream, and what its messages hold.
pub trait Hop: Send + 'static {
    /// A question.
    type Question: Send + 'static;
    /// The answer to one.
    type Answer: Send + 'static;
    /// A message of questions.
    type Outgoing: Send + 'static;
    /// A message of answers.
    type Incoming: Send + 'static;

    /// Opens the stream.
    fn open(
        &mut self,
        outgoing: ReceiverStream<Self::Outgoing>,
    ) -> impl Future<Output = Result<Streaming<Self::Incoming>, Status>> + Send;

    /// Puts questions, each with its number, into a message.
    fn pack(&mut self, questions: Vec<(u64, Self::Question)>) -> Self::Outgoing;

    /// Takes the answers, each with its question's number, out of a message.
    fn unpack(&mut self, message: Self::Incoming) -> Vec<(u64, Self::Answer)>;
}

/// A question, and where its answer is to go; nowhere for what is not answered.
type Asked<H> = (<H as Hop>::Question, Option<Waiting<H>>);

/// Who waits for an answer, and since when.
type Waiting<H> = (oneshot::Sender<<H as Hop>::Answer>, Instant);

/// Asks over a hop. Clones share the stream.
#[derive(Debug)]
pub struct Asker<H: Hop> {
    queue: mpsc::Sender<Asked<H>>,
    open: watch::Receiver<bool>,
    measures: Measures,
}

impl<H: Hop> Clone for Asker<H> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), open: self.open.clone(), measures: self.measures.clone() }
    }
}

/// Why a question was not asked. Nothing of it left this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// There is no stream at present.
    Disconnected,
    /// Too many questions are waiting.
    Full,
}

/// The stream broke after the question was handed to it: the other side may or may not have received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl<H: Hop> Asker<H> {
    /// Hands a question to the stream, and returns where its answer will be.
    ///
    /// # Errors
    /// [`NotAsked`] at once; [`Lost`] later, from the returned future.
    pub fn ask(
        &self,
        question: H::Question,
    ) -> Result<impl Future<Output = Result<H::Answer, Lost>> + Send + use<H>, NotAsked> {
        let (answer, answered) = oneshot::channel();
        self.hand_over(question, Some((answer, Instant::now())))?;
        Ok(async move { answered.await.map_err(|_| Lost) })
    }

    /// Hands over something that is not answered.
    ///
    /// # Errors
    /// [`NotAsked`]; what was handed over may still get lost with the stream.
    pub fn tell(&self, question: H::Question) -> Result<(), NotAsked> {
        self.hand_over(question, None)
    }

    fn hand_over(&self, question: H::Question, asker: Option<Waiting<H>>) -> Result<(), NotAsked> {
        let handed_over = match *self.open.borrow() {
            true => self.queue.try_send((question, asker)).map_err(|_| NotAsked::Full),
            false => Err(NotAsked::Disconnected),
        };
        handed_over.inspect_err(|_| self.measures.not_asked())
    }

    /// Whether the stream is open now.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Completes when the stream is open.
    pub async fn opened(&self) {
        let mut open = self.open.clone();
        // The sender lives as long as the task that keeps the stream, which ends only with the process.
        let _ = open.wait_for(|open| *open).await;
    }
}

/// Keeps a stream open over `hop`, with at most `max_waiting` questions queued; `name` says in the log to whom.
pub fn ask<H: Hop>(name: &'static str, hop: H, max_waiting: usize) -> Asker<H> {
    let (queue, questions) = mpsc::channel(max_waiting);
    let (open, opened) = watch::channel(false);
    let measures = Measures::new(name, opened.clone());
    tokio::spawn(keep_open(name, hop, questions, open, measures.clone()));
    Asker { queue, open: opened, measures }
}

async fn keep_open<H: Hop>(
    name: &'static str,
    mut hop: H,
    mut questions: mpsc::Receiver<Asked<H>>,
    open: watch::Sender<bool>,
    measures: Measures,
) {
    let mut pause = FIRST_RECONNECT_PAUSE;
    while !questions.is_closed() {
        let (outgoing, messages) = mpsc::channel(MESSAGES_AHEAD);
        match hop.open(ReceiverStream::new(messages)).await {
            Ok(incoming) => {
                pause = FIRST_RECONNECT_PAUSE;
                open.send_replace(true);
                tracing::info!(to = name, "stream open");
                let end = converse(&mut hop, &mut questions, outgoing, incoming, &measures).await;
                open.send_replace(false);
                tracing::warn!(to = name, reason = %end, "stream ended; opening it again");
            }
            Err(status) => {
                tracing::debug!(to = name, reason = %status.message(), "cannot open the stream; trying again");
            }
        }
        // What still waits never left: its askers hear so, rather than wait for the next stream.
        while questions.try_recv().is_ok() {}
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_RECONNECT_PAUSE);
    }
}

/// Carries questions out and answers in until the stream ends; questions without an answer are lost then.
async fn converse<H: Hop>(
    hop: &mut H,
    questions: &mut mpsc::Receiver<Asked<H>>,
    outgoing: mpsc::Sender<H::Outgoing>,
    mut incoming: Streaming<H::Incoming>,
    measures: &Measures,
) -> String {
    let mut asked: HashMap<u64, Waiting<H>> = HashMap::new();
    let mut next_number: u64 = 1;
    let mut batch = Vec::new();
    let end = loop {
        tokio::select! {
            // A place in the outgoing queue first, so that questions gather while the network is busy.
            place = outgoing.reserve(), if !batch.is_empty() => {
                let Ok(place) = place else { break "the other side stopped reading".to_owned() };
                while batch.len() < MAX_ITEMS_PER_MESSAGE
                    && let Ok(question) = questions.try_recv()
                {
                    batch.push(question);
                }
                let mut numbered = Vec::with_capacity(batch.len());
                for (question, asker) in batch.drain(..) {
                    if let Some(asker) = asker {
                        asked.insert(next_number, asker);
                    }
                    numbered.push((next_number, question));
                    next_number += 1;
                }
                place.send(hop.pack(numbered));
            }
            question = questions.recv(), if batch.is_empty() => match question {
                Some(question) => batch.push(question),
                None => break "nobody asks any more".to_owned(),
            },
            message = incoming.message() => match message {
                Ok(Some(message)) => {
                    for (number, answer) in hop.unpack(message) {
                        if let Some((asker, since)) = asked.remove(&number) {
                            measures.answered(since.elapsed().as_secs_f64());
                            // An asker who stopped waiting misses nothing.
                            let _ = asker.send(answer);
                        }
                    }
                }
                Ok(None) => break "closed by the other side".to_owned(),
                Err(status) => break status.message().to_owned(),
            },
        }
    };
    measures.lost(asked.len());
    end
}
