//! A line of JSON for each event. The library's own format reads each span's fields back from JSON for every event in it;
//! here they are kept as they will stand in the line.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_log::NormalizeEvent;
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// Formats an event: time, level, its fields, where it comes from, and the innermost span with its fields.
#[derive(Debug)]
pub(super) struct JsonLine;

/// Formats fields as members of an object, each with a comma before it.
#[derive(Debug)]
pub(super) struct JsonFields;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        writer.write_str("\",\"level\":\"")?;
        writer.write_str(metadata.level().as_str())?;
        writer.write_char('"')?;
        context.format_fields(writer.by_ref(), event)?;
        writer.write_str(",\"target\":")?;
        string(&mut writer, metadata.target())?;
        let span = event.parent().and_then(|id| context.span(id)).or_else(|| context.lookup_current());
        if let Some(span) = span {
            writer.write_str(",\"span\":{\"name\":")?;
            string(&mut writer, span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                writer.write_str(fields)?;
            }
            writer.write_char('}')?;
        }
        writer.write_str("}\n")
    }
}

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = Members { writer, written: Ok(()) };
        fields.record(&mut members);
        members.written
    }
}

/// Writes each field that it is shown, until one can't be written.
struct Members<'writer> {
    writer: Writer<'writer>,
    written: fmt::Result,
}

impl Members<'_> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        // What the `log` crate adds about itself stands in the line already.
        if self.written.is_err() || field.name().starts_with("log.") {
            return;
        }
        let name = field.name().trim_start_matches("r#");
        self.written = [",\"", name, "\":"]
            .into_iter()
            .try_for_each(|part| self.writer.write_str(part))
            .and_then(|()| value(&mut self.writer));
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has numbers that end, and nothing for the others.
        let number = serde_json::Number::from_f64(value);
        self.write(field, |writer| match number {
            Some(number) => write!(writer, "{number}"),
            None => writer.write_str("null"),
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, |writer| string(writer, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, |writer| string(writer, format_args!("{value:?}")));
    }
}

fn string(writer: &mut Writer<'_>, value: impl fmt::Display) -> fmt::Result {
    writer.write_char('"')?;
    write!(Escaped(writer), "{value}")?;
    writer.write_char('"')
}

/// Writes text as it stands within a JSON string.
struct Escaped<'a, 'writer>(&'a mut Writer<'writer>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly all that is logged is plain, and a look at it costs less than the library's way.
        if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            return self.0.write_str(text);
        }
        let quoted = serde_json::to_string(text).map_err(|_| fmt::Error)?;
        let escaped = quoted.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"'));
        self.0.write_str(escaped.ok_or(fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};
    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn every_event_is_one_object_whatever_its_fields_hold() {
        let kept = Kept::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(kept.clone())
            .fmt_fields(JsonFields)
            .event_format(JsonLine);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(r#type = -1, "alone");
            let span = tracing::info_span!("call", trace_id = "a \"b\"\n\\ é", number = 7_u64);
            let _entered = span.enter();
            tracing::info!(quick = true, ratio = 0.5, none = f64::NAN, detail = ?Some("x\u{1}"), "said {}", "\"so\"");
        });
        let text = String::from_utf8(kept.0.lock().expect("no panic").clone()).expect("UTF-8");
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        for line in &mut lines {
            let time = line["timestamp"].take();
            assert!(time.as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 27), "{time}");
        }
        let target = module_path!();
        assert_eq!(
            lines,
            [
                json!({ "timestamp": null, "level": "WARN", "type": -1, "message": "alone", "target": target }),
                json!({
                    "timestamp": null, "level": "INFO", "quick": true, "ratio": 0.5, "none": null,
                    "detail": "Some(\"x\\u{1}\")", "message": "said \"so\"", "target": target,
                    "span": { "name": "call", "trace_id": "a \"b\"\n\\ é", "number": 7 },
                }),
            ]
        );
    }
}
