//! Which part of a list a request asks for, and how it gets the next one (keyset pagination).

use axum::http::HeaderValue;

use super::query::Query;
use crate::{
    api::{
        NodeState,
        answer::{entry_json::Form, error::ApiError, problem::Problem},
    },
    crypto::CursorKey,
    domain::Timestamp,
    store::{ListedEntry, Selection},
};

/// Entries of one page at most.
const LARGEST: usize = 1000;
/// Conflicts of one page, where the caller does not say how many.
const CONFLICTS: usize = 100;

/// One page of a list, or all of it.
#[derive(Debug, Clone)]
pub(in crate::api) struct Page {
    pub(in crate::api) selection: Selection,
    pub(in crate::api) form: Form,
    /// How many entries that the key opens; `None` for all.
    pub(in crate::api) limit: Option<usize>,
    path: &'static str,
    query: Query,
}

/// The entry that the next page begins after. The caller gets it sealed: it may be one that the caller's key does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Cursor {
    environment: String,
    key: String,
}

impl From<(String, String)> for Cursor {
    fn from((environment, key): (String, String)) -> Self {
        Self { environment, key }
    }
}

impl Cursor {
    pub(in crate::api) fn of(entry: ListedEntry<'_>) -> Self {
        Self {
            environment: entry.environment.to_owned(),
            key: entry.key.to_owned(),
        }
    }

    pub(in crate::api) fn into_parts(self) -> (String, String) {
        (self.environment, self.key)
    }

    fn encode(&self, cursors: &CursorKey, now: Timestamp) -> Option<String> {
        let names = serde_json::json!([self.environment, self.key]);
        cursors.seal(&names.to_string(), now).ok()
    }

    fn decode(text: &str, cursors: &CursorKey) -> Option<Self> {
        let json = cursors.open(text).ok()?;
        let (environment, key) = serde_json::from_slice(&json).ok()?;
        Some(Self { environment, key })
    }
}

impl Page {
    pub(in crate::api) fn of(
        node: &NodeState,
        path: &'static str,
        query: Query,
    ) -> Result<Self, ApiError> {
        let mut problems = Vec::new();
        let limit = limit(&query, &mut problems);
        let decode = |text: &str| Cursor::decode(text, &node.cursors()?);
        let after = after(&query, decode, &mut problems);
        if !problems.is_empty() {
            return Err(ApiError::Invalid(problems));
        }
        let form = if query.is_on("keys_only")? {
            Form::Names
        } else {
            query.form()?
        };
        Ok(Self {
            selection: Selection {
                environment: query.get("environment").map(str::to_owned),
                category: query.get("category").map(str::to_owned),
                after: after.map(Cursor::into_parts),
            },
            form,
            limit,
            path,
            query,
        })
    }

    /// The `Link` header of the page after this one.
    pub(in crate::api) fn link(&self, node: &NodeState, cursor: &Cursor) -> Option<HeaderValue> {
        let cursor = cursor.encode(&node.cursors()?, (node.clock)())?;
        let query = self.query.with("after", &cursor);
        HeaderValue::try_from(format!("<{}?{query}>; rel=\"next\"", self.path)).ok()
    }
}

/// Entries of one page, where the query says how many.
fn limit(query: &Query, problems: &mut Vec<Problem>) -> Option<usize> {
    let limit = query.get("limit")?.parse().ok();
    let limit = limit.filter(|limit| (1..=LARGEST).contains(limit));
    if limit.is_none() {
        let msg = "Input should be an integer from 1 to 1000";
        problems.push(Problem::not_parsed(&["query", "limit"], msg));
    }
    limit
}

/// What a page begins after, where the query says it.
fn after<C>(
    query: &Query,
    decode: impl FnOnce(&str) -> Option<C>,
    problems: &mut Vec<Problem>,
) -> Option<C> {
    let after = decode(query.get("after")?);
    if after.is_none() {
        let msg = "Input should be the cursor of a Link header";
        problems.push(Problem::not_parsed(&["query", "after"], msg));
    }
    after
}

/// One page of the conflicts that a node keeps.
#[derive(Debug)]
pub(in crate::api) struct ConflictsPage {
    /// Versions at most.
    pub(in crate::api) limit: usize,
    /// The number that they come before; `None` for the first page.
    pub(in crate::api) before: Option<i64>,
    query: Query,
}

impl ConflictsPage {
    pub(in crate::api) fn of(query: Query) -> Result<Self, ApiError> {
        let mut problems = Vec::new();
        let limit = limit(&query, &mut problems).unwrap_or(CONFLICTS);
        let before = after(&query, |text| text.parse().ok(), &mut problems);
        if !problems.is_empty() {
            return Err(ApiError::Invalid(problems));
        }
        Ok(Self {
            limit,
            before,
            query,
        })
    }

    /// The `Link` header of the page before that number.
    pub(in crate::api) fn link(&self, before: i64) -> Option<HeaderValue> {
        let query = self.query.with("after", &before.to_string());
        HeaderValue::try_from(format!("</cluster/conflicts?{query}>; rel=\"next\"")).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::Salt;

    const NOW: Timestamp = Timestamp::from_micros(1_768_471_845_000_000);

    fn cursors(byte: u8) -> CursorKey {
        CursorKey::of(&Salt::from_bytes(&[byte; 64]).unwrap())
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written_and_by_nodes_of_its_cluster_only(environment in ".{0,20}", key in ".{0,200}") {
            let cursor = Cursor { environment, key };
            let text = cursor.encode(&cursors(1), NOW).unwrap();
            prop_assert_eq!(Cursor::decode(&text, &cursors(2)), None);
            prop_assert_eq!(Cursor::decode(&text, &cursors(1)), Some(cursor));
        }

        #[test]
        fn cursors_of_short_names_are_equally_long(environment in ".{0,10}", key in ".{0,10}") {
            let long = |environment: &str, key: &str| {
                let cursor = Cursor::from((environment.to_owned(), key.to_owned()));
                cursor.encode(&cursors(1), NOW).unwrap().len()
            };
            prop_assert_eq!(long(&environment, &key), long("", ""));
        }

        #[test]
        fn no_text_makes_reading_a_cursor_panic(text in ".{0,60}", place in ".{0,60}") {
            prop_assert_eq!(Cursor::decode(&text, &cursors(1)), None);
            Cursor::decode(&cursors(1).seal(&place, NOW).unwrap(), &cursors(1));
        }
    }
}
