//! Logs as lines of JSON or text, and traces over OTLP when an endpoint is set.

mod gathering_writer;
mod json_line;

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::Problems;
use gathering_writer::GatheringWriter;
use json_line::{JsonFields, JsonLine};

/// The settings of logs and traces, shared by every service.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Logs and traces")]
pub struct TelemetryArgs {
    /// What to log: a level, or levels by module such as `info,platform=debug`.
    #[arg(long, env = "RIALTO_LOG", default_value = "info")]
    log: String,
    /// How to log: `json` for programs, `text` for people.
    #[arg(long, env = "RIALTO_LOG_FORMAT", default_value = "json")]
    log_format: String,
    /// Where to send traces, e.g. `http://127.0.0.1:4317` (OTLP over gRPC). Absent: nowhere.
    #[arg(long, env = "RIALTO_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// How many of 1,000 new traces are sent; a trace that the caller sampled always is.
    #[arg(long, env = "RIALTO_TRACES_PER_MILLE", default_value = "10")]
    traces_per_mille: String,
}

/// Checked settings of logs and traces.
#[derive(Debug)]
pub struct TelemetryConfig {
    filter: EnvFilter,
    json: bool,
    otlp_endpoint: Option<String>,
    traces_per_mille: u16,
}

impl TelemetryConfig {
    /// How many of 1,000 new traces are sent; 0 when there is nowhere to send them.
    pub fn traces_per_mille(&self) -> u16 {
        if self.otlp_endpoint.is_some() { self.traces_per_mille } else { 0 }
    }
}

impl TelemetryArgs {
    /// Checks the settings.
    pub fn check(&self, problems: &mut Problems) -> Option<TelemetryConfig> {
        let filter = EnvFilter::try_new(&self.log).map_err(|error| {
            problems.add("log", format_args!("expected levels such as info,platform=debug: {error}"))
        });
        let json = match self.log_format.as_str() {
            "json" => Some(true),
            "text" => Some(false),
            other => {
                problems.add("log-format", format_args!("expected json or text, got {other:?}"));
                None
            }
        };
        let endpoint = self.otlp_endpoint.as_deref().map(|url| problems.url("otlp-endpoint", url));
        let traces_per_mille = problems.number("traces-per-mille", &self.traces_per_mille, 0, 1000);
        Some(TelemetryConfig {
            filter: filter.ok()?,
            json: json?,
            otlp_endpoint: endpoint.flatten(),
            traces_per_mille: traces_per_mille?,
        })
    }
}

/// Keeps telemetry alive; dropping it writes out what is still buffered.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
    _log_writer: tracing_appender::non_blocking::WorkerGuard,
}

/// Starts logging and tracing for the whole process. Logs go to standard error through a bounded queue that drops lines
/// rather than hold up a payment when nobody reads them; a process that is killed loses those of its last 10 ms.
///
/// # Errors
/// When the OTLP exporter can't be made or telemetry was started before.
pub fn start(service: &'static str, config: TelemetryConfig) -> Result<Telemetry, String> {
    let (writer, guard) = tracing_appender::non_blocking(GatheringWriter::new(std::io::stderr()));
    let format = tracing_subscriber::fmt::layer().with_writer(writer);
    let format: Box<dyn Layer<Registry> + Send + Sync> = if config.json {
        format.fmt_fields(JsonFields).event_format(JsonLine).boxed()
    } else {
        format.with_ansi(false).boxed()
    };
    let provider =
        config.otlp_endpoint.map(|url| exporter(service, &url, config.traces_per_mille)).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        crate::trace::set_exporting();
        tracing_opentelemetry::layer().with_tracer(provider.tracer(service)).boxed()
    });
    let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = std::iter::once(format).chain(traces).collect();
    // The filter is of the whole, not of a layer: a layer's own filter keeps its last answer per thread, and whoever only
    // asks whether a level is enabled (as sqlx does with every statement) would silence the thread's next line or span.
    tracing_subscriber::registry()
        .with(layers)
        .with(config.filter)
        .try_init()
        .map_err(|error| format!("cannot start logging: {error}"))?;
    Ok(Telemetry { provider, _log_writer: guard })
}

fn exporter(service: &'static str, endpoint: &str, per_mille: u16) -> Result<SdkTracerProvider, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| format!("cannot send traces to {endpoint}: {error}"))?;
    #[expect(clippy::float_arithmetic, reason = "the sampler takes a ratio; no money is near")]
    let ratio = f64::from(per_mille) / 1000.0;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.namespace", "rialto"))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource)
        .build())
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.provider.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}
