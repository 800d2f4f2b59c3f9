//! The asking half: which of the streams a question goes to.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{addresses::follow, measured::Measures, stream::Stream};
use crate::rpc_client::Route;

/// One kind of hop: how to open a stream, and what its messages hold. Each stream has one of its own.
pub trait Hop: Send + 'static {
    /// A question.
    type Question: Send + 'static;
    /// The answer to one.
    type Answer: Send + 'static;
    /// A message of questions.
    type Outgoing: Send + 'static;
    /// A message of answers.
    type Incoming: Send + 'static;

    /// Opens the stream of these messages, which others may be added to by `aside`.
    fn open(
        &mut self,
        outgoing: ReceiverStream<Self::Outgoing>,
        aside: &mpsc::Sender<Self::Outgoing>,
    ) -> impl Future<Output = Result<Streaming<Self::Incoming>, Status>> + Send;

    /// Puts questions, each with its number, into a message.
    fn pack(&mut self, questions: Vec<(u64, Self::Question)>) -> Self::Outgoing;

    /// Whether the other side says in this message that it is about to go: whoever asks now is to ask elsewhere.
    fn is_leaving(&self, message: &Self::Incoming) -> bool;

    /// Takes the answers, each with its question's number, out of a message.
    fn unpack(&mut self, message: Self::Incoming) -> Vec<(u64, Self::Answer)>;

    /// Takes note that the stream has ended.
    fn ended(&mut self) {}

    /// What says of a question whether this other side can do what it asks; none if all can alike.
    fn able(&self) -> Option<Able<Self::Question>> {
        None
    }
}

/// Whether the other side can do what a question asks, as far as it has said.
pub type Able<Q> = Box<dyn Fn(&Q) -> bool + Send + Sync>;

/// Asks over a hop. Clones share the streams.
#[derive(Debug)]
pub struct Asker<H: Hop> {
    streams: watch::Receiver<Vec<Stream<H>>>,
    turn: Arc<AtomicUsize>,
    measures: Measures,
}

impl<H: Hop> Clone for Asker<H> {
    fn clone(&self) -> Self {
        Self { streams: self.streams.clone(), turn: Arc::clone(&self.turn), measures: self.measures.clone() }
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
    /// Hands a question to the stream on which the fewest wait, and returns where its answer will be.
    ///
    /// # Errors
    /// [`NotAsked`] at once; [`Lost`] later, from the returned future.
    pub fn ask(
        &self,
        question: H::Question,
    ) -> Result<impl Future<Output = Result<H::Answer, Lost>> + Send + use<H>, NotAsked> {
        let (answer, answered) = oneshot::channel();
        let handed_over = match self.next(&self.streams.borrow(), &question) {
            Some(stream) => stream.hand_over(question, answer),
            None => Err(NotAsked::Disconnected),
        };
        handed_over.inspect_err(|_| self.measures.not_asked())?;
        Ok(async move { answered.await.map_err(|_| Lost) })
    }

    /// The open stream on which the fewest wait; one that falls silent, or cannot do what is asked, only if that is so of all. Those alike have
    /// their turns.
    fn next<'a>(&self, streams: &'a [Stream<H>], question: &H::Question) -> Option<&'a Stream<H>> {
        if let [only] = streams {
            return only.is_open().then_some(only);
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % streams.len().max(1);
        let (later, sooner) = streams.split_at(first);
        let open = sooner.iter().chain(later).filter(|stream| stream.is_open());
        // Who refuses at once has the fewest waiting: without a look at what it can do it would draw everything.
        open.min_by_key(|stream| (!stream.is_able(question), stream.is_silent(), stream.waiting()))
    }

    /// Whether a stream is open now.
    pub fn is_open(&self) -> bool {
        self.streams.borrow().iter().any(Stream::is_open)
    }
}

