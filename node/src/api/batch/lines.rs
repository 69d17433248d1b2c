//! The answer: a line of JSON for each row, in their order.

use std::fmt::{self, Write};

use serde_json::Value;

use super::{
    PATH,
    task::{Done, Kind, Outcome, Task},
};
use crate::{
    api::{
        answer::{
            entry_json::{optional, rfc_3339},
            error::ApiError,
            streaming::{BrokenOff, Sender},
        },
        extract::rows::Operation,
    },
    budget::{Reservation, Window},
    entries::WriteTerms,
    json::write_string,
};

/// From how many bytes on lines are sent.
const PIECE: usize = 8 << 10;

/// The lines of an answer, as they become known.
pub(super) struct Lines {
    sender: Sender,
    window: Window,
    text: String,
    /// The number of the next row.
    row: usize,
    terms: WriteTerms,
}

impl Lines {
    /// `room` is what may be under way to the client.
    pub(super) fn new(sender: Sender, room: Reservation, terms: WriteTerms) -> Self {
        Self {
            sender,
            window: Window::new(room),
            text: String::new(),
            row: 0,
            terms,
        }
    }

    /// Sends what became of the next rows.
    pub(super) async fn send(&mut self, tasks: Vec<Task>) -> Result<(), BrokenOff> {
        for task in tasks {
            if let Some(outcome) = &task.outcome {
                let operation = task.operation.as_ref();
                let line = Line {
                    row: self.row,
                    operation,
                    outcome,
                    terms: self.terms,
                };
                // Writing to a string does not fail.
                let _ = line.write(&mut self.text);
            }
            self.row += 1;
            if self.text.len() >= PIECE {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    /// Says that this was all.
    pub(super) async fn end(self) -> Result<(), BrokenOff> {
        self.sender.end().await
    }

    async fn flush(&mut self) -> Result<(), BrokenOff> {
        if self.text.is_empty() {
            return Ok(());
        }
        let room = self.sender.room(&self.window, self.text.len()).await?;
        self.sender.send(std::mem::take(&mut self.text), room).await
    }
}

/// What is said of one row.
struct Line<'t> {
    row: usize,
    operation: Option<&'t Operation>,
    outcome: &'t Outcome,
    terms: WriteTerms,
}

impl Line<'_> {
    fn write(&self, out: &mut String) -> fmt::Result {
        let status = match self.outcome {
            Ok(done) => done.status(self.terms),
            Err(error) => error.status(),
        };
        write!(out, r#"{{"row":{},"status":{}"#, self.row, status.as_u16())?;
        if let Some(Operation { identity, .. }) = self.operation {
            out.write_str(r#","key":"#)?;
            write_string(identity.key.as_str(), out)?;
            out.write_str(r#","environment":"#)?;
            optional(identity.environment.name(), out)?;
        }
        match self.outcome {
            Ok(done) => write_done(done, out)?,
            Err(error) => write_refusal(error, out)?,
        }
        out.write_str("}\n")
    }
}

fn write_done(done: &Done, out: &mut String) -> fmt::Result {
    let Done { kind, written } = done;
    write!(out, r#","version":"{}""#, written.version)?;
    if *kind != Kind::Deleted {
        let [created, updated] = [written.created_at, written.updated_at].map(rfc_3339);
        write!(out, r#","created_at":"{created}","updated_at":"{updated}""#)?;
    }
    if written.wanted > 1 {
        write!(out, r#","acked":"{}/{}""#, written.held_by, written.wanted)?;
    }
    Ok(())
}

/// The words of a request of its own, and what that would have had in its headers.
fn write_refusal(error: &ApiError, out: &mut String) -> fmt::Result {
    let error_id = error.cause().map(|cause| {
        let error_id = format!("{:016x}", rand::random::<u64>());
        tracing::error!(error_id, cause = %cause, endpoint = PATH, method = "POST", "request_failed");
        error_id
    });
    if let Value::Object(members) = error.body(error_id.as_deref()) {
        for (name, value) in members {
            write!(out, ",{}:{value}", Value::from(name))?;
        }
    }
    let headers = error.headers();
    let headers: serde_json::Map<_, _> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.into())))
        .collect();
    if !headers.is_empty() {
        write!(out, r#","headers":{}"#, Value::Object(headers))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{
            extract::{
                conditional::Preconditions,
                rows::{NewText, Verb},
            },
            value_text::ValueText,
        },
        cluster::{AckLevel, Written},
        domain::{Clock, Identity, Incarnation, Timestamp, Version},
    };

    fn line(operation: Option<&Operation>, outcome: &Outcome) -> Value {
        let mut text = String::new();
        let line = Line {
            row: 3,
            operation,
            outcome,
            terms: WriteTerms {
                level: AckLevel::All,
                named: None,
            },
        };
        line.write(&mut text).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(text.ends_with('\n'));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_line_says_of_a_row_what_a_request_of_its_own_would_have_said() {
        let operation = Operation {
            verb: Verb::Create,
            identity: Identity::of("", "a\n\"b\"").unwrap(),
            put: Some(NewText {
                value: ValueText::written("1".to_owned()),
                category: None,
                stored: 1,
            }),
            preconditions: Preconditions::new(None, None),
        };
        let written = Written {
            version: Version {
                clock: Clock::from_raw(1),
                incarnation: Incarnation::from_raw(10),
            },
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(1),
            held_by: 2,
            wanted: 3,
        };
        let done = Ok(Done {
            kind: Kind::Created,
            written,
        });
        let created = line(Some(&operation), &done);
        assert_eq!(
            created,
            serde_json::json!({
                "row": 3, "status": 202, "key": "a\n\"b\"", "environment": null,
                "version": "0000000000000001-000000000000000a",
                "created_at": "1970-01-01T00:00:00.000000Z", "updated_at": "1970-01-01T00:00:00.000001Z", "acked": "2/3"
            })
        );
        let missing = Err(ApiError::MissingNodes {
            nodes: vec!["b".to_owned()],
        });
        let refused = line(Some(&operation), &missing);
        assert_eq!(refused["status"], 503);
        assert_eq!(refused["headers"]["x-osc-missing-nodes"], "b");
        let internal = Err(ApiError::Internal("the cause".into()));
        let internal = line(None, &internal);
        assert_eq!(internal["detail"], "Internal error");
        assert!(internal["error_id"].is_string() && internal.get("key").is_none());
    }
}
