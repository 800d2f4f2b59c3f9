//! What a signed call is about: its content is read before anybody knows what it means, since its digest is over the bytes as they came.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use aws_lc_rs::digest::{SHA256, digest};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tokio_util::either::Either;
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response, Uri},
};
use tower::{Layer, Service};

/// What gRPC puts before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// What a signature may cover of a call besides its headers. A call that is not signed has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The path (`@path`, RFC 9421 section 2.2.6).
    pub path: String,
    /// Who is called (`@authority`, section 2.2.3), if the call says so.
    pub authority: Option<String>,
    /// The SHA-256 of the content.
    pub digest: [u8; 32],
}

impl Content {
    /// A call to `uri` with these bytes.
    pub fn new(uri: &Uri, bytes: &[u8]) -> Self {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
        let authority = uri.authority().map(|authority| {
            let authority = authority.as_str().to_ascii_lowercase();
            let default_port = if uri.scheme_str() == Some("http") { ":80" } else { ":443" };
            authority.strip_suffix(default_port).map(str::to_owned).unwrap_or(authority)
        });
        Self { path: uri.path().to_owned(), authority, digest: sum }
    }
}

/// Reads signed calls before the service does, and gives them their [`Content`]; those that are not signed go by.
#[derive(Clone, Debug)]
pub struct ReadSigned<S> {
    service: S,
    max_message_bytes: usize,
}

/// Puts [`ReadSigned`] in front of a service.
#[derive(Clone, Copy, Debug)]
pub struct ReadSignedLayer {
    /// The largest message that is read.
    pub max_message_bytes: usize,
}

impl<S> Layer<S> for ReadSignedLayer {
    type Service = ReadSigned<S>;

    fn layer(&self, service: S) -> ReadSigned<S> {
        ReadSigned { service, max_message_bytes: self.max_message_bytes }
    }
}

type Answer = Result<Response<Body>, Infallible>;

impl<S> Service<Request<Body>> for ReadSigned<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Answer> + Send>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !super::is_signed(request.headers()) {
            return Either::Left(self.service.call(request));
        }
        let max_message_bytes = self.max_message_bytes;
        // The one that is ready is used, and a copy stays (tower's `Service`, "Be careful when cloning inner services").
        let copy = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, copy);
        Either::Right(Box::pin(async move {
            match read(request, max_message_bytes).await {
                Ok(request) => service.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        }))
    }
}

/// Within the call's deadline, which the server keeps around all of this.
async fn read(request: Request<Body>, max_message_bytes: usize) -> Result<Request<Body>, Status> {
    let (mut head, body) = request.into_parts();
    let read = Limited::new(body, max_message_bytes + PREFIX_BYTES).collect().await;
    let bytes = read.map_err(|error| match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) if error.is::<LengthLimitError>() => {
            Status::out_of_range(format!("the message is longer than {max_message_bytes} bytes"))
        }
        Err(_) => Status::cancelled("the call ended before its message did"),
    })?;
    let bytes = bytes.to_bytes();
    head.extensions.insert(Content::new(&head.uri, &bytes));
    Ok(Request::from_parts(head, Body::new(Full::new(bytes))))
}
