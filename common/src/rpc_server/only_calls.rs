//! Lets only gRPC through: tonic takes any method and any media type for a call, so that a page somewhere else could have a browser
//! make one.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use tokio_util::either::Either;
use tonic::{
    body::Body,
    codegen::http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE},
};
use tower::{Layer, Service};

/// The media type of gRPC; `+` and the encoding of messages, or `;` and parameters may follow.
const GRPC: &[u8] = b"application/grpc";

/// Answers what is no call of gRPC by itself, in HTTP's own words ("gRPC over HTTP/2": 415 keeps other clients from taking an
/// answer of gRPC, which is 200, for a success).
#[derive(Clone, Debug)]
pub struct OnlyCalls<S>(S);

/// Puts [`OnlyCalls`] in front of a service.
#[derive(Clone, Copy, Debug)]
pub struct OnlyCallsLayer;

impl<S> Layer<S> for OnlyCallsLayer {
    type Service = OnlyCalls<S>;

    fn layer(&self, inner: S) -> OnlyCalls<S> {
        OnlyCalls(inner)
    }
}

impl<S: Service<Request<Body>, Response = Response<Body>>> Service<Request<Body>> for OnlyCalls<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let status = if request.method() != Method::POST {
            StatusCode::METHOD_NOT_ALLOWED
        } else if !is_grpc(&request) {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        } else {
            return Either::Left(self.0.call(request));
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        Either::Right(ready(Ok(response)))
    }
}

fn is_grpc(request: &Request<Body>) -> bool {
    let said = request.headers().get(CONTENT_TYPE).and_then(|said| said.as_bytes().strip_prefix(GRPC));
    said.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}
