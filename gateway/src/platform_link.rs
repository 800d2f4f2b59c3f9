//! The streams to the platforms of each cell: commands out, replies in; and who may call, whenever that changes.

use std::{sync::Arc, time::Duration};

use common::{
    exchange::{Asker, Hop, ask},
    rpc_client::Route,
};
use proto::platform::{
    Command, ExchangeRequest, ExchangeResponse, KnownCallers, Reply,
    platform_service_client::PlatformServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use crate::{
    cell::Cell,
    participant::{Heard, Participants},
};

/// The largest message of replies: 256 of them, pages of lists among them; or every API key.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Asks the platforms of a cell to carry out commands.
pub type PlatformLink = Asker<PlatformHop>;

/// Opens the streams to the platforms of a cell and keeps them open; `participants` hear who may call.
pub fn open(cell: Cell, route: Route, max_waiting: usize, participants: Arc<Participants>) -> PlatformLink {
    let make = move |channel| PlatformHop {
        client: PlatformServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
        participants: Arc::clone(&participants),
        heard: Arc::new(Heard::new(cell, KnownCallers::default())),
    };
    ask(&name_of(cell), route, make, max_waiting)
}

/// What the platform of a cell is called in the log and in metrics: that of the first as it is where there is no other.
fn name_of(cell: Cell) -> String {
    if cell == Cell::default() { "platform".to_owned() } else { format!("platform-{cell}") }
}

/// The hop from the gateway to a platform.
#[derive(Debug)]
pub struct PlatformHop {
    client: PlatformServiceClient<Channel>,
    participants: Arc<Participants>,
    /// What this platform said last of who may call.
    heard: Arc<Heard>,
}

impl Hop for PlatformHop {
    type Question = Command;
    type Answer = Reply;
    type Outgoing = ExchangeRequest;
    type Incoming = ExchangeResponse;

    async fn open(
        &mut self,
        outgoing: ReceiverStream<ExchangeRequest>,
        _aside: &mpsc::Sender<ExchangeRequest>,
    ) -> Result<Streaming<ExchangeResponse>, Status> {
        Ok(self.client.exchange(outgoing).await?.into_inner())
    }

    fn pack(&mut self, questions: Vec<(u64, Command)>) -> ExchangeRequest {
        let numbered =
            questions.into_iter().map(|(number, question)| Command { correlation_id: number, ..question });
        ExchangeRequest { commands: numbered.collect() }
    }

    fn is_leaving(&self, message: &ExchangeResponse) -> bool {
        message.is_leaving
    }

    fn unpack(&mut self, message: ExchangeResponse) -> Vec<(u64, Reply)> {
        if let Some(callers) = message.callers {
            if let Some(known) = callers.known {
                self.heard = Arc::new(Heard::new(self.heard.cell(), known));
            }
            self.participants.hear(&self.heard, Duration::from_millis(callers.age_ms.into()));
        }
        message.replies.into_iter().map(|reply| (reply.correlation_id, reply)).collect()
    }
}
