//! The one way to serve HTTP/1.1: connections are accepted here, since axum's own accept loop has no deadline for headers and
//! no cap.

use std::{future::Future, net::SocketAddr, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::task::TaskTracker;

use crate::{
    lifecycle::Lifecycle,
    rpc_server::{Count, Limits},
    tls::Wire,
};

/// How long the head of a request may take, from when the connection is there or the last answer was given.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long accepting pauses when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `end`, and then waits until what `begin` makes of each is over.
pub async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    limits: Limits,
    end: impl Future<Output = ()>,
    begin: impl Fn(TcpStream, SocketAddr) -> F,
) {
    let connections = Count::new(limits);
    let open = TaskTracker::new();
    tokio::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; pausing");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = connections.take(peer.ip()) else {
            tracing::debug!(%peer, "connection refused: too many");
            continue;
        };
        let conversation = begin(stream, peer);
        open.spawn(async move {
            conversation.await;
            drop(place);
        });
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// Answers one request after the other; a drain ends the connection after the one under way.
pub async fn converse(wire: impl Wire + 'static, app: Router, lifecycle: Lifecycle) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(wire), TowerToHyperService::new(app));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = lifecycle.draining() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = lifecycle.stopped() => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
