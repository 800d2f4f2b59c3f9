//! The stream to the platform: commands out, replies in; and who may call, whenever that changes.

use std::sync::Arc;

use common::exchange::{Asker, Hop, ask};
use proto::platform::{
    Command, ExchangeRequest, ExchangeResponse, Reply, platform_service_client::PlatformServiceClient,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use crate::participant::Participants;

/// The largest message of replies: 256 of them, pages of lists among them; or every API key.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Asks the platform to carry out commands.
pub type PlatformLink = Asker<PlatformHop>;

/// Opens the stream to the platform and keeps it open; `participants` hear who may call.
pub fn open(channel: Channel, max_waiting: usize, participants: Arc<Participants>) -> PlatformLink {
    let client = PlatformServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    ask("platform", PlatformHop { client, participants }, max_waiting)
}

/// The hop from the gateway to the platform.
#[derive(Debug)]
pub struct PlatformHop {
    client: PlatformServiceClient<Channel>,
    participants: Arc<Participants>,
}

impl Hop for PlatformHop {
    type Question = Command;
    type Answer = Reply;
    type Outgoing = ExchangeRequest;
    type Incoming = ExchangeResponse;

    async fn open(
        &mut self,
        outgoing: ReceiverStream<ExchangeRequest>,
    ) -> Result<Streaming<ExchangeResponse>, Status> {
        Ok(self.client.exchange(outgoing).await?.into_inner())
    }

    fn pack(&mut self, questions: Vec<(u64, Command)>) -> ExchangeRequest {
        let numbered =
            questions.into_iter().map(|(number, question)| Command { correlation_id: number, ..question });
        ExchangeRequest { commands: numbered.collect() }
    }

    fn unpack(&mut self, message: ExchangeResponse) -> Vec<(u64, Reply)> {
        if let Some(callers) = message.callers {
            self.participants.hear(callers);
        }
        message.replies.into_iter().map(|reply| (reply.correlation_id, reply)).collect()
    }
}
