//! The gRPC face of the channel. Execute and Exchange begin every instruction in the same way, each in a task of its own
//! that nobody cancels: a caller who goes away does not stop a message halfway to a bank.
//!
//! The answering half of Exchange is not `common::exchange::answer`: that one stops reading when it drains, which here
//! would leave payments in doubt that can still be told to be not sent, and its cap is per stream, which here is per bank.

mod answers;

use std::sync::Arc;

use common::{
    crash_point,
    exchange::FAREWELL,
    fault::{Fault, Violation},
    lifecycle::Lifecycle,
    trace::SpanKind,
};
use proto::channel::{
    ComposeRequest, ComposeResponse, ExchangeRequest, ExecuteRequest, ExecuteResponse, GetDirectoryRequest,
    GetDirectoryResponse, Instruction as WireInstruction, Outcome,
    instruction_service_server::InstructionService, outcome::Verdict,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::{
    bulkhead::Bulkhead,
    directory::Directory,
    instruction::{Instruction, described},
    metrics,
    notices::{Connection, Notices},
    rails::{Said, not_sent},
};
use answers::Answers;

/// How many outcomes may wait to be sent to one platform before its instructions are no longer read.
const WAITING_OUTCOMES: usize = 1024;

/// Carries instructions to the banks of the directory.
#[derive(Debug, Clone)]
pub struct Instructions {
    directory: watch::Receiver<Arc<Directory>>,
    notices: Notices,
    bulkhead: Bulkhead,
    lifecycle: Lifecycle,
    under_way: TaskTracker,
}

impl Instructions {
    /// Carries instructions to the banks of the directory as it is at the time, as many at once as `bulkhead` has places
    /// for; platforms get `notices`.
    pub fn new(
        directory: watch::Receiver<Arc<Directory>>,
        notices: Notices,
        bulkhead: Bulkhead,
        lifecycle: Lifecycle,
    ) -> Self {
        Self { directory, notices, bulkhead, lifecycle, under_way: TaskTracker::new() }
    }

    /// Waits until nothing is under way, or the lifecycle stops.
    pub async fn finish(&self) {
        self.under_way.close();
        tokio::select! {
            () = self.under_way.wait() => {}
            () = self.lifecycle.stopped() => {
                tracing::warn!(under_way = self.under_way.len(), "stopped with instructions under way");
            }
        }
    }

    /// Begins to carry an instruction in a task of its own, which sends the outcome to `outcomes`.
    ///
    /// # Errors
    /// What is wrong with the instruction, of which nothing was carried.
    async fn begin(
        &self,
        instruction: WireInstruction,
        tasks: &TaskTracker,
        outcomes: &mpsc::Sender<Outcome>,
    ) -> Result<(), Vec<Violation>> {
        let correlation_id = instruction.correlation_id;
        let instruction = Instruction::parse(instruction)?;
        let place = if self.lifecycle.is_draining() {
            Err(not_sent("CHANNEL_STOPPING", "the channel is about to stop"))
        } else {
            self.bulkhead
                .enter(&instruction)
                .ok_or_else(|| not_sent("CHANNEL_BUSY", "too many instructions are under way"))
        };
        let outcomes = outcomes.clone();
        match place {
            Ok(place) => {
                let directory = Arc::clone(&self.directory.borrow());
                let logged = log_span(&instruction);
                let mut span = instruction.trace().span(instruction.message().name(), SpanKind::Server);
                span.set("rialto.bank.id", instruction.bank_id().to_owned());
                let instruction = instruction.traced(span.context());
                let carried = async move {
                    crash_point::here("channel.before_bank");
                    let said = directory.carry(&instruction).await;
                    crash_point::here("channel.after_bank");
                    span.set("rialto.bank.verdict", metrics::name_of(&said.verdict));
                    drop(span);
                    answer(&outcomes, correlation_id, said).await;
                    drop(place);
                };
                tasks.spawn(carried.instrument(logged));
            }
            Err(verdict) => answer(&outcomes, correlation_id, verdict.into()).await,
        }
        Ok(())
    }

    /// Begins whatever the platform sends, until it goes away or the channel stops. During a drain, of which the platform is told by
    /// `leaving`, the stream stays open until everything under way is answered.
    async fn exchange_until_end(
        &self,
        mut requests: Streaming<ExchangeRequest>,
        outcomes: mpsc::Sender<Outcome>,
        leaving: oneshot::Sender<()>,
        connection: Connection,
        tasks: TaskTracker,
    ) {
        let drained = async {
            self.lifecycle.draining().await;
            // Nobody is left to hear it when the stream broke.
            let _ = leaving.send(());
            sleep(FAREWELL).await;
            tasks.close();
            tasks.wait().await;
        };
        tokio::pin!(drained);
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                () = &mut drained => return,
            };
            match request {
                Ok(Some(request)) => {
                    request.receipts.into_iter().for_each(|receipt| connection.receive(receipt));
                    for instruction in request.instructions {
                        let correlation_id = instruction.correlation_id;
                        if let Err(violations) = self.begin(instruction, &tasks, &outcomes).await {
                            let problems = described(&violations);
                            tracing::warn!(correlation_id, problems, "an instruction that can't be carried");
                            let verdict = not_sent("INVALID_INSTRUCTION", problems);
                            answer(&outcomes, correlation_id, verdict.into()).await;
                        }
                    }
                }
                Ok(None) => break,
                Err(status) => {
                    tracing::info!(code = ?status.code(), under_way = tasks.len(), "a platform went away");
                    break;
                }
            }
        }
        // Nobody is left to send receipts.
        drop(connection);
        tasks.close();
        tasks.wait().await;
    }
}

