//! The answers of one Exchange: replies as they come, and who may call.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use common::exchange::Answering;
use proto::platform::{Callers, ExchangeResponse};
use tokio::sync::watch;
use tokio_stream::{Stream, wrappers::WatchStream};
use tonic::Status;

use crate::callers::Seen;

/// Replies with who may call in between.
pub struct Answers {
    replies: Answering<ExchangeResponse>,
    callers: WatchStream<Option<Seen>>,
    /// What this stream was told last.
    told: Option<i64>,
}

impl Answers {
    pub(super) fn new(replies: Answering<ExchangeResponse>, callers: watch::Receiver<Option<Seen>>) -> Self {
        Self { replies, callers: WatchStream::new(callers), told: None }
    }

    fn tell(&mut self, seen: Seen) -> ExchangeResponse {
        let age_ms = u32::try_from(seen.looked_at.elapsed().as_millis()).unwrap_or(u32::MAX);
        let is_new = self.told.replace(seen.acts) != Some(seen.acts);
        let known = is_new.then(|| (*seen.known).clone());
        ExchangeResponse { callers: Some(Callers { age_ms, known }), ..ExchangeResponse::default() }
    }
}

impl Stream for Answers {
    type Item = Result<ExchangeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Until the first look there is nothing to tell.
        while let Poll::Ready(Some(seen)) = Pin::new(&mut self.callers).poll_next(cx) {
            if let Some(seen) = seen {
                return Poll::Ready(Some(Ok(self.tell(seen))));
            }
        }
        // The end is when there can be no more replies.
        self.replies.as_mut().poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use proto::platform::{KnownCallers, Reply};
    use tokio::sync::mpsc;
    use tokio_stream::{StreamExt, wrappers::ReceiverStream};

    use super::*;

    #[tokio::test]
    async fn a_stream_is_told_who_may_call_once_and_then_that_it_is_still_so() {
        let (replies, coming) = mpsc::channel(1);
        let (see, seen) = watch::channel(None);
        let mut answers = Answers::new(Box::pin(ReceiverStream::new(coming)), seen);
        let look = |acts: i64, age| {
            let known = KnownCallers { api_keys: Vec::new(), disabled_participants: vec![acts.to_string()] };
            let looked_at = Instant::now().checked_sub(Duration::from_secs(age)).expect("up for longer");
            see.send_replace(Some(Seen { acts, known: Arc::new(known), looked_at }))
        };
        let mut told = async || {
            let told = answers.next().await.expect("open").expect("no error");
            let told = told.callers.map(|callers| (callers.age_ms / 1_000, callers.known));
            told.map(|(age, known)| (age, known.map(|known| known.disabled_participants)))
        };
        look(7, 3);
        assert_eq!(told().await, Some((3, Some(vec!["7".to_owned()]))));
        look(7, 0);
        assert_eq!(told().await, Some((0, None)));
        look(8, 0);
        assert_eq!(told().await, Some((0, Some(vec!["8".to_owned()]))));
        replies
            .send(Ok(ExchangeResponse { replies: vec![Reply::default()], ..ExchangeResponse::default() }))
            .await
            .expect("open");
        assert_eq!(told().await, None);
        drop(replies);
        assert!(answers.next().await.is_none(), "the end comes with the last reply");
    }
}
