//! Logs as lines of JSON or text, traces and metrics over OTLP when an endpoint is set, and metrics for whoever reads `/metrics`.

mod gathering_writer;
mod hearing;
mod json_line;

use std::time::Duration;

use opentelemetry::{KeyValue, global, trace::TracerProvider};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    trace::{Sampler, SdkTracerProvider},
};
use tokio::runtime::Runtime;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};
use uuid::Uuid;

use crate::{
    admin::{AdminArgs, AdminConfig},
    settings::Problems,
};
use gathering_writer::GatheringWriter;
use hearing::Hearing;
use json_line::{JsonFields, JsonLine};

/// The settings of logs, traces and metrics, shared by every service.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryArgs {
    /// What to log: a level, or levels by module such as `info,platform=debug`.
    #[arg(long, env = "RIALTO_LOG", default_value = "info")]
    log: String,
    /// How to log: `json` for programs, `text` for people.
    #[arg(long, env = "RIALTO_LOG_FORMAT", default_value = "json")]
    log_format: String,
    /// Where to send traces and metrics, e.g. `http://127.0.0.1:4317` (OTLP over gRPC). Absent: nowhere.
    #[arg(long, env = "RIALTO_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// How many of 1,000 new traces are sent; a trace that the caller sampled always is.
    #[arg(long, env = "RIALTO_TRACES_PER_MILLE", default_value = "10")]
    traces_per_mille: String,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Checked settings of logs, traces and metrics.
#[derive(Debug)]
pub struct TelemetryConfig {
    levels: Targets,
    json: bool,
    otlp_endpoint: Option<String>,
    traces_per_mille: u16,
    admin: Option<AdminConfig>,
    heard: Option<Hearing>,
}

impl TelemetryConfig {
    /// Has `heard` called at each warning that a library logs under `target`, whatever else is logged.
    #[must_use]
    pub fn hearing(mut self, target: &'static str, heard: fn()) -> Self {
        self.levels = self.levels.with_target(target, LevelFilter::WARN);
        self.heard = Some(Hearing { target, heard });
        self
    }

    /// How many of 1,000 new traces are sent; 0 when there is nowhere to send them.
    pub fn traces_per_mille(&self) -> u16 {
        if self.otlp_endpoint.is_some() { self.traces_per_mille } else { 0 }
    }

    /// Where operators' programs read; none if nowhere.
    pub fn admin(&self) -> Option<AdminConfig> {
        self.admin.clone()
    }
}