/// What the log says with everything that happens to an instruction: its trace and references, no personal data.
fn log_span(instruction: &Instruction) -> tracing::Span {
    let message = instruction.message().name();
    tracing::info_span!(
        "instruction",
        trace_id = instruction.trace().trace_id(),
        uetr = instruction.uetr(),
        bank = instruction.bank_id(),
        message,
    )
}

async fn answer(outcomes: &mpsc::Sender<Outcome>, correlation_id: u64, said: Said) {
    match &said.verdict {
        Verdict::Accepted(_) => tracing::info!("accepted"),
        Verdict::Rejected(rejected) => tracing::info!(iso_code = rejected.iso_code, "rejected"),
        Verdict::NotFound(_) => tracing::info!("not found"),
        Verdict::NotSent(not_sent) => {
            tracing::info!(reason = not_sent.reason, detail = not_sent.detail, "not sent")
        }
        Verdict::Unknown(unknown) => {
            tracing::warn!(reason = unknown.reason, detail = unknown.detail, "unknown")
        }
    }
    let outcome = Outcome { correlation_id, verdict: Some(said.verdict), bank_message: said.bank_message };
    if outcomes.send(outcome).await.is_err() {
        tracing::warn!("nobody is left to hear the outcome; an enquiry will find it");
    }
}

#[tonic::async_trait]
impl InstructionService for Instructions {
    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteResponse>, Status> {
        let missing = || Fault::invalid(vec![Violation::new("instruction", "is missing")]);
        let instruction = request.into_inner().instruction.ok_or_else(missing)?;
        let (sender, mut outcomes) = mpsc::channel(1);
        self.begin(instruction, &self.under_way, &sender).await.map_err(invalid)?;
        drop(sender);
        let outcome = outcomes.recv().await.ok_or_else(Fault::internal)?;
        Ok(Response::new(ExecuteResponse { outcome: Some(outcome) }))
    }

    type ExchangeStream = Answers;

    async fn exchange(
        &self,
        request: Request<Streaming<ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let (sender, outcomes) = mpsc::channel(WAITING_OUTCOMES);
        let tasks = TaskTracker::new();
        let (connection, notices) = self.notices.connect(tasks.clone());
        let (leave, leaving) = oneshot::channel();
        let instructions = self.clone();
        self.under_way.spawn(async move {
            instructions.exchange_until_end(request.into_inner(), sender, leave, connection, tasks).await;
        });
        Ok(Response::new(Answers::new(self.directory.clone(), notices, outcomes, leaving)))
    }

    async fn compose(&self, request: Request<ComposeRequest>) -> Result<Response<ComposeResponse>, Status> {
        let missing = || Fault::invalid(vec![Violation::new("instruction", "is missing")]);
        let instruction = request.into_inner().instruction.ok_or_else(missing)?;
        let instruction = Instruction::parse(instruction).map_err(invalid)?;
        let bank = self.directory.borrow().bank(instruction.bank_id());
        let bank = bank.ok_or_else(|| Fault::not_found("bank"))?;
        Ok(Response::new(ComposeResponse { document: bank.compose(&instruction) }))
    }

    async fn get_directory(
        &self,
        _request: Request<GetDirectoryRequest>,
    ) -> Result<Response<GetDirectoryResponse>, Status> {
        let directory = Some(self.directory.borrow().to_wire());
        Ok(Response::new(GetDirectoryResponse { directory }))
    }
}

/// An instruction that is malformed, as Execute says it.
fn invalid(violations: Vec<Violation>) -> Fault {
    let in_request = |v: Violation| Violation::new(format!("instruction.{}", v.field), v.description);
    Fault::invalid(violations.into_iter().map(in_request).collect())
}

#[cfg(test)]
pub(crate) mod tests;
