//! gRPC: the stream of commands and the unary call, both through [`Commands::execute`].

mod answers;
mod delivering;
mod watching;

use std::time::{Duration, Instant};

use common::{
    deadline::Deadline,
    exchange::{self, Leaving},
    fault::{Fault, Violation},
    lifecycle::Lifecycle,
    rpc_server::code_name,
    trace::{Span, SpanKind},
};
use proto::platform::{
    ClaimDeliveriesRequest, ClaimDeliveriesResponse, Command, ExchangeRequest, ExchangeResponse,
    ExecuteRequest, ExecuteResponse, Reply, ReportDeliveryRequest, ReportDeliveryResponse, WatchRequest,
    WatchResponse, platform_service_server::PlatformService, reply,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::{
    callers::Callers, commands::Commands, encryption::positions::Positions, flow::intake::Caller, metrics,
};
use answers::Answers;
use watching::Watches;

/// Serves commands.
#[derive(Clone, Debug)]
pub struct CommandServer {
    commands: Commands,
    callers: Callers,
    watches: Watches,
    lifecycle: Lifecycle,
    max_under_way: usize,
}

impl CommandServer {
    /// Serves `commands` until the lifecycle drains, at most `max_under_way` at once on a stream, and tells each stream who
    /// may call; and shows what happens, at these positions.
    pub fn new(
        commands: Commands,
        callers: Callers,
        positions: Positions,
        lifecycle: Lifecycle,
        max_under_way: usize,
    ) -> Self {
        let watches = Watches::new(commands.flow(), positions, lifecycle.clone());
        Self { commands, callers, watches, lifecycle, max_under_way }
    }
}

async fn execute(commands: Commands, command: Command) -> Reply {
    let correlation_id = command.correlation_id;
    let (began, name) = (Instant::now(), command.operation.as_ref().map_or("", metrics::name_of));
    let mut span = Span::begin(&command.traceparent, name, SpanKind::Server);
    let trace = span.context();
    let done = async {
        let operation = command.operation.ok_or_else(|| {
            Fault::invalid(vec![Violation::new("command.operation", "give one of the operations")])
        })?;
        let logged =
            tracing::info_span!("execute", trace_id = %trace.trace_id(), participant = command.participant);
        let caller = Caller {
            participant: command.participant,
            actor: command.actor,
            is_house: command.is_house,
            signature: command.signature,
            trace,
            deadline: Deadline::after(Duration::from_millis(command.budget_ms.into())),
        };
        commands.execute(&caller, operation).instrument(logged).await
    };
    let done = done.await;
    let code = done.as_ref().map_or_else(Fault::code, |_| Code::Ok);
    metrics::command_done(name, code, began.elapsed());
    span.set("rpc.response.status_code", code_name(code));
    let (result, idempotent_replayed) = match done {
        Ok((result, replayed)) => (result, replayed),
        Err(fault) => (reply::Result::Fault(Status::from(fault).into()), false),
    };
    Reply { correlation_id, idempotent_replayed, result: Some(result) }
}

fn overloaded(command: Command) -> Reply {
    let fault = Fault::overloaded("too many commands are under way; nothing was begun");
    let result = Some(reply::Result::Fault(Status::from(fault).into()));
    Reply { correlation_id: command.correlation_id, idempotent_replayed: false, result }
}

#[tonic::async_trait]
impl PlatformService for CommandServer {
    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteResponse>, Status> {
        let mut command = request
            .into_inner()
            .command
            .ok_or_else(|| Status::from(Fault::invalid(vec![Violation::new("command", "required")])))?;
        command.correlation_id = command.correlation_id.max(1);
        // In a task of its own: a caller who hangs up must not cancel work on money.
        let working = tokio::spawn(execute(self.commands.clone(), command));
        let reply = working.await.map_err(|_| Status::from(Fault::internal()))?;
        match reply.result {
            Some(reply::Result::Fault(fault)) => Err(fault.into()),
            _ => Ok(Response::new(ExecuteResponse { reply: Some(reply) })),
        }
    }

    type ExchangeStream = Answers;

    async fn exchange(
        &self,
        request: Request<Streaming<ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let commands = self.commands.clone();
        let farewell = ExchangeResponse { is_leaving: true, ..ExchangeResponse::default() };
        let replies = exchange::answer(
            request.into_inner(),
            Leaving { lifecycle: self.lifecycle.clone(), farewell },
            self.max_under_way,
            |message: ExchangeRequest| message.commands,
            move |command| execute(commands.clone(), command),
            overloaded,
            |replies| ExchangeResponse { replies, ..ExchangeResponse::default() },
        );
        Ok(Response::new(Answers::new(replies, self.callers.seen())))
    }

    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let WatchRequest { participant, request } = request.into_inner();
        let watch = self.watches.begin(participant, &request.unwrap_or_default()).await?;
        Ok(Response::new(watch))
    }

    async fn claim_deliveries(
        &self,
        request: Request<ClaimDeliveriesRequest>,
    ) -> Result<Response<ClaimDeliveriesResponse>, Status> {
        let flow = self.commands.flow();
        let request = request.into_inner();
        // In a task of its own: what was taken over is to be handed over, or said to be unreadable.
        let claiming =
            tokio::spawn(async move { delivering::claim(flow.store(), flow.clock(), &request).await });
        let deliveries = claiming.await.map_err(|_| Status::from(Fault::internal()))??;
        Ok(Response::new(ClaimDeliveriesResponse { deliveries }))
    }

    async fn report_delivery(
        &self,
        request: Request<ReportDeliveryRequest>,
    ) -> Result<Response<ReportDeliveryResponse>, Status> {
        let flow = self.commands.flow();
        let request = request.into_inner();
        let reporting = tokio::spawn(async move { delivering::report(flow.store(), &request).await });
        reporting.await.map_err(|_| Status::from(Fault::internal()))??;
        Ok(Response::new(ReportDeliveryResponse {}))
    }
}
