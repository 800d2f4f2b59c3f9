//! The one way to serve gRPC, with every limit explicit.
//!
//! tonic's defaults are unsafe at an edge (no limit on streams, no deadline for the handshake, an accept loop that spins
//! when file descriptors run out), so connections are accepted here, counted, and handed on only once they have sent
//! the HTTP/2 preface.

mod connection;
mod count;
mod door;
mod measured;
mod one_message;
mod only_calls;
mod pace;
mod under_way;

use std::{io, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::Response,
    service::{Routes, RoutesBuilder},
};
use tower::{
    filter::FilterLayer,
    util::{MapResponseLayer, option_layer},
};

use crate::{fault::Fault, lifecycle::Lifecycle, listener, settings::Problems};

use connection::Connection;
pub use connection::Peer;
pub use count::{Count, Limits, Place};
pub use door::{Door, PeersArgs, PublicArgs};
use measured::MeasuredLayer;
pub use measured::{Called, code_name};
use only_calls::OnlyCallsLayer;
pub use pace::Pace;
use under_way::BoundedLayer;

/// How long a connection may take to send the HTTP/2 preface.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long accepting pauses when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Streams that a client reset before they were handled (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Streams that a client made the server reset (CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 1024;

/// Bytes of a stream, and of a connection, that services send each other before they are read.
const SERVICE_WINDOWS: [u32; 2] = [1 << 20, 1 << 21];
/// The same of strangers, whose requests are short, and who have many connections.
const STRANGER_WINDOWS: [u32; 2] = [1 << 17, 1 << 18];

/// The settings of a server, shared by every service.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// The address to serve gRPC on; port 0 lets the system choose one.
    #[arg(long, env = "RIALTO_LISTEN", default_value = "127.0.0.1:0")]
    listen: String,
    /// A file to write the bound address to, for whoever chose port 0.
    #[arg(long, env = "RIALTO_ADDRESS_FILE")]
    address_file: Option<PathBuf>,
    /// Do not serve reflection, so that clients need the proto files.
    #[arg(long, env = "RIALTO_NO_REFLECTION")]
    no_reflection: bool,
    /// How long to wait for work under way after SIGTERM before stopping hard.
    #[arg(long, env = "RIALTO_DRAIN_TIMEOUT", default_value = "25s")]
    drain_timeout: String,
    /// Connections at once, in all.
    #[arg(long, env = "RIALTO_MAX_CONNECTIONS", default_value = "1000")]
    max_connections: String,
    /// Connections at once from one address.
    #[arg(long, env = "RIALTO_MAX_CONNECTIONS_PER_ADDRESS", default_value = "200")]
    max_connections_per_address: String,
    /// Calls at once on one connection.
    #[arg(long, env = "RIALTO_MAX_STREAMS", default_value = "256")]
    max_streams: String,
}

/// Checked settings of a server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address to serve on.
    pub listen: SocketAddr,
    /// Where to write the bound address.
    pub address_file: Option<PathBuf>,
    /// Whether to serve reflection.
    pub reflection: bool,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// Connections at once, in all.
    pub max_connections: usize,
    /// Connections at once from one address.
    pub max_connections_per_address: usize,
    /// Calls at once on one connection.
    pub max_streams: u32,
    /// How callers come in.
    pub door: Door,
    /// What callers may do whom nobody vouches for; services know each other, and their streams live as long as they do.
    pub strangers: Option<Strangers>,
}

/// Bounds for callers whom nobody vouches for.
#[derive(Debug, Clone, Copy)]
pub struct Strangers {
    /// How long a connection is used until its caller has to make a new one.
    pub max_connection_age: Duration,
    /// New connections a second from one address, once as many have come as there may be at once.
    pub max_new_connections_per_s: NonZeroU32,
    /// Calls at once from one address.
    pub max_calls_per_address: usize,
}

impl ServerConfig {
    /// Whether callers reach the server over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.door.tls().is_some()
    }

    fn connections(&self) -> Limits {
        Limits {
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
            max_new_per_s: self.strangers.map(|strangers| strangers.max_new_connections_per_s),
        }
    }
}

impl ServerArgs {
    /// Checks the settings of a server behind this door.
    pub fn check(&self, door: Option<Door>, problems: &mut Problems) -> Option<ServerConfig> {
        let listen = problems.address("listen", &self.listen);
        let drain_timeout =
            problems.duration("drain-timeout", &self.drain_timeout, Duration::ZERO, Duration::from_secs(600));
        let max_connections = problems.number("max-connections", &self.max_connections, 1, 100_000);
        let per_address =
            problems.number("max-connections-per-address", &self.max_connections_per_address, 1, 100_000);
        let max_streams = problems.number("max-streams", &self.max_streams, 1, 10_000);
        if let (Some(all), Some(one)) = (max_connections, per_address)
            && one > all
        {
            problems.add(
                "max-connections-per-address",
                format_args!("{one} is more than --max-connections {all}"),
            );
        }
        Some(ServerConfig {
            listen: listen?,
            address_file: self.address_file.clone(),
            reflection: !self.no_reflection,
            drain_timeout: drain_timeout?,
            max_connections: max_connections?,
            max_connections_per_address: per_address?,
            max_streams: max_streams?,
            door: door?,
            strangers: None,
        })
    }
}

