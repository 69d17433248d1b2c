//! Request bodies, judged as the original judges them.

use std::{borrow::Cow, net::IpAddr, ops::Range, sync::Arc};

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};

use super::{body_text::decode, received_body::ReceivedBody};
use crate::{
    api::{
        Node, NodeState,
        answer::{error::ApiError, problem::Problem, untaken::Taker},
        large_values::{LARGE, cost_of_judging, room_for, work},
        value_text::{ValueText, has_lone_surrogate, without_duplicates},
    },
    budget::Reservation,
    domain::{Category, ConfigKey, Environment},
    json::{Json, Limits, Member, ParseError, Root, inspect_members, parse},
};

/// Arrays and objects may nest this deep.
const MAX_DEPTH: usize = 64;

/// What a value takes in a tree at most, in bytes, its name included.
const TREE_VALUE: usize = 256;

/// The members that any route asks for.
const NAMES: [&str; 5] = ["key", "value", "category", "environment", "level"];

/// Those of a row of a batch: the same, and its own.
pub(super) const ROW_NAMES: [&str; 8] = [
    "key",
    "value",
    "category",
    "environment",
    "level",
    "op",
    "if_match",
    "if_none_match",
];

/// The fields of a body, before a route asks for them.
#[derive(Debug)]
pub(in crate::api) struct Fields {
    body: Arc<ReceivedBody>,
    found: Found,
    problems: Vec<Problem>,
}

/// What stands in a body, or in a row of it.
#[derive(Debug)]
pub(super) struct Found {
    /// The last of each of [`NAMES`], or of [`ROW_NAMES`]; their places are those in the text.
    members: Vec<Option<Member>>,
    /// Where the text begins, behind a byte order mark.
    start: usize,
    /// What the member `value` is, where it is not as it stands there.
    value: Value,
}

#[derive(Debug)]
enum Value {
    AsItStands,
    NotUnicode,
    /// Of names that are there twice only the last counts.
    Rewritten(String),
}

impl FromRequest<Node> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, node: &Node) -> Result<Self, ApiError> {
        let address = Taker::of(node, request.extensions(), request.headers()).address;
        let (body, is_json) = receive(request, node, address).await?;
        if !is_json {
            return Err(no_object());
        }
        let body = decoded(body)?;
        let limits = limits(node);
        let (body, found) = if body.as_bytes().len() <= LARGE {
            let found = judge(body.as_bytes(), limits, None);
            (body, found)
        } else {
            let mut room = room_for(node, address, cost_of_judging(body.as_bytes().len())).await?;
            let judged = work(node, move || {
                let found = judge(body.as_bytes(), limits, Some(&mut room));
                (body, found)
            });
            judged.await?
        };
        Ok(Self::new(Arc::new(body), found?))
    }
}

/// Receives a body that is not empty, and returns whether it says to be JSON.
pub(super) async fn receive(
    request: Request,
    node: &NodeState,
    address: IpAddr,
) -> Result<(ReceivedBody, bool), ApiError> {
    let is_json = is_json(request.headers());
    let limit = node.max_body_bytes;
    let body = ReceivedBody::receive(node, address, request.into_body(), limit).await?;
    if body.as_bytes().is_empty() {
        return Err(ApiError::Invalid(vec![Problem::missing(&["body"])]));
    }
    Ok((body, is_json))
}

/// The same body in UTF-8.
pub(super) fn decoded(body: ReceivedBody) -> Result<ReceivedBody, ApiError> {
    Ok(
        match decode(body.as_bytes()).ok_or(ApiError::UnreadableBody)? {
            Cow::Borrowed(_) => body,
            Cow::Owned(text) => body.recoded(text),
        },
    )
}

/// What a value may hold.
pub(super) fn limits(node: &NodeState) -> Limits {
    Limits {
        depth: MAX_DEPTH,
        values: node.max_json_values,
    }
}

fn no_object() -> ApiError {
    ApiError::Invalid(vec![not_an_object()])
}

pub(super) fn not_an_object() -> Problem {
    let msg = "Input should be a valid dictionary or object to extract fields from";
    Problem::new("model_attributes_type", &["body"], msg)
}

/// The text of a body, and where in it that begins: Python's reader takes a byte order mark for what it is.
pub(super) fn text_of(bytes: &[u8]) -> Result<(&str, usize), ApiError> {
    let all = std::str::from_utf8(bytes).map_err(|_| ApiError::UnreadableBody)?;
    let text = all.strip_prefix('\u{feff}').unwrap_or(all);
    Ok((text, all.len() - text.len()))
}

/// `room` is for a tree, of which there is none but where an object has a name twice.
fn judge(bytes: &[u8], limits: Limits, room: Option<&mut Reservation>) -> Result<Found, ApiError> {
    let (text, start) = text_of(bytes)?;
    let members = match inspect_members(text, limits, &NAMES).map_err(unreadable)? {
        Root::Object(members) => members,
        Root::Null => return Err(ApiError::Invalid(vec![Problem::missing(&["body"])])),
        Root::Other => return Err(no_object()),
    };
    Found::of(members, text, start, room)
}

impl Found {
    /// `start` is where in the body the text begins.
    pub(super) fn of(
        members: Vec<Option<Member>>,
        text: &str,
        start: usize,
        room: Option<&mut Reservation>,
    ) -> Result<Self, ApiError> {
        let value = match member(&members, "value") {
            Some(Member { at, findings }) => {
                let text = text.get(at.clone()).unwrap_or_default();
                if let Some(room) = room.filter(|_| findings.has_duplicates) {
                    room.grow(findings.values.saturating_mul(TREE_VALUE))?;
                }
                if has_lone_surrogate(text, *findings) {
                    Value::NotUnicode
                } else if findings.has_duplicates {
                    Value::Rewritten(without_duplicates(text).map_err(unreadable)?)
                } else {
                    Value::AsItStands
                }
            }
            None => Value::AsItStands,
        };
        Ok(Self {
            members,
            start,
            value,
        })
    }
}

