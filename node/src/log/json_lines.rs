//! The line format of the original: the event's own fields, then who logged what, when and where.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

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
        let mut line = Line::default();
        event.record(&mut line);
        let Line {
            mut fields,
            event: name,
        } = line;
        let origin = event.metadata();
        let file = origin
            .file()
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let number = origin.line().unwrap_or_default();
        let function = origin.module_path().unwrap_or_default();
        // Inserted last, so that no field of an event can pass for one of these.
        for (field, value) in [
            ("event", Value::from(name)),
            ("level", level_name(*origin.level()).into()),
            (
                "timestamp",
                jiff::Timestamp::now()
                    .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
                    .to_string()
                    .into(),
            ),
            ("node_id", self.node_id.as_str().into()),
            ("file", file.into()),
            ("line", number.into()),
            ("function", function.into()),
            ("location", format!("{file}:{function}:{number}").into()),
        ] {
            fields.shift_remove(field);
            fields.insert(field.to_owned(), value);
        }
        writeln!(writer, "{}", Value::Object(fields))
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

#[derive(Default)]
struct Line {
    fields: Map<String, Value>,
    event: String,
}

impl Line {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.event = text;
        } else {
            self.put(field, text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}
