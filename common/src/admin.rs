//! The admin server: what operators and their programs read of a running service, over plain HTTP.

use std::{io, net::SocketAddr, path::PathBuf};

pub use axum::Router;
use axum::{
    Extension,
    extract::{ConnectInfo, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{http_server, lifecycle::Lifecycle, listener, metrics, rpc_server::Limits, settings::Problems};

/// A scraper or two, probes, and a person; from one address, since they may all come through a proxy.
const LIMITS: Limits = Limits { max_connections: 64, max_connections_per_address: 32, max_new_per_s: None };

/// The settings of the admin server, shared by every service.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Telemetry")]
pub struct AdminArgs {
    /// The address where operators' programs read `/metrics` (Prometheus), `/healthz` and `/readyz`; port 0 lets the system choose
    /// one. Plain HTTP, and whoever reaches it may read: an address of the inside. Without it none is opened.
    #[arg(long, env = "RIALTO_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// A file to write that address to as it was bound.
    #[arg(long, env = "RIALTO_ADMIN_ADDRESS_FILE", value_name = "FILE")]
    admin_address_file: Option<PathBuf>,
}

/// Checked settings of the admin server.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    listen: SocketAddr,
    address_file: Option<PathBuf>,
}

impl AdminArgs {
    /// Checks the settings; none if there is to be no admin server.
    pub fn check(&self, problems: &mut Problems) -> Option<AdminConfig> {
        let Some(listen) = &self.admin_listen else {
            if self.admin_address_file.is_some() {
                problems.add("admin-address-file", "makes sense only with --admin-listen");
            }
            return None;
        };
        let listen = problems.address("admin-listen", listen)?;
        Some(AdminConfig { listen, address_file: self.admin_address_file.clone() })
    }
}

/// Serves what every service has, and `more` (whose handlers can have the peer's address by `ConnectInfo`), from now until the process ends, so that a drain can be watched.
///
/// # Errors
/// When the address is taken or the file can't be written.
pub async fn serve(config: Option<AdminConfig>, more: Router, lifecycle: &Lifecycle) -> io::Result<()> {
    let Some(AdminConfig { listen, address_file }) = config else { return Ok(()) };
    let listener = listener::bind(listen, address_file.as_deref()).await?;
    tracing::info!(address = %listener.local_addr()?, "admin server: plain HTTP to whoever reaches it");
    let app = Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(StatusCode::OK))
        .route("/readyz", get(is_ready))
        .with_state(lifecycle.clone())
        .merge(more);
    // Connections end with the process: a scraper keeps one, which must neither hold up a drain nor miss it.
    let for_ever = Lifecycle::new();
    tokio::spawn(http_server::accept(listener, LIMITS, std::future::pending(), move |stream, peer| {
        http_server::converse(stream, app.clone().layer(Extension(ConnectInfo(peer))), for_ever.clone())
    }));
    Ok(())
}

async fn scrape() -> Response {
    match metrics::text() {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether new work is welcome: from when the service serves until it drains.
async fn is_ready(State(lifecycle): State<Lifecycle>) -> StatusCode {
    if lifecycle.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
