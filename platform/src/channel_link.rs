//! The stream to the channel: instructions out, what is known of them in; notices in, receipts out; and the directory
//! whenever it changes.

use common::exchange::{Asker, Hop, ask};
use proto::channel::{
    ComposeRequest, Directory, ExchangeRequest, ExchangeResponse, Instruction, Notice, NoticeReceipt,
    Outcome, instruction_service_client::InstructionServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

/// The largest message of outcomes: 256 of them and a directory.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Notices that wait to be looked at; the bank sends again what does not fit.
const MAX_WAITING_NOTICES: usize = 256;

/// What the channel says unasked.
#[derive(Debug)]
pub struct News {
    /// The directory, at the start and whenever it changes.
    pub directories: mpsc::UnboundedReceiver<Directory>,
    /// What banks say unasked.
    pub notices: mpsc::Receiver<Notice>,
}

/// Has the channel write messages that it does not send.
#[derive(Clone, Debug)]
pub struct Composer {
    client: InstructionServiceClient<Channel>,
}

impl Composer {
    /// What is, or was, sent to a bank to carry this instruction.
    ///
    /// # Errors
    /// When the channel does not answer, or no longer knows the bank.
    pub async fn compose(&self, instruction: Instruction) -> Result<String, Status> {
        let request = ComposeRequest { instruction: Some(instruction) };
        Ok(self.client.clone().compose(request).await?.into_inner().document)
    }
}

/// Opens the stream to the channel and keeps it open.
pub fn open(channel: Channel, max_waiting: usize) -> (ChannelLink, News, Composer) {
    let client = InstructionServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let composer = Composer { client: client.clone() };
    let (directories, new_directories) = mpsc::unbounded_channel();
    let (notices, new_notices) = mpsc::channel(MAX_WAITING_NOTICES);
    let link = ask("channel", ChannelHop { client, directories, notices }, max_waiting);
    (link, News { directories: new_directories, notices: new_notices }, composer)
}

/// Asks the channel to carry instructions.
pub type ChannelLink = Asker<ChannelHop>;

/// What goes to the channel.
#[derive(Debug)]
pub enum ToChannel {
    /// An instruction, which is answered.
    Instruction(Box<Instruction>),
    /// What became of a notice.
    Receipt(NoticeReceipt),
}

/// The hop from the platform to the channel.
#[derive(Debug)]
pub struct ChannelHop {
    client: InstructionServiceClient<Channel>,
    directories: mpsc::UnboundedSender<Directory>,
    notices: mpsc::Sender<Notice>,
}

impl Hop for ChannelHop {
    type Question = ToChannel;
    type Answer = Outcome;
    type Outgoing = ExchangeRequest;
    type Incoming = ExchangeResponse;

    async fn open(
        &mut self,
        outgoing: ReceiverStream<ExchangeRequest>,
    ) -> Result<Streaming<ExchangeResponse>, Status> {
        Ok(self.client.exchange(outgoing).await?.into_inner())
    }

    fn pack(&mut self, questions: Vec<(u64, ToChannel)>) -> ExchangeRequest {
        let mut request = ExchangeRequest::default();
        for (number, question) in questions {
            match question {
                ToChannel::Instruction(instruction) => {
                    request.instructions.push(Instruction { correlation_id: number, ..*instruction });
                }
                ToChannel::Receipt(receipt) => request.receipts.push(receipt),
            }
        }
        request
    }

    fn unpack(&mut self, message: ExchangeResponse) -> Vec<(u64, Outcome)> {
        if let Some(directory) = message.directory {
            // The receiver lives as long as the process; at its end nobody needs a directory.
            let _ = self.directories.send(directory);
        }
        for notice in message.notices {
            // Without a receipt the bank sends it again.
            let _ = self.notices.try_send(notice);
        }
        message.outcomes.into_iter().map(|outcome| (outcome.correlation_id, outcome)).collect()
    }
}