/// Keeps a stream open to each address that the route leads to, over a hop that `make` makes of a connection, with at most
/// `max_waiting` questions queued on each; `name` says in the log and in metrics to whom.
pub fn ask<H: Hop>(
    name: &str,
    route: Route,
    make: impl Fn(Channel) -> H + Send + 'static,
    max_waiting: usize,
) -> Asker<H> {
    route.keep_current();
    let (sender, streams) = watch::channel(Vec::new());
    let seen = streams.clone();
    let open = move || seen.borrow().iter().map(|stream: &Stream<H>| u64::from(stream.is_open())).sum();
    let measures = Measures::new(name, open);
    let (to, kept) = (name.to_owned(), measures.clone());
    let open = move |address| Stream::keep_open(to.clone(), address, &make, max_waiting, kept.clone());
    tokio::spawn(follow(name.to_owned(), route, open, sender));
    Asker { streams, turn: Arc::default(), measures }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rpc_client::Address;

    /// A hop of which no stream is ever opened.
    pub(in crate::exchange) struct Nowhere;

    impl Hop for Nowhere {
        type Question = ();
        type Answer = ();
        type Outgoing = ();
        type Incoming = ();

        async fn open(
            &mut self,
            _: ReceiverStream<()>,
            _: &mpsc::Sender<()>,
        ) -> Result<Streaming<()>, Status> {
            Err(Status::unavailable("nowhere"))
        }

        fn pack(&mut self, _: Vec<(u64, ())>) {}

        fn is_leaving(&self, (): &()) -> bool {
            false
        }

        fn unpack(&mut self, (): ()) -> Vec<(u64, ())> {
            Vec::new()
        }
    }

    /// Which of these streams (open, silent, waiting) ten questions would go to, if no answer came.
    fn asked(streams: &[(bool, bool, usize)]) -> Vec<usize> {
        let imagined =
            (0..).zip(streams).map(|(port, state)| Stream::imagined(Address::imagined(port), *state));
        asked_of(imagined.collect())
    }

    fn asked_of(streams: Vec<Stream<Nowhere>>) -> Vec<usize> {
        let (_sender, receiver) = watch::channel(Vec::new());
        let measures = Measures::new("nowhere", || 0);
        let asker = Asker { streams: receiver, turn: Arc::default(), measures };
        let mut asked = Vec::new();
        for _ in 0..10 {
            let Some(next) = asker.next(&streams, &()) else { break };
            asked.push(streams.iter().position(|stream| std::ptr::eq(stream, next)).expect("one of them"));
            next.hand_over((), oneshot::channel().0).expect("room");
        }
        asked
    }

    #[test]
    fn a_question_goes_where_the_fewest_wait() {
        let open = |waiting| (true, false, waiting);
        assert_eq!(asked(&[]).len(), 0, "there is none");
        assert_eq!(asked(&[(false, false, 0)]).len(), 0, "the only one is down");
        assert_eq!(asked(&[open(7)]), [0; 10]);
        let even = asked(&[open(0), open(0)]);
        assert_eq!(even.iter().filter(|stream| **stream == 0).count(), 5, "{even:?}");
        let catching_up = asked(&[open(8), open(2)]);
        assert_eq!(&catching_up[..6], [1; 6]);
        assert!(catching_up[6..].contains(&0) && catching_up[6..].contains(&1), "{catching_up:?}");
    }

    #[test]
    fn one_that_cannot_do_it_is_asked_only_when_none_can() {
        let stream = |port, waiting| Stream::imagined(Address::imagined(port), (true, false, waiting));
        let silent = || Stream::imagined(Address::imagined(2), (true, true, 0));
        assert_eq!(asked_of(vec![stream(0, 0).unable(), stream(1, 1_000)]), [1; 10]);
        assert_eq!(asked_of(vec![stream(0, 0).unable(), silent()]), [1; 10]);
        let none = asked_of(vec![stream(0, 0).unable(), stream(1, 0).unable()]);
        assert_eq!(none.iter().filter(|stream| **stream == 0).count(), 5, "{none:?}");
    }

    #[test]
    fn one_that_is_down_is_never_asked_and_one_that_is_silent_only_when_all_are() {
        assert_eq!(asked(&[(false, false, 0), (true, false, 1_000)]), [1; 10]);
        assert_eq!(asked(&[(true, true, 1), (true, false, 1_000)]), [1; 10]);
        assert_eq!(asked(&[(true, true, 50), (true, true, 1), (false, false, 0)]), [1; 10]);
    }
}
