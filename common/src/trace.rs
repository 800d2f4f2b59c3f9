//! The trace that follows a payment through the services (W3C Trace Context).

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

static EXPORTING: AtomicBool = AtomicBool::new(false);

/// Said once at start by telemetry: spans are exported, so parents must be told to the exporter.
pub(crate) fn set_exporting() {
    EXPORTING.store(true, Ordering::Relaxed);
}

/// A `traceparent`: which trace something belongs to, and which span is its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

impl TraceParent {
    /// A new trace; the exporter decides whether it is sampled.
    pub fn new_root() -> Self {
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
        Some(Self { trace_id, span_id, flags: TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) })
    }

    /// Reads what another service sent, or begins a new trace.
    pub fn parse_or_new(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(Self::new_root)
    }

    /// The trace's id, for the log.
    pub fn trace_id(&self) -> String {
        self.trace_id.to_string()
    }

    /// Makes `span` a child in this trace, and returns what to pass on so that others become children of `span`.
    pub fn adopt(self, span: &Span) -> Self {
        if !EXPORTING.load(Ordering::Relaxed) {
            return self;
        }
        let remote = SpanContext::new(self.trace_id, self.span_id, self.flags, true, TraceState::default());
        let parent = opentelemetry::Context::new().with_remote_span_context(remote);
        if span.set_parent(parent).is_err() {
            return self;
        }
        let context = span.context();
        let own = context.span().span_context().clone();
        if !own.is_valid() {
            return self;
        }
        Self { trace_id: self.trace_id, span_id: own.span_id(), flags: own.trace_flags() }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparents_round_trip_and_bad_ones_are_refused() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(text).map(|t| t.to_string()).as_deref(), Some(text));
        let root = TraceParent::new_root();
        assert_eq!(TraceParent::parse(&root.to_string()), Some(root));
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
