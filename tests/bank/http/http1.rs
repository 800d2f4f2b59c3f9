//! HTTP/1.1: one message at a time on a connection.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Desk, message, message_to, plain, raw};
use crate::conversation::Reply;
use crate::gate;
use crate::line::{Line, Wire};
use crate::tls::Caller;

/// Serves a connection until it ends, or what is under way on it is through once `shutdown` is cancelled.
pub async fn serve(line: Line, desk: Arc<Desk>, shutdown: CancellationToken) {
    let (wire, caller) = (line.wire(), line.caller());
    let service = service_fn(|request| respond(request, &desk, &wire, &caller));
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(line), service));
    // Whoever breaks a connection off knows why.
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    drop(ended);
}

async fn respond(
    request: Request<Incoming>,
    desk: &Desk,
    wire: &Wire,
    caller: &Caller,
) -> Result<Response<Body>, Infallible> {
    let Some(bank) = message_to(request.method(), request.uri(), &desk.banks) else {
        return desk.router.clone().oneshot(request.map(Body::new)).await;
    };
    let (head, body) = request.into_parts();
    let body = async { Some(Limited::new(body, gate::MAX_BYTES).collect().await.ok()?.to_bytes()) };
    match plain(message(&bank, caller, &head.headers, body).await) {
        Ok(response) => Ok(response.map(Body::from)),
        Err(reply) => {
            misbehave(reply, wire).await;
            Ok(Response::default())
        }
    }
}

/// Answers as no bank should; the connection has then served its purpose.
async fn misbehave(reply: Reply, wire: &Wire) {
    let written = match reply {
        // The server drops this future when the peer closes the connection.
        Reply::Silence => std::future::pending().await,
        Reply::Drip { xml, pause, head } => raw::drip(wire, &xml, pause, head).await,
        Reply::EndlessHeaders => raw::endless_headers(wire).await,
        Reply::HugeBody { xml, mib, length_told } => raw::huge_body(wire, &xml, mib, length_told).await,
        Reply::Half { xml } => raw::half(wire, &xml).await,
        _ => Ok(()),
    };
    // Whether all of it was written or the peer went away.
    drop(written);
    wire.hang_up();
}
