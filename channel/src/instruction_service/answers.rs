//! The answers of one Exchange: the directory at once and after each change, and outcomes as they come.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use proto::channel::{ExchangeResponse, Outcome};
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::WatchStream};
use tonic::Status;

use crate::directory::Directory;

/// At most so many outcomes in one answer, so that it stays far below the size of a gRPC message.
const MAX_OUTCOMES: usize = 1024;

/// Gathers into each answer whatever is ready; waits for nothing once something is.
#[derive(Debug)]
pub struct Answers {
    directory: WatchStream<Arc<Directory>>,
    outcomes: mpsc::Receiver<Outcome>,
}

impl Answers {
    pub(super) fn new(directory: watch::Receiver<Arc<Directory>>, outcomes: mpsc::Receiver<Outcome>) -> Self {
        Self { directory: WatchStream::new(directory), outcomes }
    }
}

impl Stream for Answers {
    type Item = Result<ExchangeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let directory = match Pin::new(&mut self.directory).poll_next(cx) {
            Poll::Ready(Some(directory)) => Some(directory.to_wire()),
            Poll::Ready(None) | Poll::Pending => None,
        };
        let mut outcomes = Vec::new();
        match (self.outcomes.poll_recv_many(cx, &mut outcomes, MAX_OUTCOMES), &directory) {
            (Poll::Ready(0), None) => Poll::Ready(None),
            (Poll::Pending, None) => Poll::Pending,
            _ => Poll::Ready(Some(Ok(ExchangeResponse { outcomes, directory, notices: Vec::new() }))),
        }
    }
}
