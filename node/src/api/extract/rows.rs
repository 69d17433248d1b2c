//! The rows of a batch: an array of operations, each judged as a request of its own.

use std::{collections::HashSet, sync::Arc};

use axum::extract::{FromRequest, Request};

use super::{
    body::{
        Fields, Found, ROW_NAMES, decoded, limits, not_an_object, receive, text_of, unreadable,
    },
    conditional::{Preconditions, Versions},
    received_body::ReceivedBody,
};
use crate::{
    api::{
        Node,
        answer::{error::ApiError, problem::Problem, untaken::Taker},
        large_values::{LARGE, cost_of_judging, room_for, work},
        value_text::ValueText,
    },
    budget::Reservation,
    domain::{Category, Identity},
    json::{Items, Limits, Root, inspect_items},
};

/// Rows of a batch at most.
pub(in crate::api) const MOST_ROWS: usize = 1_000;
/// What a row takes beside its value, in bytes.
pub(in crate::api) const ROW: usize = 512;
/// The same while it is judged, with all that may be wrong with it.
const JUDGED_ROW: usize = 2 << 10;
/// The shortest row and its comma, in bytes.
const SHORTEST: usize = 3;
/// What an answer has under way to its client, in bytes.
const WINDOW: usize = 32 << 10;

/// What a row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Verb {
    /// As `POST /configs`.
    Create,
    /// As `PUT`.
    Update,
    /// As `PUT` with `upsert=true`.
    Upsert,
    /// As `DELETE`.
    Delete,
}

impl Verb {
    const ALL: [Self; 4] = [Self::Create, Self::Update, Self::Upsert, Self::Delete];

    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Delete => "delete",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == text)
    }
}

/// What a row puts in the place of an entry.
#[derive(Debug)]
pub(in crate::api) struct NewText {
    pub(in crate::api) value: ValueText,
    pub(in crate::api) category: Option<Category>,
    /// How long the value is as it is stored, in bytes.
    pub(in crate::api) stored: usize,
}

/// One row.
#[derive(Debug)]
pub(in crate::api) struct Operation {
    pub(in crate::api) verb: Verb,
    pub(in crate::api) identity: Identity,
    /// `None` for a delete.
    pub(in crate::api) put: Option<NewText>,
    pub(in crate::api) preconditions: Preconditions,
}

impl Operation {
    /// How long its value is as it is stored, in bytes.
    pub(in crate::api) fn stored(&self) -> usize {
        self.put.as_ref().map_or(0, |put| put.stored)
    }

    /// Whether it may create what is not there.
    pub(in crate::api) fn may_create(&self) -> bool {
        match self.verb {
            Verb::Create | Verb::Upsert => true,
            Verb::Update => self.preconditions.create_only(),
            Verb::Delete => false,
        }
    }
}

/// A row, or what is wrong with it.
pub(in crate::api) type Row = Result<Operation, ApiError>;

/// The rows of a batch, of which no two are of one entry.
#[derive(Debug)]
pub(in crate::api) struct Rows {
    /// In the order in which they were sent.
    pub(in crate::api) all: Vec<Row>,
    /// The room of the answer.
    pub(in crate::api) answer: Reservation,
    /// The room of the rows, as much as judging them took.
    pub(in crate::api) room: Reservation,
}

impl FromRequest<Node> for Rows {
    type Rejection = ApiError;

    async fn from_request(request: Request, node: &Node) -> Result<Self, ApiError> {
        let address = Taker::of(node, request.extensions(), request.headers()).address;
        let (body, is_json) = receive(request, node, address).await?;
        if !is_json {
            return Err(no_array());
        }
        let body = Arc::new(decoded(body)?);
        let length = body.as_bytes().len();
        // The answer first: who waits for a client that takes nothing holds nothing meanwhile.
        let answer = node.answers.reserve(address, WINDOW).await?;
        let judging = if length > LARGE {
            cost_of_judging(length)
        } else {
            0
        };
        let most = (length / SHORTEST + 1).min(MOST_ROWS);
        let mut room = room_for(node, address, most * JUDGED_ROW + judging).await?;
        let limits = limits(node);
        let (rows, room) = if length <= LARGE {
            (read(&body, limits, None), room)
        } else {
            let judged = work(node, move || {
                let rows = read(&body, limits, Some(&mut room));
                (rows, room)
            });
            judged.await?
        };
        Ok(Self {
            all: rows?,
            answer,
            room,
        })
    }
}

