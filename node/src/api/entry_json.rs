//! Entries as they are answered.

use std::fmt::Write as _;

use crate::domain::{Category, Identity, Row, Timestamp};
use crate::json::{Json, Text};

/// Which members an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Without times.
    Short,
    /// With `created_at` and `updated_at`.
    Full,
}

/// What an answer tells of an entry.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) identity: &'a Identity,
    pub(super) category: Option<&'a Category>,
    pub(super) value: &'a Json,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

impl<'a> Shown<'a> {
    pub(super) fn of(row: &'a Row, value: &'a Json) -> Self {
        Self {
            identity: &row.identity,
            category: row.category.as_ref(),
            value,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    /// Appends the entry as a JSON object with the members in the original's order.
    pub(super) fn write(&self, form: Form, out: &mut String) {
        let text = |text: &str| Json::String(Text::from(text)).to_wire();
        let optional = |value: Option<&str>| value.map_or_else(|| "null".to_owned(), text);
        let Identity { environment, key } = self.identity;
        // Writing to a string does not fail.
        let _ = write!(
            out,
            r#"{{"id":{},"key":{},"category":{},"environment":{},"value":{}"#,
            self.identity.id(),
            text(key.as_str()),
            optional(self.category.map(Category::as_str)),
            optional(environment.name()),
            self.value.to_wire(),
        );
        if form == Form::Full {
            let [created, updated] = [self.created_at, self.updated_at].map(rfc_3339);
            let _ = write!(out, r#","created_at":"{created}","updated_at":"{updated}""#);
        }
        out.push('}');
    }
}

/// UTC with microseconds and `Z`.
fn rfc_3339(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.as_micros())
        .unwrap_or_default()
        .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::{ConfigKey, Environment};

    #[test]
    fn members_are_in_the_order_of_the_original() {
        let identity = Identity {
            environment: Environment::default(),
            key: ConfigKey::new("k\"".into()).unwrap(),
        };
        let shown = Shown {
            identity: &identity,
            category: None,
            value: &Json::Bool(true),
            created_at: Timestamp::from_micros(1_768_471_845_000_001),
            updated_at: Timestamp::from_micros(0),
        };
        let mut out = String::new();
        shown.write(Form::Full, &mut out);
        let id = identity.id();
        assert_eq!(
            out,
            format!(
                r#"{{"id":{id},"key":"k\"","category":null,"environment":null,"value":true,"created_at":"2026-01-15T10:10:45.000001Z","updated_at":"1970-01-01T00:00:00.000000Z"}}"#
            )
        );
    }
}
