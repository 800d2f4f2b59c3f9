//! The echo chain: the hops of a payment, and nothing done on any of them. Each hop is a process of its own that serves and calls
//! as Rialto's services do, on a runtime as tokio makes it, or on one thread.

use std::{path::Path, process::Command, time::Duration};

use common::{
    lifecycle::Lifecycle,
    rpc_client::Route,
    rpc_server::{self, Contracts, Door, ServerArgs},
    settings::Problems,
    telemetry::{self, TelemetryArgs},
};
use harness::{
    BenchError, binaries,
    load::{Call, Calls, Load, Plan},
    process::{KILLED_WITH_PARENT, Process},
};
use rand::rngs::SmallRng;
use tonic::{Request, Response, Status, transport::Channel};

use hop::{
    EchoRequest, EchoResponse,
    echo_service_client::EchoServiceClient,
    echo_service_server::{self, EchoService, EchoServiceServer},
};

#[expect(clippy::as_conversions, clippy::allow_attributes, reason = "generated code")]
mod hop {
    tonic::include_proto!("rialto.echo.v1");
}

/// The hops, first to last.
const HOPS: [&str; 3] = ["gateway", "platform", "channel"];

/// A hop's settings.
#[derive(clap::Args, Debug)]
pub struct HopArgs {
    /// The next hop's address; the last one has none.
    #[arg(long)]
    next: Option<String>,
    /// Whether it runs on one thread, as Rialto's services do, rather than on as many as tokio makes.
    #[arg(long)]
    pub one_thread: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

/// Serves as one hop until a signal comes.
///
/// # Errors
/// When a setting is wrong or serving fails.
pub async fn serve(args: &HopArgs) -> Result<(), BenchError> {
    let mut problems = Problems::new();
    let (server, telemetry) =
        (args.server.check(Some(Door::Insecure), &mut problems), args.telemetry.check(&mut problems));
    let (server, telemetry) = problems.finish(|| server.zip(telemetry))?;
    let _telemetry = telemetry::start("echo", telemetry)?;
    let lifecycle = Lifecycle::on_signals(server.drain_timeout)?;
    let listener = rpc_server::bind(&server).await?;
    let next = args.next.as_deref().map(|next| Route::to(next, None)).transpose()?;
    let next = next.map(|next| EchoServiceClient::new(next.connect()));
    let contracts =
        Contracts { descriptors: proto::DESCRIPTORS, services: &[echo_service_server::SERVICE_NAME] };
    let add = |routes: &mut tonic::service::RoutesBuilder| {
        routes.add_service(EchoServiceServer::new(Hop { next }));
    };
    rpc_server::serve(&server, listener, contracts, add, &lifecycle).await
}

#[derive(Debug)]
struct Hop {
    next: Option<EchoServiceClient<Channel>>,
}

#[tonic::async_trait]
impl EchoService for Hop {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        match &self.next {
            Some(next) => next.clone().echo(request.into_inner()).await,
            None => Ok(Response::new(EchoResponse {})),
        }
    }
}

/// The running chain; dropping it stops it.
#[derive(Debug)]
pub struct Chain {
    /// Its processes, by the hop's name.
    pub hops: Vec<(&'static str, Process)>,
    /// Where the first hop listens.
    pub address: String,
}

impl Chain {
    /// Starts every hop, the last one first, each on one thread or on as many as tokio makes.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn start(folder: &Path, one_thread: bool) -> Result<Self, BenchError> {
        std::fs::create_dir_all(folder)?;
        let mut chain = Self { hops: Vec::new(), address: String::new() };
        for hop in HOPS.iter().rev() {
            let address_file = folder.join(format!("{hop}.address"));
            let mut command = Command::new(binaries::program("compare")?);
            command.args(["echo-hop", crate::MAX_STREAMS, "--address-file"]).arg(&address_file);
            if one_thread {
                command.arg("--one-thread");
            }
            if !chain.address.is_empty() {
                command.args(["--next", &chain.address]);
            }
            let log = folder.join(format!("{hop}.log"));
            let mut process = Process::start(hop, command, KILLED_WITH_PARENT, &log)?;
            chain.address = process.wait_for_file(&address_file)?.trim().to_owned();
            chain.hops.push((hop, process));
        }
        Ok(chain)
    }
}

/// Calls the chain whose first hop listens at `address`, over as many connections as payments have.
///
/// # Errors
/// When the address is none.
pub fn load(address: &str) -> Result<Load, BenchError> {
    let plan = Plan::default();
    let chain = Route::to(address, None)?;
    let clients = (0..plan.connections).map(|_| EchoServiceClient::new(chain.clone().connect())).collect();
    Ok(Load::of(Echoes { clients, deadline: plan.deadline }))
}

#[derive(Debug)]
struct Echoes {
    clients: Vec<EchoServiceClient<Channel>>,
    deadline: Duration,
}

impl Calls for Echoes {
    fn connections(&self) -> usize {
        self.clients.len()
    }

    fn call(&self, connection: usize, _: u64, _: &mut SmallRng) -> (usize, Call) {
        let mut client = self.clients[connection].clone();
        let mut request = Request::new(EchoRequest {});
        request.set_timeout(self.deadline);
        (0, Box::pin(async move { client.echo(request).await.map(|_| None) }))
    }
}
