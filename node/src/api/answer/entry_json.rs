//! Entries as they are answered.

use std::fmt;

use crate::{
    api::value_text::ValueText,
    domain::{Category, Identity, Row, Timestamp, entry_id},
    json::write_string,
    store::ListedEntry,
};

/// Which members an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Form {
    /// Neither value nor times.
    Names,
    /// Without times.
    Short,
    /// With `created_at` and `updated_at`.
    Full,
}

/// What the answer to a reader of one entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Format {
    /// The entry as a JSON object.
    Json,
    /// The value alone: a string's characters, anything else as JSON text.
    Text,
}

/// What an answer says of an entry, beside its value.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Shown<'a> {
    pub(in crate::api) environment: &'a str,
    pub(in crate::api) key: &'a str,
    pub(in crate::api) category: Option<&'a str>,
    pub(in crate::api) created_at: Timestamp,
    pub(in crate::api) updated_at: Timestamp,
}

/// What the members of an entry take without names and value, with both times, in bytes.
const MEMBERS: usize = 256;

impl<'a> From<&'a Row> for Shown<'a> {
    fn from(row: &'a Row) -> Self {
        let Identity { environment, key } = &row.identity;
        Self {
            environment: environment.as_str(),
            key: key.as_str(),
            category: row.category.as_ref().map(Category::as_str),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl<'a> From<ListedEntry<'a>> for Shown<'a> {
    fn from(entry: ListedEntry<'a>) -> Self {
        let ListedEntry {
            environment,
            key,
            category,
            token: _,
            extra: _,
            created_at,
            updated_at,
            hashed: _,
        } = entry;
        Self {
            environment,
            key,
            category,
            created_at,
            updated_at,
        }
    }
}

impl Shown<'_> {
    /// About how long the entry is without its value, in bytes.
    pub(in crate::api) fn length(&self) -> usize {
        let category = self.category.map_or(0, str::len);
        MEMBERS + self.environment.len() + self.key.len() + category
    }

    /// Appends the entry as a JSON object with the members in the original's order.
    pub(in crate::api) fn write(&self, form: Form, value: Option<&ValueText>, out: &mut String) {
        // Writing to a string does not fail.
        let _ = self.write_head(form, out);
        if let Some(value) = value {
            let _ = value.write_wire(out);
        }
        let _ = self.write_tail(form, out);
    }

    /// What stands before the value.
    pub(in crate::api) fn write_head(&self, form: Form, out: &mut impl fmt::Write) -> fmt::Result {
        let environment = Some(self.environment).filter(|name| !name.is_empty());
        let id = entry_id(self.environment, self.key);
        write!(out, r#"{{"id":{id},"key":"#)?;
        write_string(self.key, out)?;
        out.write_str(r#","category":"#)?;
        optional(self.category, out)?;
        out.write_str(r#","environment":"#)?;
        optional(environment, out)?;
        if form != Form::Names {
            out.write_str(r#","value":"#)?;
        }
        Ok(())
    }

    /// What stands behind it.
    pub(in crate::api) fn write_tail(&self, form: Form, out: &mut impl fmt::Write) -> fmt::Result {
        if form == Form::Full {
            let [created, updated] = [self.created_at, self.updated_at].map(rfc_3339);
            write!(out, r#","created_at":"{created}","updated_at":"{updated}""#)?;
        }
        out.write_char('}')
    }
}

/// How many bytes the text of an entry takes at most, as far as its row shows.
pub(in crate::api) fn size_of(entry: &ListedEntry<'_>, form: Form) -> usize {
    /// What a character of a name may become.
    const ESCAPED: usize = 6;
    let category = entry.category.map_or(0, str::len);
    let names = (entry.environment.len() + entry.key.len() + category) * ESCAPED;
    let value = match form {
        Form::Names => 0,
        Form::Short | Form::Full => entry.token.len() / 4 * 3,
    };
    MEMBERS + names + value
}

/// Writes a string, or `null`.
pub(in crate::api) fn optional(value: Option<&str>, out: &mut impl fmt::Write) -> fmt::Result {
    match value {
        Some(value) => write_string(value, out),
        None => out.write_str("null"),
    }
}

/// UTC with microseconds and `Z`.
pub(in crate::api) fn rfc_3339(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_microsecond(time.as_micros()).unwrap_or_default();
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_in_the_order_of_the_original() {
        let shown = Shown {
            environment: "",
            key: "k\"",
            category: None,
            created_at: Timestamp::from_micros(1_768_471_845_000_001),
            updated_at: Timestamp::from_micros(0),
        };
        let mut out = String::new();
        shown.write(
            Form::Full,
            Some(&ValueText::written("true".to_owned())),
            &mut out,
        );
        let id = entry_id("", "k\"");
        assert_eq!(
            out,
            format!(
                r#"{{"id":{id},"key":"k\"","category":null,"environment":null,"value":true,"created_at":"2026-01-15T10:10:45.000001Z","updated_at":"1970-01-01T00:00:00.000000Z"}}"#
            )
        );
    }
}
