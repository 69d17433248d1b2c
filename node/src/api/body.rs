//! Request bodies, judged as the original judges them.

use axum::body::HttpBody as _;
use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

use super::{Node, NodeState, body_text::decode, error::ApiError, problem::Problem};
use crate::{
    domain::{Category, ConfigKey, Environment},
    json::{Json, ParseError, Text, parse},
};

/// Arrays and objects may nest this deep.
const MAX_DEPTH: usize = 64;

/// The fields of a body, before a route asks for them.
#[derive(Debug)]
pub(super) struct Fields {
    members: indexmap::IndexMap<Text, Json>,
    problems: Vec<Problem>,
}

impl FromRequest<Node> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, node: &Node) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let bytes = read(request.into_body(), node).await?;
        if bytes.is_empty() {
            return Err(ApiError::Invalid(vec![Problem::missing(&["body"])]));
        }
        let no_object = || {
            let msg = "Input should be a valid dictionary or object to extract fields from";
            ApiError::Invalid(vec![Problem::new("model_attributes_type", &["body"], msg)])
        };
        if !is_json {
            return Err(no_object());
        }
        let text = decode(&bytes).ok_or(ApiError::UnreadableBody)?;
        match parse(&text, MAX_DEPTH) {
            Ok(Json::Object(members)) => Ok(Self {
                members,
                problems: Vec::new(),
            }),
            Ok(Json::Null) => Err(ApiError::Invalid(vec![Problem::missing(&["body"])])),
            Ok(_) => Err(no_object()),
            Err(ParseError::Syntax { message, offset }) => {
                Err(ApiError::Invalid(vec![Problem::invalid_json(
                    message, offset,
                )]))
            }
            Err(ParseError::TooDeep | ParseError::IntegerTooLong) => Err(ApiError::UnreadableBody),
        }
    }
}

/// Reads a whole body.
pub(super) async fn read(body: Body, node: &NodeState) -> Result<bytes::Bytes, ApiError> {
    read_up_to(node.max_body_bytes, body, node).await
}

/// The same with another limit.
pub(super) async fn read_up_to(
    limit: usize,
    body: Body,
    node: &NodeState,
) -> Result<bytes::Bytes, ApiError> {
    // Before a byte is read, and so before `100 Continue`.
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::BodyTooLarge { limit });
    }
    let bytes = timeout(node.patience.body, to_bytes(body, limit))
        .await
        .map_err(|_| ApiError::SlowBody)?;
    bytes.map_err(|error| {
        let mut causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
            error.source()
        });
        if causes.any(<dyn std::error::Error>::is::<LengthLimitError>) {
            ApiError::BodyTooLarge { limit }
        } else {
            ApiError::UnreadableBody
        }
    })
}

/// `application/json`, `application/*+json`, or no type at all.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let content_type = content_type
        .to_str()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

impl Fields {
    /// The fields, or everything that was found wrong with them.
    pub(super) fn finish<T>(self, fields: Option<T>) -> Result<T, ApiError> {
        match fields {
            Some(fields) if self.problems.is_empty() => Ok(fields),
            _ => Err(ApiError::Invalid(self.problems)),
        }
    }

    /// The required name.
    pub(super) fn key(&mut self) -> Option<ConfigKey> {
        const LOC: &[&str] = &["body", "key"];
        let Some(value) = self.members.get(&Text::from("key")) else {
            self.problems.push(Problem::missing(LOC));
            return None;
        };
        let text = self.text(&value.clone(), LOC)?;
        if text.is_empty() {
            self.problems.push(Problem::empty(LOC));
            return None;
        }
        let key = ConfigKey::new(text);
        if key.is_none() {
            self.problems
                .push(Problem::too_long(LOC, ConfigKey::MAX_CHARACTERS));
        }
        key
    }

    /// The required value: anything but null.
    pub(super) fn value(&mut self) -> Option<Json> {
        const LOC: &[&str] = &["body", "value"];
        match self.members.swap_remove(&Text::from("value")) {
            None => self.problems.push(Problem::missing(LOC)),
            Some(Json::Null) => self.problems.push(Problem::new(
                "dict_type",
                LOC,
                "Input should be a valid dictionary",
            )),
            Some(value) if value.has_lone_surrogate() => self.problems.push(not_unicode(LOC)),
            Some(value) => return Some(value),
        }
        None
    }

    /// The optional category; `None` when absent or null, `Some(None)` never: an empty one is a category too.
    pub(super) fn category(&mut self) -> Option<Category> {
        let text = self.optional_text("category")?;
        let category = Category::new(text);
        if category.is_none() {
            self.problems.push(Problem::too_long(
                &["body", "category"],
                Category::MAX_CHARACTERS,
            ));
        }
        category
    }

    /// The optional environment; `None` when absent or null.
    pub(super) fn environment(&mut self) -> Option<Environment> {
        let text = self.optional_text("environment")?;
        let environment = Environment::new(text);
        if environment.is_none() {
            self.problems.push(Problem::too_long(
                &["body", "environment"],
                Environment::MAX_CHARACTERS,
            ));
        }
        environment
    }

    /// A required text that is one of some words.
    pub(super) fn choice<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        choices: impl Iterator<Item = &'static str>,
    ) -> Option<T> {
        let loc = ["body", name];
        let Some(value) = self.members.get(&Text::from(name)) else {
            self.problems.push(Problem::missing(&loc));
            return None;
        };
        let choice = parse(&self.text(&value.clone(), &loc)?);
        if choice.is_none() {
            let words: Vec<_> = choices.map(|word| format!("'{word}'")).collect();
            self.problems
                .push(Problem::no_choice(&loc, &words.join(" or ")));
        }
        choice
    }

    fn optional_text(&mut self, name: &str) -> Option<String> {
        match self.members.get(&Text::from(name)) {
            None | Some(Json::Null) => None,
            Some(value) => self.text(&value.clone(), &["body", name]),
        }
    }

    fn text(&mut self, value: &Json, loc: &[&str]) -> Option<String> {
        let Json::String(text) = value else {
            self.problems.push(Problem::new(
                "string_type",
                loc,
                "Input should be a valid string",
            ));
            return None;
        };
        let text = text.as_str().map(str::to_owned);
        if text.is_none() {
            self.problems.push(not_unicode(loc));
        }
        text
    }
}

fn not_unicode(loc: &[&str]) -> Problem {
    Problem::new(
        "string_unicode",
        loc,
        "Input should be a valid string, unable to parse raw data as a unicode string",
    )
}
