//! What is wrong with a request, part by part: the items of a 422 answer.

use serde::Serialize;

/// One item of a 422 answer. The offending input is not echoed: it may hold the secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::api) struct Problem {
    r#type: &'static str,
    loc: Vec<serde_json::Value>,
    msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<serde_json::Value>,
}

impl Problem {
    pub(in crate::api) fn new(r#type: &'static str, loc: &[&str], msg: impl Into<String>) -> Self {
        Self {
            r#type,
            loc: loc.iter().map(|part| (*part).into()).collect(),
            msg: msg.into(),
            ctx: None,
        }
    }

    /// A required part is absent.
    pub(in crate::api) fn missing(loc: &[&str]) -> Self {
        Self::new("missing", loc, "Field required")
    }

    /// A text without any character.
    pub(in crate::api) fn empty(loc: &[&str]) -> Self {
        let mut problem = Self::new(
            "string_too_short",
            loc,
            "String should have at least 1 character",
        );
        problem.ctx = Some(serde_json::json!({ "min_length": 1 }));
        problem
    }

    /// A text with too many characters.
    pub(in crate::api) fn too_long(loc: &[&str], max_length: usize) -> Self {
        let mut problem = Self::new(
            "string_too_long",
            loc,
            format!("String should have at most {max_length} characters"),
        );
        problem.ctx = Some(serde_json::json!({ "max_length": max_length }));
        problem
    }

    /// An array with too many items.
    pub(in crate::api) fn too_many(loc: &[&str], max_length: usize) -> Self {
        let msg = format!("List should have at most {max_length} items");
        let mut problem = Self::new("too_long", loc, msg);
        problem.ctx = Some(serde_json::json!({ "max_length": max_length }));
        problem
    }

    /// The same of one item of the array that the body is.
    #[must_use]
    pub(in crate::api) fn in_row(mut self, row: usize) -> Self {
        self.loc.insert(self.loc.len().min(1), row.into());
        self
    }

    /// A query parameter that is none of the allowed words.
    pub(in crate::api) fn no_choice(loc: &[&str], expected: &str) -> Self {
        let mut problem = Self::new("literal_error", loc, format!("Input should be {expected}"));
        problem.ctx = Some(serde_json::json!({ "expected": expected }));
        problem
    }

    /// A query parameter that does not parse.
    pub(in crate::api) fn not_parsed(loc: &[&str], msg: &str) -> Self {
        Self::new("value_error", loc, msg)
    }

    pub(in crate::api) fn invalid_json(message: &str, offset: usize) -> Self {
        let mut problem = Self::new("json_invalid", &["body"], "JSON decode error");
        problem.loc.push(offset.into());
        problem.ctx = Some(serde_json::json!({ "error": message }));
        problem
    }
}
