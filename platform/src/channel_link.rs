//! The stream to the channel: instructions out, what is known of them in, and the directory whenever it changes.

use common::exchange::{Asker, Hop, ask};
use proto::channel::{
    Directory, ExchangeRequest, ExchangeResponse, Instruction, Outcome,
    instruction_service_client::InstructionServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

/// The largest message of outcomes: 256 of them and a directory.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Opens the stream to the channel and keeps it open; directories go to `directories`.
pub fn open(
    channel: Channel,
    max_waiting: usize,
    directories: mpsc::UnboundedSender<Directory>,
) -> ChannelLink {
    let client = InstructionServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    ask("channel", ChannelHop { client, directories }, max_waiting)
}

/// Asks the channel to carry instructions.
pub type ChannelLink = Asker<ChannelHop>;

/// The hop from the platform to the channel.
#[derive(Debug)]
pub struct ChannelHop {
    client: InstructionServiceClient<Channel>,
    directories: mpsc::UnboundedSender<Directory>,
}

impl Hop for ChannelHop {
    type Question = Instruction;
    type Answer = Outcome;
    type Outgoing = ExchangeRequest;
    type Incoming = ExchangeResponse;

    async fn open(
        &mut self,
        outgoing: ReceiverStream<ExchangeRequest>,
    ) -> Result<Streaming<ExchangeResponse>, Status> {
        Ok(self.client.exchange(outgoing).await?.into_inner())
    }

    fn pack(&mut self, questions: Vec<(u64, Instruction)>) -> ExchangeRequest {
        let numbered = questions
            .into_iter()
            .map(|(number, question)| Instruction { correlation_id: number, ..question });
        ExchangeRequest { instructions: numbered.collect(), receipts: Vec::new() }
    }

    fn unpack(&mut self, message: ExchangeResponse) -> Vec<(u64, Outcome)> {
        if let Some(directory) = message.directory {
            // The receiver lives as long as the process; at its end nobody needs a directory.
            let _ = self.directories.send(directory);
        }
        message.outcomes.into_iter().map(|outcome| (outcome.correlation_id, outcome)).collect()
    }
}
