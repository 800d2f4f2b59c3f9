//! The streams to the channels: instructions out, what is known of them in; notices in, receipts out; and the directories
//! whenever they change.

mod directories;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use common::{
    exchange::{Able, Asker, Hop, ask},
    rpc_client::Route,
};
use proto::channel::{
    ComposeRequest, Directory, ExchangeRequest, ExchangeResponse, Instruction, Notice, NoticeReceipt,
    Outcome, instruction_service_client::InstructionServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use directories::Directories;

/// The largest message of outcomes: 256 of them and a directory.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Notices that wait to be looked at; the bank sends again what does not fit.
const MAX_WAITING_NOTICES: usize = 256;

/// What the channels say unasked.
#[derive(Debug)]
pub struct News {
    /// The directory that all channels make, at the start and whenever it changes.
    pub directories: mpsc::UnboundedReceiver<Directory>,
    /// What banks say unasked.
    pub notices: mpsc::Receiver<Noticed>,
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

/// A notice, and where its receipt is waited for.
#[derive(Debug)]
pub struct Noticed {
    /// What a bank said.
    pub notice: Notice,
    /// The channel that it said it to.
    pub receipts: Receipts,
}

/// The stream on which a notice came, and its receipt is waited for.
#[derive(Clone, Debug)]
pub struct Receipts(mpsc::Sender<ExchangeRequest>);

impl Receipts {
    /// Says what became of a notice. Without a receipt the bank sends it again, as it does when the stream has broken.
    pub async fn give(&self, receipt: NoticeReceipt) {
        let request = ExchangeRequest { instructions: Vec::new(), receipts: vec![receipt] };
        let _ = self.0.send(request).await;
    }
}

/// Opens the streams to the channels and keeps them open.
pub fn open(route: Route, max_waiting: usize) -> (ChannelLink, News, Composer) {
    let composer = Composer { client: InstructionServiceClient::new(route.clone().connect()) };
    let (directories, new_directories) = Directories::new();
    let (notices, new_notices) = mpsc::channel(MAX_WAITING_NOTICES);
    let (directories, streams) = (Arc::new(directories), AtomicU64::new(0));
    let make = move |channel| ChannelHop {
        client: InstructionServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
        stream: streams.fetch_add(1, Ordering::Relaxed),
        directories: Arc::clone(&directories),
        notices: notices.clone(),
        receipts: None,
    };
    let link = ask("channel", route, make, max_waiting);
    (link, News { directories: new_directories, notices: new_notices }, composer)
}

/// Asks the channels to carry instructions.
pub type ChannelLink = Asker<ChannelHop>;

/// The hop from the platform to a channel.
#[derive(Debug)]
pub struct ChannelHop {
    client: InstructionServiceClient<Channel>,
    /// Its number among the streams.
    stream: u64,
    directories: Arc<Directories>,
    notices: mpsc::Sender<Noticed>,
    /// Where they go, once the stream is open.
    receipts: Option<Receipts>,
}

impl Hop for ChannelHop {
    type Question = Box<Instruction>;
    type Answer = Outcome;
    type Outgoing = ExchangeRequest;
    type Incoming = ExchangeResponse;

    async fn open(
        &mut self,
        outgoing: ReceiverStream<ExchangeRequest>,
        aside: &mpsc::Sender<ExchangeRequest>,
    ) -> Result<Streaming<ExchangeResponse>, Status> {
        let answers = self.client.exchange(outgoing).await?.into_inner();
        self.receipts = Some(Receipts(aside.clone()));
        Ok(answers)
    }

    fn pack(&mut self, questions: Vec<(u64, Box<Instruction>)>) -> ExchangeRequest {
        let numbered = questions
            .into_iter()
            .map(|(number, question)| Instruction { correlation_id: number, ..*question });
        ExchangeRequest { instructions: numbered.collect(), receipts: Vec::new() }
    }

    fn is_leaving(&self, message: &ExchangeResponse) -> bool {
        message.is_leaving
    }

    fn unpack(&mut self, message: ExchangeResponse) -> Vec<(u64, Outcome)> {
        if let Some(directory) = message.directory {
            self.directories.hear(self.stream, directory);
        }
        if message.is_leaving {
            self.directories.forget(self.stream);
        }
        for notice in message.notices {
            let Some(receipts) = self.receipts.clone() else { continue };
            // Without a receipt the bank sends it again.
            let _ = self.notices.try_send(Noticed { notice, receipts });
        }
        message.outcomes.into_iter().map(|outcome| (outcome.correlation_id, outcome)).collect()
    }

    fn able(&self) -> Option<Able<Box<Instruction>>> {
        let (directories, stream) = (Arc::clone(&self.directories), self.stream);
        Some(Box::new(move |instruction| directories.reaches(stream, &instruction.bank_id)))
    }

    fn ended(&mut self) {
        self.receipts = None;
        self.directories.forget(self.stream);
    }
}