fn no_array() -> ApiError {
    let msg = "Input should be a valid list";
    ApiError::Invalid(vec![Problem::new("list_type", &["body"], msg)])
}

/// `room` is for the trees of values in which an object has a name twice.
fn read(
    body: &Arc<ReceivedBody>,
    limits: Limits,
    mut room: Option<&mut Reservation>,
) -> Result<Vec<Row>, ApiError> {
    let (text, start) = text_of(body.as_bytes())?;
    let items = match inspect_items(text, limits, MOST_ROWS, &ROW_NAMES).map_err(unreadable)? {
        Items::Array(items) => items,
        Items::Null => return Err(ApiError::Invalid(vec![Problem::missing(&["body"])])),
        Items::Other => return Err(no_array()),
    };
    let mut rows = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        let row = match item {
            Root::Object(members) => Found::of(members, text, start, room.as_deref_mut())
                .and_then(|found| operation(Fields::new(Arc::clone(body), found))),
            Root::Null | Root::Other => Err(ApiError::Invalid(vec![not_an_object()])),
        };
        rows.push(row.map_err(|error| in_row(error, place)));
    }
    each_entry_once(&rows)?;
    Ok(rows)
}

/// What is wrong, with the number of the row.
fn in_row(error: ApiError, place: usize) -> ApiError {
    match error {
        ApiError::Invalid(problems) => {
            let problems = problems.into_iter().map(|problem| problem.in_row(place));
            ApiError::Invalid(problems.collect())
        }
        error => error,
    }
}

fn operation(mut fields: Fields) -> Row {
    let names = Verb::ALL.into_iter().map(Verb::name);
    let verb = fields.choice("op", Verb::parse, names);
    let (key, category) = (fields.key(), fields.category());
    let environment = fields.environment();
    let value = match verb {
        None | Some(Verb::Delete) => None,
        Some(Verb::Create | Verb::Update | Verb::Upsert) => fields.value(),
    };
    let if_match = versions(&mut fields, "if_match");
    let if_none_match = versions(&mut fields, "if_none_match");
    if verb == Some(Verb::Create) {
        for name in ["if_match", "if_none_match"] {
            if fields.has(name) {
                let loc = ["body", name];
                fields.problem(Problem::not_parsed(&loc, "A create has no conditions"));
            }
        }
    }
    let (verb, key) = fields.finish(verb.zip(key))?;
    Ok(Operation {
        verb,
        identity: Identity {
            environment: environment.unwrap_or_default(),
            key,
        },
        put: value.map(|value| NewText {
            stored: value.storage_length(),
            value,
            category,
        }),
        preconditions: Preconditions::new(if_match, if_none_match),
    })
}

/// The versions that a member names, if it is there.
fn versions(fields: &mut Fields, name: &str) -> Option<Versions> {
    let text = fields.optional_text(name)?;
    let versions = Versions::named(&text);
    if versions.is_none() {
        fields.problem(Problem::no_choice(
            &["body", name],
            "'*', or a version, as X-OSC-Version names one",
        ));
    }
    versions
}