/// What reflection shows.
#[derive(Clone, Copy, Debug)]
pub struct Contracts {
    /// Everything that is described, as a serialized file descriptor set.
    pub descriptors: &'static [u8],
    /// The services that are served.
    pub services: &'static [&'static str],
}

/// Binds the address, and writes down which one it became.
///
/// # Errors
/// When the address is taken or the file can't be written.
pub async fn bind(config: &ServerConfig) -> io::Result<TcpListener> {
    listener::bind(config.listen, config.address_file.as_deref()).await
}

/// Serves until the lifecycle has drained or stopped. `add_services` adds what to serve besides health and reflection;
/// `contracts` are what reflection shows.
///
/// # Errors
/// When the server can't be built.
pub async fn serve(
    config: &ServerConfig,
    listener: TcpListener,
    contracts: Contracts,
    add_services: impl FnOnce(&mut RoutesBuilder),
    lifecycle: &Lifecycle,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let mut routes = Routes::builder();
    routes.add_service(health_service);
    if config.reflection {
        routes.add_service(contracts.reflection().build_v1()?);
        routes.add_service(contracts.reflection().build_v1alpha()?);
    }
    add_services(&mut routes);
    contracts.know(&config.door)?;
    let measured = contracts.measured()?;
    if let Some(tls) = config.door.tls() {
        tls.keep_current();
    }
    let door = config.door.clone();
    let address = listener.local_addr()?;
    let (connections, accepted) = mpsc::channel(16);
    let accepting = tokio::spawn(accept(listener, config.clone(), connections, lifecycle.clone()));
    let mut server = tonic::transport::Server::builder();
    let mut windows = SERVICE_WINDOWS;
    if let Some(strangers) = config.strangers {
        windows = STRANGER_WINDOWS;
        // Without a grace: with one, tonic 0.14.9 cuts connections at the end of it, and asks nobody to go before.
        server = server.max_connection_age(strangers.max_connection_age);
    }
    let [stream_window, connection_window] = windows;
    let bounded =
        config.strangers.map(|strangers| BoundedLayer { max_calls: strangers.max_calls_per_address });
    let server = server
        .max_concurrent_streams(config.max_streams)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
        .http2_max_header_list_size(8 * 1024)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(connection_window)
        .layer(OnlyCallsLayer)
        .layer(measured)
        .layer(option_layer(bounded))
        .layer(MapResponseLayer::new(blame_the_sender))
        .layer(FilterLayer::new(move |request| door.admit(request)))
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(ReceiverStream::new(accepted), lifecycle.draining());
    lifecycle.serve();
    tracing::info!(%address, "serving");
    let drain = async {
        lifecycle.draining().await;
        health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        std::future::pending::<()>().await
    };
    tokio::select! {
        served = server => served?,
        () = drain => {}
        () = lifecycle.stopped() => tracing::warn!("stopped with calls under way"),
    }
    accepting.abort();
    Ok(())
}

impl Contracts {
    /// Whether everything that the door lets through is served here: what is not would be a slip of the pen.
    fn know(self, door: &Door) -> Result<(), String> {
        let Door::Peers(_, allowed) = door else { return Ok(()) };
        let known = |service: &&str| {
            self.services.contains(service)
                || service.starts_with("grpc.health.")
                || service.starts_with("grpc.reflection.")
        };
        match allowed.services().find(|service| !known(service)) {
            Some(service) => Err(format!("--allow-client speaks of {service}, which is not served here")),
            None => Ok(()),
        }
    }

    /// Measures the calls to what is served.
    fn measured(self) -> Result<MeasuredLayer, prost::DecodeError> {
        let besides = [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let all = std::iter::once(self.descriptors).chain(besides);
        MeasuredLayer::new(all, |service| self.services.contains(&service) || service.starts_with("grpc."))
    }

    fn reflection(self) -> tonic_reflection::server::Builder<'static> {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(self.descriptors)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        self.services.iter().fold(builder, |builder, service| builder.with_service_name(*service))
    }
}

/// tonic answers bytes that are no message with INTERNAL, as if the defect were ours, and says nothing of a call that there is not.
/// Our own faults carry details; what has none is tonic's word.
fn blame_the_sender(response: Response<Body>) -> Response<Body> {
    let status = Status::from_header_map(response.headers()).filter(|status| status.details().is_empty());
    let fault = status.and_then(|status| match status.code() {
        Code::Internal => Some(Fault::malformed(status.message())),
        Code::Unimplemented if status.message().is_empty() => Some(Fault::no_such_call()),
        _ => None,
    });
    fault.map_or(response, |fault| Status::from(fault).into_http())
}

async fn accept(
    listener: TcpListener,
    config: ServerConfig,
    connections: mpsc::Sender<io::Result<Connection>>,
    lifecycle: Lifecycle,
) {
    let count = Count::new(config.connections());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = lifecycle.draining() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; pausing");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = count.take(peer.ip()) else {
            tracing::debug!(%peer, "connection refused: too many");
            continue;
        };
        let connections = connections.clone();
        let tls = config.door.tls().map(|tls| tls.current());
        let begun = Connection::begin(stream, peer, tls, place);
        tokio::spawn(async move {
            match tokio::time::timeout(PREFACE_TIMEOUT, begun).await {
                Ok(Ok(connection)) => drop(connections.send(Ok(connection)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "connection refused"),
                Err(_) => tracing::debug!(%peer, "connection closed: no HTTP/2 preface in time"),
            }
        });
    }
}
