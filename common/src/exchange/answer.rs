//! The answering half: each item of each message in a task of its own, answers sent as they become ready.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    time::sleep,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Status, Streaming};

use crate::lifecycle::Lifecycle;

/// How many answers one message carries at most.
const MAX_ITEMS_PER_MESSAGE: usize = 256;
/// How long whoever said that it is about to go still reads what was on its way.
pub const FAREWELL: Duration = Duration::from_millis(300);

/// The stream of messages of answers.
pub type Answering<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// When a stream comes to its end by this side, and what the other one hears then, so that it asks elsewhere.
#[derive(Clone, Debug)]
pub struct Leaving<M> {
    /// Whose drain it is.
    pub lifecycle: Lifecycle,
    /// The message that says so.
    pub farewell: M,
}

/// Answers every item of every incoming message: `unpack` takes the items out, `handle` answers one, `refuse` answers one
/// that exceeds `max_under_way`, `pack` puts answers into a message. Work that was begun goes on when the stream breaks.
/// Ends when the other side does, after the last answer; or when this one is `leaving`.
pub fn answer<Incoming, Item, Answer, Outgoing, Handling>(
    mut incoming: Streaming<Incoming>,
    leaving: Leaving<Outgoing>,
    max_under_way: usize,
    unpack: impl Fn(Incoming) -> Vec<Item> + Send + 'static,
    handle: impl Fn(Item) -> Handling + Send + 'static,
    refuse: impl Fn(Item) -> Answer + Send + 'static,
    pack: impl Fn(Vec<Answer>) -> Outgoing + Send + 'static,
) -> Answering<Outgoing>
where
    Incoming: Send + 'static,
    Item: Send + 'static,
    Answer: Send + 'static,
    Outgoing: Send + 'static,
    Handling: Future<Output = Answer> + Send + 'static,
{
    let (answers, mut answered) = mpsc::channel::<Answer>(max_under_way.max(1));
    let (outgoing, messages) = mpsc::channel(2);
    let places = Arc::new(Semaphore::new(max_under_way));
    let farewell = outgoing.clone();
    tokio::spawn(async move {
        let leave = async {
            leaving.lifecycle.draining().await;
            // Nobody is left to hear it when the stream broke.
            let _ = farewell.send(Ok(leaving.farewell)).await;
            sleep(FAREWELL).await;
        };
        tokio::pin!(leave);
        loop {
            let message = tokio::select! {
                message = incoming.message() => message,
                () = &mut leave => break,
            };
            let Ok(Some(message)) = message else { break };
            for item in unpack(message) {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    if answers.send(refuse(item)).await.is_err() {
                        break;
                    }
                    continue;
                };
                let answers = answers.clone();
                // In a place of its own at once: it is large, and would be copied on its way into the task.
                let handling = Box::pin(handle(item));
                tokio::spawn(async move {
                    let answer = handling.await;
                    // Nobody is left to hear it when the stream broke; what was done is on record.
                    let _ = answers.send(answer).await;
                    drop(place);
                });
            }
        }
    });
    tokio::spawn(async move {
        let mut ready = Vec::new();
        while answered.recv_many(&mut ready, MAX_ITEMS_PER_MESSAGE).await > 0 {
            if outgoing.send(Ok(pack(std::mem::take(&mut ready)))).await.is_err() {
                return;
            }
        }
    });
    Box::pin(ReceiverStream::new(messages))
}