/// Refuses a batch in which two rows are of one entry: which of them should stand, or come first, it does not say.
fn each_entry_once(rows: &[Row]) -> Result<(), ApiError> {
    let mut names = HashSet::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        if let Ok(operation) = row
            && !names.insert(&operation.identity)
        {
            let msg = "The configuration is in an earlier row of the batch";
            let problem = Problem::not_parsed(&["body", "key"], msg);
            return Err(ApiError::Invalid(vec![problem.in_row(place)]));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        depth: 64,
        values: 1_000,
    };

    fn rows(text: &str) -> Result<Vec<Row>, ApiError> {
        let body = ReceivedBody::default().recoded(text.to_owned());
        read(&Arc::new(body), LIMITS, None)
    }

    /// What a client gets to know of an error.
    fn told(error: &ApiError) -> serde_json::Value {
        error.body(None)["detail"].clone()
    }

    #[test]
    fn each_row_is_an_operation_or_says_what_is_wrong_with_it() {
        let rows = rows(
            r#"[{"op": "create", "key": "a", "value": {"x": [1]}, "environment": "prod", "category": "c"},
                {"op": "delete", "key": "b", "if_match": "0000000000000001-000000000000000a"},
                {"op": "update", "key": "c"},
                {"op": "rename", "key": ""},
                7,
                {"op": "create", "key": "d", "value": 1, "if_none_match": "*"},
                {"op": "upsert", "key": "e", "value": 1, "if_match": "yesterday"}]"#,
        )
        .unwrap();
        let [
            create,
            delete,
            no_value,
            no_verb,
            no_object,
            condition,
            version,
        ] = rows.as_slice()
        else {
            panic!("{rows:?}");
        };
        let create = create.as_ref().unwrap();
        assert_eq!(create.verb, Verb::Create);
        assert_eq!(create.identity, Identity::of("prod", "a").unwrap());
        let put = create.put.as_ref().unwrap();
        assert_eq!((put.value.as_str(), put.stored), (r#"{"x": [1]}"#, 10));
        assert_eq!(put.category.as_ref().unwrap().as_str(), "c");
        let delete = delete.as_ref().unwrap();
        assert!(delete.put.is_none() && delete.preconditions.check(None).is_err());
        let refused = |row: &Row| told(row.as_ref().unwrap_err());
        assert_eq!(
            refused(no_value)[0]["loc"],
            serde_json::json!(["body", 2, "value"])
        );
        let of_verb = refused(no_verb);
        assert_eq!(of_verb[0]["loc"], serde_json::json!(["body", 3, "op"]));
        assert_eq!(of_verb[1]["loc"], serde_json::json!(["body", 3, "key"]));
        assert_eq!(refused(no_object)[0]["loc"], serde_json::json!(["body", 4]));
        assert_eq!(
            refused(condition)[0]["loc"],
            serde_json::json!(["body", 5, "if_none_match"])
        );
        assert_eq!(
            refused(version)[0]["loc"],
            serde_json::json!(["body", 6, "if_match"])
        );
    }

    #[test]
    fn a_batch_that_is_no_array_is_too_long_or_has_an_entry_twice_is_refused_as_a_whole() {
        let row = |key: usize| format!(r#"{{"op": "delete", "key": "{key}"}}"#);
        let batch = |keys: std::ops::Range<usize>| {
            let all: Vec<_> = keys.map(row).collect();
            format!("[{}]", all.join(","))
        };
        assert_eq!(rows("[]").unwrap().len(), 0);
        assert_eq!(rows(&batch(0..MOST_ROWS)).unwrap().len(), MOST_ROWS);
        let more = MOST_ROWS + 1;
        let too_many = told(&rows(&batch(0..more)).unwrap_err());
        assert_eq!(too_many[0]["type"], "too_long");
        let twice = format!("[{},{},{}]", row(1), row(2), row(1));
        let twice = told(&rows(&twice).unwrap_err());
        assert_eq!(twice[0]["loc"], serde_json::json!(["body", 2, "key"]));
        assert_eq!(told(&rows("{}").unwrap_err())[0]["type"], "list_type");
        assert_eq!(told(&rows("null").unwrap_err())[0]["type"], "missing");
        assert_eq!(told(&rows("[").unwrap_err())[0]["type"], "json_invalid");
    }
}
