//! The answers of one Exchange: the directory at once and after each change, notices and outcomes as they come.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use proto::channel::{ExchangeResponse, Notice, Outcome};
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::WatchStream};
use tonic::Status;

use crate::directory::Directory;

/// At most so many outcomes, and as many notices, in one answer, so that it stays far below the size of a gRPC message.
const MAX_ITEMS: usize = 1024;

/// Gathers into each answer whatever is ready; waits for nothing once something is.
#[derive(Debug)]
pub struct Answers {
    directory: WatchStream<Arc<Directory>>,
    notices: mpsc::Receiver<Notice>,
    outcomes: mpsc::Receiver<Outcome>,
}

impl Answers {
    pub(super) fn new(
        directory: watch::Receiver<Arc<Directory>>,
        notices: mpsc::Receiver<Notice>,
        outcomes: mpsc::Receiver<Outcome>,
    ) -> Self {
        Self { directory: WatchStream::new(directory), notices, outcomes }
    }
}

impl Stream for Answers {
    type Item = Result<ExchangeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let directory = match Pin::new(&mut self.directory).poll_next(cx) {
            Poll::Ready(Some(directory)) => Some(directory.to_wire()),
            Poll::Ready(None) | Poll::Pending => None,
        };
        let (mut notices, mut outcomes) = (Vec::new(), Vec::new());
        // The end is when there can be no more outcomes, whatever else there might be.
        let noticed = self.notices.poll_recv_many(cx, &mut notices, MAX_ITEMS);
        let answered = self.outcomes.poll_recv_many(cx, &mut outcomes, MAX_ITEMS);
        let is_unasked = directory.is_some() || matches!(noticed, Poll::Ready(1..));
        match answered {
            Poll::Ready(0) if !is_unasked => Poll::Ready(None),
            Poll::Pending if !is_unasked => Poll::Pending,
            _ => Poll::Ready(Some(Ok(ExchangeResponse { outcomes, directory, notices }))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_goes_into_one_answer_and_before_the_end() {
        let (_published, directory) = watch::channel(Arc::default());
        let (notices, noticed) = mpsc::channel(2);
        let (outcomes, answered) = mpsc::channel(2);
        notices.send(Notice::default()).await.expect("room");
        outcomes.send(Outcome::default()).await.expect("room");
        let mut answers = Answers::new(directory, noticed, answered);
        let first = answers.next().await.expect("an answer").expect("no error");
        assert_eq!((first.directory.is_some(), first.notices.len(), first.outcomes.len()), (true, 1, 1));

        notices.send(Notice::default()).await.expect("room");
        drop(outcomes);
        let last = answers.next().await.expect("an answer").expect("no error");
        assert_eq!((last.directory.is_some(), last.notices.len(), last.outcomes.len()), (false, 1, 0));
        assert!(answers.next().await.is_none(), "the end comes with the last outcome");
    }
}
