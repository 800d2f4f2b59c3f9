//! The trace that follows a payment through the services (W3C Trace Context), and the spans in it.
//!
//! Whether a trace is sampled is decided once, where it begins, and travels along. Of one that is not, nothing is kept: a span is then
//! no more than the context that is passed on.

use std::{fmt, sync::OnceLock};

pub use opentelemetry::trace::SpanKind;
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{
        Span as _, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

static EXPORT: OnceLock<Export> = OnceLock::new();

/// Where spans go, and of how many of 1,000 new traces.
struct Export {
    tracer: SdkTracer,
    traces_per_mille: u16,
}

/// Said once at start by telemetry: spans are exported.
pub(crate) fn export(tracer: SdkTracer, traces_per_mille: u16) {
    // A second start of telemetry fails before it comes to this.
    let _ = EXPORT.set(Export { tracer, traces_per_mille });
}

/// A `traceparent`: which trace something belongs to, and which span is its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

impl TraceParent {
    /// A new trace that is not sampled.
    pub fn unsampled() -> Self {
        Self {
            trace_id: TraceId::from_bytes(rand::random()),
            span_id: SpanId::from_bytes(rand::random()),
            flags: TraceFlags::default(),
        }
    }

    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`; none if it is anything else or all zero.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
        if version != "00" || parts.next().is_some() || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
            return None;
        }
        let trace_id = TraceId::from_hex(trace).ok()?;
        let span_id = SpanId::from_hex(span).ok()?;
        if trace_id == TraceId::INVALID || span_id == SpanId::INVALID {
            return None;
        }
        // Of the flags only the first has a meaning (section 3.2.2.5.1), and whoever sends others may not have them echoed.
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
        Some(Self { trace_id, span_id, flags })
    }

    /// Reads what another service sent; if that is nothing, a new trace that is not sampled.
    pub fn parse_or_unsampled(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(Self::unsampled)
    }

    /// The trace's id, for the log.
    pub fn trace_id(&self) -> String {
        self.trace_id.to_string()
    }

    /// Whether spans of the trace are kept.
    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    /// Begins a span in this trace.
    pub fn span(self, name: &'static str, kind: SpanKind) -> Span {
        let export = EXPORT.get().filter(|_| self.is_sampled());
        let Some(export) = export else { return Span { context: self, recording: None } };
        let parent = Context::new().with_remote_span_context(self.to_span_context());
        Span::start(export, name, kind, &parent)
    }

    fn to_span_context(self) -> SpanContext {
        SpanContext::new(self.trace_id, self.span_id, self.flags, true, TraceState::default())
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// A piece of work in a trace, until it is dropped.
#[derive(Debug)]
pub struct Span {
    context: TraceParent,
    /// None unless the trace is sampled and spans are exported.
    recording: Option<Box<SdkSpan>>,
}

impl Span {
    /// Begins a span in the trace that the caller sent, or a new trace, of which so many in 1,000 are sampled.
    pub fn begin(traceparent: &str, name: &'static str, kind: SpanKind) -> Self {
        match TraceParent::parse(traceparent) {
            Some(parent) => parent.span(name, kind),
            None => Self::root(name, kind),
        }
    }

    fn root(name: &'static str, kind: SpanKind) -> Self {
        let chosen = |export: &&Export| rand::random_range(0..1000) < export.traces_per_mille;
        match EXPORT.get().filter(chosen) {
            Some(export) => Self::start(export, name, kind, &Context::new()),
            None => Self { context: TraceParent::unsampled(), recording: None },
        }
    }

    /// Begins a span in a trace of its own for work that was done for many: `members` are what it links to. None unless there are some,
    /// which are sampled.
    pub fn of_many(name: &'static str, members: impl Iterator<Item = TraceParent>) -> Option<Self> {
        let export = EXPORT.get()?;
        let mut members = members.filter(TraceParent::is_sampled).peekable();
        members.peek()?;
        let mut span = Self::start(export, name, SpanKind::Internal, &Context::new());
        members.for_each(|member| span.link(member));
        Some(span)
    }

    fn start(export: &Export, name: &'static str, kind: SpanKind, parent: &Context) -> Self {
        let builder = export.tracer.span_builder(name).with_kind(kind);
        let recording = builder.start_with_context(&export.tracer, parent);
        let own = recording.span_context();
        let context =
            TraceParent { trace_id: own.trace_id(), span_id: own.span_id(), flags: own.trace_flags() };
        Self { context, recording: Some(Box::new(recording)) }
    }

    /// What to pass on, so that others become children of this span.
    pub fn context(&self) -> TraceParent {
        self.context
    }

    /// Whether it is kept, so that it is worth finding out what to say of it.
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Says something of it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(recording) = &mut self.recording {
            recording.set_attribute(KeyValue::new(name, value));
        }
    }

    /// Names it for what turned out to be done.
    pub fn rename(&mut self, name: impl FnOnce() -> String) {
        if let Some(recording) = &mut self.recording {
            recording.update_name(name());
        }
    }

    /// Points to a span of another trace.
    pub fn link(&mut self, other: TraceParent) {
        if let Some(recording) = &mut self.recording {
            recording.add_link(other.to_span_context(), Vec::new());
        }
    }

    /// It failed, and `error_type` says how, for programs.
    pub fn fail(&mut self, error_type: &'static str) {
        if let Some(recording) = &mut self.recording {
            recording.set_attribute(KeyValue::new("error.type", error_type));
            recording.set_status(Status::error(error_type));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparents_round_trip_and_bad_ones_are_refused() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(text).map(|t| t.to_string()).as_deref(), Some(text));
        let root = TraceParent::unsampled();
        assert_eq!(TraceParent::parse(&root.to_string()), Some(root));
        let odd = TraceParent::parse(&text.replace("-01", "-ff")).map(|t| t.to_string());
        assert_eq!(odd.as_deref(), Some(text), "unknown flags are not passed on");
        for bad in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &format!("{text}-00"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}
