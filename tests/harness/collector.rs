//! An OpenTelemetry collector: takes what services send over OTLP, and keeps it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{AnyValue, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{Span as WireSpan, span::SpanKind},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::BenchError;

/// A span that was received.
#[derive(Clone, Debug)]
pub struct Span {
    /// The service that sent it.
    pub service: String,
    /// The span.
    pub wire: WireSpan,
}

/// A collector that runs.
#[derive(Clone, Debug)]
pub struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Span>,
    /// The service and the name of each metric.
    metrics: BTreeSet<(String, String)>,
}

impl Collector {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let collector = Self { address: listener.local_addr()?, kept: Arc::default() };
        let server = Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(collector)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.kept().spans.clone()
    }

    /// Whether a service has sent a metric of this name.
    pub fn has_metric(&self, service: &str, name: &str) -> bool {
        self.kept().metrics.contains(&(service.to_owned(), name.to_owned()))
    }
}

impl Span {
    /// The trace, in hexadecimal digits.
    pub fn trace_id(&self) -> String {
        hex(&self.wire.trace_id)
    }

    /// What others call it as their parent.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id(), hex(&self.wire.span_id))
    }

    /// The span's kind, as `Server` or `Client`.
    pub fn kind(&self) -> SpanKind {
        self.wire.kind()
    }

    /// An attribute, as text.
    pub fn attribute(&self, name: &str) -> Option<String> {
        text(&self.wire.attributes, name)
    }

    /// Whether it links to another one.
    pub fn links_to(&self, other: &Self) -> bool {
        let is_it = |link: &opentelemetry_proto::tonic::trace::v1::span::Link| {
            (&link.trace_id, &link.span_id) == (&other.wire.trace_id, &other.wire.span_id)
        };
        self.wire.links.iter().any(is_it)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref();
    match value {
        Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) => Some(text.clone()),
        Some(AnyValue { value: Some(any_value::Value::IntValue(number)) }) => Some(number.to_string()),
        _ => None,
    }
}

fn service_of(resource: Option<&Resource>) -> String {
    resource.and_then(|resource| text(&resource.attributes, "service.name")).unwrap_or_default()
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for sent in request.into_inner().resource_spans {
            let service = service_of(sent.resource.as_ref());
            let spans = sent.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.kept().spans.extend(spans.map(|wire| Span { service: service.clone(), wire }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        for sent in request.into_inner().resource_metrics {
            let service = service_of(sent.resource.as_ref());
            let metrics = sent.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            self.kept().metrics.extend(metrics.map(|metric| (service.clone(), metric.name)));
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
