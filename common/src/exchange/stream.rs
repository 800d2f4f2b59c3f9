//! One stream: kept open to one address, matches answers to questions, and says what its end means for each.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::{
    ask::{Able, Hop, NotAsked},
    measured::Measures,
};
use crate::rpc_client::Address;

/// How many questions one message carries at most.
const MAX_ITEMS_PER_MESSAGE: usize = 256;
/// How many messages wait for the network before questions queue up behind them.
const MESSAGES_AHEAD: usize = 2;
const FIRST_RECONNECT_PAUSE: Duration = Duration::from_millis(50);
const LAST_RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// A stream whose questions had no answer at three of these in a row is silent.
const LISTENING: Duration = Duration::from_millis(200);

/// A question, and where its answer is to go.
type Asked<H> = (<H as Hop>::Question, Waiting<H>);

/// Who waits for an answer, and since when.
struct Waiting<H: Hop> {
    answer: oneshot::Sender<H::Answer>,
    since: Instant,
    _counted: Counted,
}

/// A stream, as those see it who ask. It ends when the last of its clones is dropped, and every question has its answer.
pub(super) struct Stream<H: Hop> {
    address: Address,
    queue: mpsc::Sender<Asked<H>>,
    state: Arc<State>,
    able: Option<Able<H::Question>>,
}

/// How a stream is.
#[derive(Debug, Default)]
struct State {
    /// Whether it may be asked.
    is_open: AtomicBool,
    /// Whether nobody there has answered for a while, though somebody waits.
    is_silent: AtomicBool,
    /// Questions that have no answer yet.
    waiting: AtomicUsize,
}

/// A question without an answer, counted until it is dropped.
struct Counted(Arc<State>);

impl Counted {
    fn new(state: &Arc<State>) -> Self {
        state.waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<H: Hop> fmt::Debug for Stream<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("address", &self.address).field("state", &self.state).finish()
    }
}

impl<H: Hop> Stream<H> {
    /// Keeps a stream open to this address.
    pub(super) fn keep_open(
        name: String,
        address: Address,
        make: impl Fn(Channel) -> H,
        max_waiting: usize,
        measures: Measures,
    ) -> Self {
        let (queue, questions) = mpsc::channel(max_waiting);
        let state = Arc::new(State::default());
        let hop = make(address.connect());
        let able = hop.able();
        let keeping =
            Keeping { name, address: address.clone(), hop, questions, state: Arc::clone(&state), measures };
        tokio::spawn(keeping.run());
        Self { address, queue, state, able }
    }

    /// One that leads nowhere, in this state: open, silent, and so many waiting.
    #[cfg(test)]
    pub(super) fn imagined(address: Address, (is_open, is_silent, waiting): (bool, bool, usize)) -> Self {
        let (queue, questions) = mpsc::channel(1_024);
        // The questions stay where they are.
        std::mem::forget(questions);
        let state = State {
            is_open: AtomicBool::new(is_open),
            is_silent: AtomicBool::new(is_silent),
            waiting: AtomicUsize::new(waiting),
        };
        Self { address, queue, state: Arc::new(state), able: None }
    }

    /// The same, to one that can do nothing.
    #[cfg(test)]
    pub(super) fn unable(self) -> Self {
        Self { able: Some(Box::new(|_| false)), ..self }
    }

    /// Where it leads.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it may be asked.
    pub(super) fn is_open(&self) -> bool {
        self.state.is_open.load(Ordering::Acquire)
    }

    /// Whether nobody there has answered for a while, though somebody waits.
    pub(super) fn is_silent(&self) -> bool {
        self.state.is_silent.load(Ordering::Relaxed)
    }

    /// Whether the other side can do what is asked, as far as is known.
    pub(super) fn is_able(&self, question: &H::Question) -> bool {
        self.able.as_ref().is_none_or(|able| able(question))
    }

    /// Questions that have no answer yet.
    pub(super) fn waiting(&self) -> usize {
        self.state.waiting.load(Ordering::Relaxed)
    }

