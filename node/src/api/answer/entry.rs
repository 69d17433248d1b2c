//! Answers with one entry. What a large value takes is reserved before its row is kept, and before anything is committed.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use super::{
    entry_json::{Form, Format, Shown},
    error::ApiError,
    untaken::{Charged, ChunkedText, Taker},
};
use crate::{
    api::{
        NodeState,
        extract::conditional::version_headers,
        large_values::{LARGE, LARGE_TOKEN, cost_of_opening, cost_of_sealing, room_for, work},
        sealing::token_of,
        value_text::ValueText,
    },
    budget::{Budgets, Reservation},
    domain::{Row, Version},
};

/// What a request with a large value needs, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Needs {
    answer: usize,
    work: usize,
    /// The value that is sent, as it will be stored.
    stored: usize,
}

impl Needs {
    /// Of a reader of a stored value; `None` where that is small.
    pub(in crate::api) fn of_reading(row: &Row) -> Option<Self> {
        Self::of(Some(row), None).map(|needs| Self {
            answer: token_of(row).len() / 4 * 3,
            ..needs
        })
    }

    /// Of a change of what is stored to what is sent; `None` where both are small.
    pub(in crate::api) fn of(stored: Option<&Row>, sent: Option<&ValueText>) -> Option<Self> {
        let stored = stored.map_or(0, |row| token_of(row).len());
        let opening = Some(stored).filter(|stored| *stored > LARGE_TOKEN);
        let sealing = sent
            .filter(|sent| sent.len() > LARGE)
            .map(ValueText::storage_length);
        (opening.is_some() || sealing.is_some()).then(|| Self {
            answer: sealing.unwrap_or_default(),
            // The one after the other; what is replaced is held meanwhile.
            work: opening
                .map_or(0, cost_of_opening)
                .max(stored + sealing.map_or(0, cost_of_sealing)),
            stored: sealing.unwrap_or_default(),
        })
    }
}

/// The memory that a request with large values holds until it is answered; nothing for small ones.
#[derive(Debug, Default)]
pub(in crate::api) struct LargeRoom {
    answer: Option<Reservation>,
    /// Held for its end.
    _values: Option<Reservation>,
}

impl LargeRoom {
    /// What is needed, where there is room for it now.
    pub(in crate::api) fn now(node: &NodeState, taker: &Taker, needs: Needs) -> Option<Self> {
        if needs.stored > Budgets::largest_value(node.budgets.plan()) {
            return None;
        }
        let answer = if needs.answer > LARGE {
            let room = ChunkedText::room_for(needs.answer);
            Some(node.answers.reserve_now(taker.address, room)?)
        } else {
            None
        };
        let values = node.budgets.values.reserve_now(taker.address, needs.work)?;
        Some(Self {
            answer,
            _values: Some(values),
        })
    }

    /// Waits for what is needed. Refuses what can never be had.
    pub(in crate::api) async fn wait(
        node: &NodeState,
        taker: &Taker,
        needs: Needs,
    ) -> Result<Self, ApiError> {
        let most = Budgets::largest_value(node.budgets.plan());
        if needs.stored > most {
            return Err(ApiError::ValueTooLarge {
                length: needs.stored,
                most,
            });
        }
        // The answer first: who waits for a client that takes nothing holds nothing meanwhile.
        let answer = if needs.answer > LARGE {
            let room = ChunkedText::room_for(needs.answer);
            Some(node.answers.reserve(taker.address, room).await?)
        } else {
            None
        };
        let values = room_for(node, taker.address, needs.work).await?;
        Ok(Self {
            answer,
            _values: Some(values),
        })
    }
}

/// A value as it will be answered.
#[derive(Debug)]
pub(in crate::api) enum AnsweredValue {
    Small(ValueText),
    /// Written already, since writing it is no work for a serving thread.
    Large(ChunkedText),
}

impl AnsweredValue {
    /// Prepares a value, in the room that was reserved for it.
    pub(in crate::api) async fn prepare(
        node: &NodeState,
        taker: &Taker,
        value: &ValueText,
        format: Format,
        room: &mut LargeRoom,
    ) -> Result<Self, ApiError> {
        if value.len() <= LARGE {
            return Ok(Self::Small(value.clone()));
        }
        let reserved = if let Some(reserved) = room.answer.take() {
            reserved
        } else {
            let room = ChunkedText::room_for(value.len());
            node.answers.reserve(taker.address, room).await?
        };
        let value = value.clone();
        let written = work(node, move || {
            let mut text = ChunkedText::new(reserved);
            value.write_as(format, &mut text).map(|()| text)
        });
        let no_room = |_| ApiError::NoRoom(node.answers.no_room());
        Ok(Self::Large(written.await?.map_err(no_room)?))
    }

    /// The answer with the value alone, which was prepared as text.
    pub(in crate::api) fn answer_text(
        self,
        node: &NodeState,
        taker: &Taker,
        version: Version,
    ) -> Response {
        let headers = headers(version, "text/plain; charset=utf-8");
        match self {
            Self::Small(value) => {
                let mut body = String::new();
                // Writing to a string does not fail.
                let _ = value.write_as(Format::Text, &mut body);
                answer(StatusCode::OK, headers, body.into())
            }
            Self::Large(text) => {
                let pieces = text.into_pieces(String::new(), String::new());
                let body = node.answers.of_pieces(taker, pieces);
                let mut response = answer(StatusCode::OK, headers, body);
                response.extensions_mut().insert(Charged);
                response
            }
        }
    }

    /// The answer with the entry.
    pub(in crate::api) fn answer(
        self,
        node: &NodeState,
        taker: &Taker,
        status: StatusCode,
        version: Version,
        form: Form,
        shown: Shown<'_>,
    ) -> Response {
        let headers = headers(version, "application/json");
        match self {
            Self::Small(value) => {
                let mut body = String::with_capacity(shown.length() + value.len());
                shown.write(form, Some(&value), &mut body);
                answer(status, headers, body.into())
            }
            Self::Large(text) => {
                let (mut head, mut tail) = (String::new(), String::new());
                // Writing to a string does not fail.
                let _ = shown.write_head(form, &mut head);
                let _ = shown.write_tail(form, &mut tail);
                let body = node.answers.of_pieces(taker, text.into_pieces(head, tail));
                let mut response = answer(status, headers, body);
                response.extensions_mut().insert(Charged);
                response
            }
        }
    }
}

/// Those that an answer with an entry begins with.
fn headers(version: Version, content_type: &'static str) -> HeaderMap {
    // As many as the answer has in the end.
    let mut headers = HeaderMap::with_capacity(12);
    headers.extend(version_headers(version));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers
}

/// An answer of these parts alone.
fn answer(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