impl TelemetryArgs {
    /// Checks the settings.
    pub fn check(&self, problems: &mut Problems) -> Option<TelemetryConfig> {
        let levels = levels(&self.log).map_err(|error| {
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
        let endpoint =
            self.otlp_endpoint.as_ref().map(|url| problems.url("otlp-endpoint", url).map(|_| url.clone()));
        let traces_per_mille = problems.number("traces-per-mille", &self.traces_per_mille, 0, 1000);
        let admin = self.admin.check(problems);
        Some(TelemetryConfig {
            admin,
            levels: levels.ok()?,
            json: json?,
            otlp_endpoint: endpoint.flatten(),
            traces_per_mille: traces_per_mille?,
            heard: None,
        })
    }
}

/// Reads a level, and levels by module. The library takes a word that is no level for a module, of which everything is logged.
fn levels(text: &str) -> Result<Targets, String> {
    for level in text.split(',').filter(|part| !part.contains('=')) {
        level.parse::<LevelFilter>().map_err(|error| format!("{level:?}: {error}"))?;
    }
    text.parse().map_err(|error| format!("{error}"))
}

/// Keeps telemetry alive; dropping it writes out what is still buffered.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    /// Where exporters speak to the collector: not on the service's one thread, which must not wait for them, nor they for it.
    exporting: Option<Runtime>,
    _log_writer: tracing_appender::non_blocking::WorkerGuard,
}

/// How long the end of the process waits for a collector to take the last that there is to tell.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Starts logging, tracing and measuring for the whole process. Logs go to standard error through a bounded queue that drops lines
/// rather than hold up a payment when nobody reads them; a process that is killed loses those of its last 10 ms. Spans wait for the
/// collector in a bounded queue of the same kind.
///
/// # Errors
/// When an exporter can't be made or telemetry was started before.
pub fn start(service: &'static str, config: TelemetryConfig) -> Result<Telemetry, String> {
    let (writer, guard) = tracing_appender::non_blocking(GatheringWriter::new(std::io::stderr()));
    let format = tracing_subscriber::fmt::layer().with_writer(writer);
    let format: Box<dyn Layer<Registry> + Send + Sync> = if config.json {
        format.fmt_fields(JsonFields).event_format(JsonLine).boxed()
    } else {
        format.with_ansi(false).boxed()
    };
    let collector = config.otlp_endpoint.as_deref();
    let exporting = collector.map(|_| runtime()).transpose()?;
    // Exporters take the runtime that they are made on.
    let entered = exporting.as_ref().map(Runtime::enter);
    let resource = resource(service);
    let traces = collector.map(|url| tracer(url, resource.clone())).transpose()?;
    let metrics = match (collector, &config.admin) {
        (None, None) => None,
        _ => Some(meter(collector, resource)?),
    };
    drop(entered);
    if let Some(metrics) = &metrics {
        global::set_meter_provider(metrics.clone());
        crate::metrics::set_read();
        crate::tls::ends::observe();
    }
    if let Some(traces) = &traces {
        crate::trace::export(traces.tracer("rialto"), config.traces_per_mille);
    }
    // The filter is of the whole, not of a layer: a layer's own filter keeps its last answer per thread, and whoever only
    // asks whether a level is enabled (as sqlx does with every statement) would silence the thread's next line or span.
    tracing_subscriber::registry()
        .with(format)
        .with(config.heard)
        .with(config.levels)
        .try_init()
        .map_err(|error| format!("cannot start logging: {error}"))?;
    Ok(Telemetry { traces, metrics, exporting, _log_writer: guard })
}

fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("telemetry")
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start exporting: {error}"))
}

/// What all telemetry of this process says of it.
fn resource(service: &'static str) -> Resource {
    Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.namespace", "rialto"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ])
        .build()
}

fn tracer(endpoint: &str, resource: Resource) -> Result<SdkTracerProvider, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| format!("cannot send traces to {endpoint}: {error}"))?;
    // What is not sampled never comes to it: see `trace`.
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource)
        .build())
}

/// One set of instruments with two readers: whoever scrapes, and the collector if there is one.
fn meter(endpoint: Option<&str>, resource: Resource) -> Result<SdkMeterProvider, String> {
    let scraped = opentelemetry_prometheus::exporter()
        .with_registry(prometheus::default_registry().clone())
        .scope_info_enabled(false)
        .build()
        .map_err(|error| format!("cannot show metrics: {error}"))?;
    let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(scraped);
    let Some(endpoint) = endpoint else { return Ok(provider.build()) };
    let exporter = opentelemetry_otlp::MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| format!("cannot send metrics to {endpoint}: {error}"))?;
    Ok(provider.with_periodic_exporter(exporter).build())
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let traces = self.traces.as_ref().map(|traces| traces.shutdown_with_timeout(LAST_WORDS));
        let metrics = self.metrics.as_ref().map(|metrics| metrics.shutdown_with_timeout(LAST_WORDS));
        for error in [traces, metrics].into_iter().flatten().filter_map(Result::err) {
            tracing::warn!(%error, "the last traces or metrics were not sent");
        }
        if let Some(exporting) = self.exporting.take() {
            exporting.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::levels;

    #[test]
    fn levels_are_known_words_and_modules_have_one() {
        for good in ["info", "WARN", "off", "info,platform=debug", "platform=debug,h2=off"] {
            assert!(levels(good).is_ok(), "{good}");
        }
        for bad in ["infos", "platform", "info,platform", "info,platform=loud", "info,=="] {
            assert!(levels(bad).is_err(), "{bad}");
        }
    }
}
