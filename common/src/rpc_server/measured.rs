//! Measures every call: its method, its status, and how long it took, from its head to the end of its answer
//! (OpenTelemetry's semantic conventions for gRPC).

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, ready},
    time::Instant,
};

use http_body::{Body as _, Frame, SizeHint};
use opentelemetry::{KeyValue, metrics::Histogram};
use pin_project_lite::pin_project;
use prost::{Message, bytes::Bytes};
use prost_types::FileDescriptorSet;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::{BoxError, Layer, Service};

use crate::metrics::{self, label};

static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    metrics::duration("rpc.server.call.duration", "Calls served: how long, to the end of the answer.")
});

/// The codes as gRPC writes them, each at its number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A code as gRPC writes it.
pub fn code_name(code: Code) -> &'static str {
    usize::try_from(i32::from(code)).ok().and_then(|number| CODES.get(number)).copied().unwrap_or("UNKNOWN")
}

/// The labels of one method's calls, for each code: made once, since every call needs some.
#[derive(Debug)]
struct Labels([[KeyValue; 3]; CODES.len()]);

impl Labels {
    fn new(method: &str) -> Self {
        Self(CODES.map(|code| {
            [
                label("rpc.system.name", "grpc"),
                label("rpc.method", method.to_owned()),
                label("rpc.response.status_code", code),
            ]
        }))
    }
}

/// Which method is called; every request carries this in its extensions.
#[derive(Clone, Debug)]
pub struct Called(Arc<Labels>);

impl Called {
    /// The method, e.g. `rialto.payments.v1.PaymentService/CreatePayment`.
    pub fn method(&self) -> String {
        let Labels([[_, method, _], ..]) = &*self.0;
        method.value.to_string()
    }
}

/// Puts [`Measured`] in front of a service.
#[derive(Clone, Debug)]
pub(super) struct MeasuredLayer {
    methods: Arc<HashMap<String, Arc<Labels>>>,
    /// Of all paths that no method has: whoever calls chooses them, and each label would be kept for ever.
    other: Arc<Labels>,
}

impl MeasuredLayer {
    /// Knows the methods of the services in these contracts that are served.
    ///
    /// # Errors
    /// When they can't be read.
    pub(super) fn new(
        descriptors: impl IntoIterator<Item = &'static [u8]>,
        is_served: impl Fn(&str) -> bool,
    ) -> Result<Self, prost::DecodeError> {
        let mut methods = HashMap::new();
        for bytes in descriptors {
            for file in FileDescriptorSet::decode(bytes)?.file {
                for service in &file.service {
                    let service_name = format!("{}.{}", file.package(), service.name());
                    let methods_served = service.method.iter().filter(|_| is_served(&service_name));
                    for name in methods_served.map(|method| format!("{service_name}/{}", method.name())) {
                        methods.insert(format!("/{name}"), Arc::new(Labels::new(&name)));
                    }
                }
            }
        }
        Ok(Self { methods: Arc::new(methods), other: Arc::new(Labels::new("_OTHER")) })
    }
}

impl<S> Layer<S> for MeasuredLayer {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, known: self.clone() }
    }
}

/// Measures the calls of a service.
#[derive(Clone, Debug)]
pub(super) struct Measured<S> {
    inner: S,
    known: MeasuredLayer,
}

impl<S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>> Service<Request<Body>>
    for Measured<S>
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let labels = self.known.methods.get(request.uri().path()).unwrap_or(&self.known.other);
        request.extensions_mut().insert(Called(Arc::clone(labels)));
        // Whoever goes away before the answer's end has cancelled the call.
        let call = Call { labels: Arc::clone(labels), began: Instant::now(), code: Code::Cancelled };
        Answering { call: Some(call), answer: self.inner.call(request) }
    }
}

/// A call, which is measured when it is dropped.
struct Call {
    labels: Arc<Labels>,
    began: Instant,
    code: Code,
}

impl Call {
    fn learn(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.code = status.code();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let number = usize::try_from(i32::from(self.code)).unwrap_or_default();
        let Labels(labels) = &*self.labels;
        if let Some(labels) = labels.get(number) {
            DURATION.record(self.began.elapsed().as_secs_f64(), labels);
        }
    }
}

pin_project! {
    /// What comes of a call.
    pub(super) struct Answering<F> {
        call: Option<Call>,
        #[pin]
        answer: F,
    }
}

impl<F: Future<Output = Result<Response<Body>, BoxError>>> Future for Answering<F> {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(context));
        let Some(mut call) = this.call.take() else { return Poll::Ready(answer) };
        let answer = answer.inspect_err(|error| {
            call.code = error.downcast_ref::<Status>().map_or(Code::Unknown, Status::code);
        })?;
        call.learn(answer.headers());
        // What ends with its head has no body to wait for.
        if answer.body().is_end_stream() {
            if !answer.headers().contains_key(Status::GRPC_STATUS) {
                call.code = Code::Unknown;
            }
            return Poll::Ready(Ok(answer));
        }
        Poll::Ready(Ok(answer.map(|body| Body::new(Answered { body, call }))))
    }
}

/// An answer's body, whose trailers say how the call ended.
struct Answered {
    body: Body,
    call: Call,
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(trailers) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.trailers_ref()) {
            self.call.learn(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
