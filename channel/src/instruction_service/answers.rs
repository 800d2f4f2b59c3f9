//! The answers of one Exchange: the directory at once and after each change, notices and outcomes as they come, and that the channel is
//! about to go.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use proto::channel::{ExchangeResponse, Notice, Outcome};
use tokio::sync::{mpsc, oneshot, watch};
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
    /// Until it has come.
    leaving: Option<oneshot::Receiver<()>>,
}

impl Answers {
    pub(super) fn new(
        directory: watch::Receiver<Arc<Directory>>,
        notices: mpsc::Receiver<Notice>,
        outcomes: mpsc::Receiver<Outcome>,
        leaving: oneshot::Receiver<()>,
    ) -> Self {
        Self { directory: WatchStream::new(directory), notices, outcomes, leaving: Some(leaving) }
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
        let leaving = self.leaving.as_mut().map(|leaving| Pin::new(leaving).poll(cx));
        let is_leaving = matches!(leaving, Some(Poll::Ready(Ok(()))));
        if matches!(leaving, Some(Poll::Ready(_))) {
            self.leaving = None;
        }
        let is_unasked = directory.is_some() || is_leaving || matches!(noticed, Poll::Ready(1..));
        match answered {
            Poll::Ready(0) if !is_unasked => Poll::Ready(None),
            Poll::Pending if !is_unasked => Poll::Pending,
            _ => Poll::Ready(Some(Ok(ExchangeResponse { outcomes, directory, notices, is_leaving }))),
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
        let (leave, leaving) = oneshot::channel();
        let mut answers = Answers::new(directory, noticed, answered, leaving);
        let first = answers.next().await.expect("an answer").expect("no error");
        assert_eq!((first.directory.is_some(), first.notices.len(), first.outcomes.len()), (true, 1, 1));

        leave.send(()).expect("heard");
        assert!(answers.next().await.expect("an answer").expect("no error").is_leaving);

        notices.send(Notice::default()).await.expect("room");
        drop(outcomes);
        let last = answers.next().await.expect("an answer").expect("no error");
        assert_eq!((last.directory.is_some(), last.notices.len(), last.outcomes.len()), (false, 1, 0));
        assert!(answers.next().await.is_none(), "the end comes with the last outcome");
    }
}