fn member<'m>(members: &'m [Option<Member>], name: &str) -> Option<&'m Member> {
    let place = ROW_NAMES.iter().position(|known| *known == name)?;
    members.get(place)?.as_ref()
}

pub(super) fn unreadable(error: ParseError) -> ApiError {
    match error {
        ParseError::Syntax { message, offset } => {
            ApiError::Invalid(vec![Problem::invalid_json(message, offset)])
        }
        ParseError::TooManyValues { most } => ApiError::TooManyValues { most },
        ParseError::TooManyItems { most } => {
            ApiError::Invalid(vec![Problem::too_many(&["body"], most)])
        }
        ParseError::TooDeep | ParseError::IntegerTooLong => ApiError::UnreadableBody,
    }
}

/// Receives a whole body, whatever it holds.
pub(in crate::api) async fn read(
    request: Request,
    node: &NodeState,
) -> Result<ReceivedBody, ApiError> {
    let address = Taker::of(node, request.extensions(), request.headers()).address;
    ReceivedBody::receive(node, address, request.into_body(), node.max_body_bytes).await
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
    pub(super) fn new(body: Arc<ReceivedBody>, found: Found) -> Self {
        Self {
            body,
            found,
            problems: Vec::new(),
        }
    }

    /// Whether a member stands there and is not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.member(name).is_some_and(|(text, _)| text != "null")
    }

    /// Notes what is wrong.
    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The fields, or everything that was found wrong with them.
    pub(in crate::api) fn finish<T>(self, fields: Option<T>) -> Result<T, ApiError> {
        match fields {
            Some(fields) if self.problems.is_empty() => Ok(fields),
            _ => Err(ApiError::Invalid(self.problems)),
        }
    }

    /// The text of a member, and where in the body it stands.
    fn member(&self, name: &str) -> Option<(&str, Range<usize>)> {
        let Member { at, .. } = member(&self.found.members, name)?;
        let start = self.found.start;
        let at = at.start + start..at.end + start;
        let text = self.body.as_bytes().get(at.clone())?;
        Some((std::str::from_utf8(text).unwrap_or_default(), at))
    }

    /// The required name.
    pub(in crate::api) fn key(&mut self) -> Option<ConfigKey> {
        const LOC: &[&str] = &["body", "key"];
        let text = self.required_text("key", LOC)?;
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
    pub(in crate::api) fn value(&mut self) -> Option<ValueText> {
        const LOC: &[&str] = &["body", "value"];
        match self.member("value") {
            None => self.problems.push(Problem::missing(LOC)),
            Some(("null", _)) => self.problems.push(Problem::new(
                "dict_type",
                LOC,
                "Input should be a valid dictionary",
            )),
            Some((_, at)) => match std::mem::replace(&mut self.found.value, Value::AsItStands) {
                Value::NotUnicode => self.problems.push(not_unicode(LOC)),
                Value::Rewritten(text) => return Some(ValueText::written(text)),
                Value::AsItStands => {
                    return Some(ValueText::of_body(Arc::clone(&self.body), at));
                }
            },
        }
        None
    }

    /// The optional category; `None` when absent or null, `Some(None)` never: an empty one is a category too.
    pub(in crate::api) fn category(&mut self) -> Option<Category> {
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
    pub(in crate::api) fn environment(&mut self) -> Option<Environment> {
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
    pub(in crate::api) fn choice<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        choices: impl Iterator<Item = &'static str>,
    ) -> Option<T> {
        let loc = ["body", name];
        let choice = parse(&self.required_text(name, &loc)?);
        if choice.is_none() {
            let words: Vec<_> = choices.map(|word| format!("'{word}'")).collect();
            self.problems
                .push(Problem::no_choice(&loc, &words.join(" or ")));
        }
        choice
    }

    fn required_text(&mut self, name: &str, loc: &[&str]) -> Option<String> {
        let text = self.member(name).map(|(text, _)| read_text(text));
        self.noted(text.unwrap_or(Err(Problem::missing)), loc)
    }

    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        let (text, _) = self.member(name).filter(|(text, _)| *text != "null")?;
        let text = read_text(text);
        self.noted(text, &["body", name])
    }

    fn noted(
        &mut self,
        text: Result<String, fn(&[&str]) -> Problem>,
        loc: &[&str],
    ) -> Option<String> {
        text.map_err(|problem| self.problems.push(problem(loc)))
            .ok()
    }
}

/// The string that a JSON text is, or what is wrong with it.
fn read_text(text: &str) -> Result<String, fn(&[&str]) -> Problem> {
    let string = Some(text).filter(|text| text.starts_with('"'));
    let Some(Ok(Json::String(string))) = string.map(|text| parse(text, MAX_DEPTH)) else {
        return Err(|loc| Problem::new("string_type", loc, "Input should be a valid string"));
    };
    string.as_str().map(str::to_owned).ok_or(not_unicode)
}

fn not_unicode(loc: &[&str]) -> Problem {
    Problem::new(
        "string_unicode",
        loc,
        "Input should be a valid string, unable to parse raw data as a unicode string",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_row_begin_with_those_of_a_body() {
        assert!(ROW_NAMES.starts_with(&NAMES));
    }
}
