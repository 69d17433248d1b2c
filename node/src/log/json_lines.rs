//! The line format of the original: the event's own fields, then its logger, place and time.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// The members of every line; no field of an event can pass for one of these.
const RESERVED: [&str; 8] = [
    "event",
    "level",
    "timestamp",
    "node_id",
    "file",
    "line",
    "function",
    "location",
];

/// Formats an event as one JSON object; the message is the event's name.
pub(super) struct JsonLines {
    node_id: String,
}

impl JsonLines {
    pub(super) fn new(node_id: &str) -> Self {
        Self {
            node_id: node_id.to_owned(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line {
            json: String::with_capacity(512),
            event: String::new(),
        };
        line.json.push('{');
        event.record(&mut line);
        let name = std::mem::take(&mut line.event);
        let origin = event.metadata();
        let file = origin
            .file()
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let number = origin.line().unwrap_or_default();
        let function = origin.module_path().unwrap_or_default();
        line.text("event", &name);
        line.text("level", level_name(*origin.level()));
        let now = jiff::Timestamp::now();
        line.value("timestamp", format_args!("\"{now:.6}\""));
        line.text("node_id", &self.node_id);
        line.text("file", file);
        line.value("line", format_args!("{number}"));
        line.text("function", function);
        line.value("location", format_args!("\"{file}:{function}:{number}\""));
        line.json.push_str("}\n");
        writer.write_str(&line.json)
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

/// A line while it is written.
struct Line {
    json: String,
    event: String,
}

impl Line {
    /// Appends a member whose value is JSON already.
    fn value(&mut self, name: &str, json: fmt::Arguments<'_>) {
        self.name(name);
        // Writing to a string does not fail.
        let _ = self.json.write_fmt(json);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        // Most texts need no escapes.
        if text
            .bytes()
            .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
        {
            self.json.push('"');
            self.json.push_str(text);
            self.json.push('"');
        } else {
            self.json
                .push_str(&serde_json::to_string(text).unwrap_or_default());
        }
    }

    fn name(&mut self, name: &str) {
        if self.json.len() > 1 {
            self.json.push(',');
        }
        self.json.push('"');
        self.json.push_str(name);
        self.json.push_str("\":");
    }

    fn field(&mut self, field: &Field, json: fmt::Arguments<'_>) {
        if !RESERVED.contains(&field.name()) {
            self.value(field.name(), json);
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.event = text;
        } else {
            self.record_str(field, &text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !RESERVED.contains(&field.name()) {
            self.text(field.name(), value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinities.
        if value.is_finite() {
            self.field(field, format_args!("{value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_field_of_an_event_passes_for_one_of_the_line() {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(JsonLines::new("node-1"))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(
                level = "DEBUG",
                timestamp = "never",
                node_id = "node-2",
                file = "a",
                line = 1,
                function = "b",
                location = "c",
                event = "d",
                own = "e\nf",
                "named"
            );
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "one event, one line");
        let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(line.len(), RESERVED.len() + 1);
        assert_eq!(line["event"], "named");
        assert_eq!(line["level"], "WARNING");
        assert_eq!(line["node_id"], "node-1");
        assert_eq!(line["file"], "json_lines.rs");
        assert_eq!(line["own"], "e\nf");
        for field in RESERVED {
            assert_eq!(text.matches(&format!("\"{field}\":")).count(), 1, "{field}");
        }
    }
}