    /// Hands it a question.
    ///
    /// # Errors
    /// [`NotAsked::Full`].
    pub(super) fn hand_over(
        &self,
        question: H::Question,
        answer: oneshot::Sender<H::Answer>,
    ) -> Result<(), NotAsked> {
        let waiting = Waiting { answer, since: Instant::now(), _counted: Counted::new(&self.state) };
        self.queue.try_send((question, waiting)).map_err(|_| NotAsked::Full)
    }
}

/// What keeps a stream open.
struct Keeping<H: Hop> {
    name: String,
    address: Address,
    hop: H,
    questions: mpsc::Receiver<Asked<H>>,
    state: Arc<State>,
    measures: Measures,
}

impl<H: Hop> Keeping<H> {
    async fn run(mut self) {
        let (to, address) = (self.name.clone(), self.address.clone());
        let mut pause = FIRST_RECONNECT_PAUSE;
        while !self.questions.is_closed() {
            let (outgoing, messages) = mpsc::channel(MESSAGES_AHEAD);
            match self.hop.open(ReceiverStream::new(messages), &outgoing).await {
                Ok(incoming) => {
                    pause = FIRST_RECONNECT_PAUSE;
                    self.may_be_asked(true);
                    tracing::info!(to, %address, "stream open");
                    let end = self.converse(outgoing, incoming).await;
                    self.may_be_asked(false);
                    self.hop.ended();
                    tracing::warn!(to, %address, reason = %end, "stream ended; opening it again");
                }
                Err(status) => {
                    let reason = status.message();
                    tracing::debug!(to, %address, reason, "cannot open the stream; trying again");
                }
            }
            // What still waits never left: its askers hear so, rather than wait for the next stream.
            while self.questions.try_recv().is_ok() {}
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_RECONNECT_PAUSE);
        }
    }

    fn may_be_asked(&self, is_open: bool) {
        self.state.is_silent.store(false, Ordering::Relaxed);
        self.state.is_open.store(is_open, Ordering::Release);
    }

    /// Carries questions out and answers in until the stream ends; questions without an answer are lost then.
    async fn converse(
        &mut self,
        outgoing: mpsc::Sender<H::Outgoing>,
        mut incoming: Streaming<H::Incoming>,
    ) -> String {
        let mut asked: HashMap<u64, Waiting<H>> = HashMap::new();
        let mut next_number: u64 = 1;
        let mut batch = Vec::new();
        let mut is_asked = true;
        let mut listening = interval(LISTENING);
        listening.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut without_answer = 0;
        let end = loop {
            if !is_asked && asked.is_empty() {
                break "nobody asks any more".to_owned();
            }
            tokio::select! {
                // A place in the outgoing queue first, so that questions gather while the network is busy.
                place = outgoing.reserve(), if !batch.is_empty() => {
                    let Ok(place) = place else { break "the other side stopped reading".to_owned() };
                    while batch.len() < MAX_ITEMS_PER_MESSAGE
                        && let Ok(question) = self.questions.try_recv()
                    {
                        batch.push(question);
                    }
                    let mut numbered = Vec::with_capacity(batch.len());
                    for (question, waiting) in batch.drain(..) {
                        asked.insert(next_number, waiting);
                        numbered.push((next_number, question));
                        next_number += 1;
                    }
                    place.send(self.hop.pack(numbered));
                }
                question = self.questions.recv(), if is_asked && batch.is_empty() => match question {
                    Some(question) => batch.push(question),
                    None => is_asked = false,
                },
                message = incoming.message() => match message {
                    Ok(Some(message)) => {
                        if self.hop.is_leaving(&message) {
                            self.may_be_asked(false);
                        }
                        for (number, answer) in self.hop.unpack(message) {
                            if let Some(waiting) = asked.remove(&number) {
                                without_answer = 0;
                                self.measures.answered(waiting.since.elapsed().as_secs_f64());
                                // An asker who stopped waiting misses nothing.
                                let _ = waiting.answer.send(answer);
                            }
                        }
                    }
                    Ok(None) => break "closed by the other side".to_owned(),
                    Err(status) => break status.message().to_owned(),
                },
                _ = listening.tick() => {
                    without_answer = if asked.is_empty() { 0 } else { without_answer + 1 };
                    self.state.is_silent.store(without_answer > 2, Ordering::Relaxed);
                }
            }
        };
        self.measures.lost(asked.len());
        end
    }
}
