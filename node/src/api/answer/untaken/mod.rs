//! Answers that clients have not taken yet: each is charged with its memory until its last byte has left it, sent in
//! pieces, and ended where its client takes it too slowly.

mod body;
mod chunked;
mod meter;

use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::FutureExt;
use http_body::Frame;
use http_body_util::BodyExt;

use super::error::ApiError;
use crate::{
    api::{Node, NodeState, connection::ConnectionMark, extract::client_address::client_address},
    budget::{Budgets, CutOff, NoRoom, Pool, ROOM_WAIT, Reservation, SMALL_ANSWER},
    config::Timeouts,
};
use body::AnswerBody;
pub(in crate::api) use chunked::ChunkedText;
use meter::{Meter, OpenAnswers, Rule};

/// What any answer is charged with at least, in bytes: it has headers too.
const LEAST: usize = 512;

/// Marks an answer that is charged already.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Charged;

/// Marks an answer that lies in no memory of its own: a document that never changes.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Shared;

/// The room of an answer that was reserved before it was made.
#[derive(Debug, Clone)]
pub(in crate::api) struct AnswerRoom {
    /// Held for its end.
    _room: Arc<Reservation>,
}

impl AnswerRoom {
    pub(in crate::api) fn new(room: Reservation) -> Self {
        Self {
            _room: Arc::new(room),
        }
    }
}

/// The client for whom an answer is made.
#[derive(Debug, Clone)]
pub(in crate::api) struct Taker {
    pub(in crate::api) address: IpAddr,
    cut_off: Option<CutOff>,
}

impl Taker {
    pub(in crate::api) fn of(
        node: &NodeState,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Self {
        Self {
            address: client_address(extensions, headers, &node.trusted_proxies),
            cut_off: ConnectionMark::of(extensions).map(|mark| mark.cut_off.clone()),
        }
    }
}

impl FromRequestParts<Node> for Taker {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, Self::Rejection> {
        Ok(Self::of(node, &parts.extensions, &parts.headers))
    }
}

/// All answers of a node that are under way.
#[derive(Debug)]
pub(in crate::api) struct Answers {
    small: Pool,
    large: Pool,
    open: Arc<OpenAnswers>,
    timeouts: Timeouts,
}

impl Answers {
    pub(in crate::api) fn new(budgets: &Budgets, timeouts: Timeouts) -> Self {
        Self {
            small: budgets.small_answers.clone(),
            large: budgets.answers.clone(),
            open: Arc::default(),
            timeouts,
        }
    }

    /// Waits for room for an answer of about so many bytes.
    pub(in crate::api) async fn reserve(
        &self,
        address: IpAddr,
        bytes: usize,
    ) -> Result<Reservation, ApiError> {
        Ok(self
            .pool_for(bytes)
            .reserve(address, bytes, ROOM_WAIT)
            .await?)
    }

    /// The same where there is room now.
    pub(in crate::api) fn reserve_any_now(
        &self,
        address: IpAddr,
        bytes: usize,
    ) -> Option<Reservation> {
        self.pool_for(bytes).reserve_now(address, bytes)
    }

    fn pool_for(&self, bytes: usize) -> &Pool {
        if bytes <= SMALL_ANSWER {
            &self.small
        } else {
            &self.large
        }
    }

    /// The same for an answer of more than a small one, where there is room now.
    pub(in crate::api) fn reserve_now(&self, address: IpAddr, bytes: usize) -> Option<Reservation> {
        self.large.reserve_now(address, bytes)
    }

    /// What an answer gets that became larger than was reserved for it.
    pub(in crate::api) fn no_room(&self) -> NoRoom {
        self.large.refuse()
    }

    /// Waits for room for an answer that is made and sent at the same time.
    pub(in crate::api) async fn reserve_large(
        &self,
        address: IpAddr,
        bytes: usize,
    ) -> Result<Reservation, NoRoom> {
        self.large.reserve(address, bytes, ROOM_WAIT).await
    }

    /// The same where blocking is allowed.
    pub(in crate::api) fn reserve_blocking(
        &self,
        address: IpAddr,
        bytes: usize,
    ) -> Result<Reservation, NoRoom> {
        tokio::runtime::Handle::current().block_on(self.reserve_large(address, bytes))
    }

    /// A body of pieces, each of which lies in its own part of a reservation.
    pub(in crate::api) fn of_pieces(
        &self,
        taker: &Taker,
        pieces: Vec<(Bytes, Reservation)>,
    ) -> Body {
        let meter = self.meter(taker, Rule::Whole);
        let pieces = pieces
            .into_iter()
            .map(|(piece, room)| body::held(piece, Some(room), &meter))
            .collect();
        Body::new(AnswerBody::new(pieces, meter))
    }

    /// What a body is measured by that is sent while it is made.
    pub(in crate::api) fn streamed(&self, taker: &Taker) -> Streamed {
        Streamed(self.meter(taker, Rule::Streamed))
    }

    /// Charges an answer that is all there, or refuses it where there is no room for it.
    pub(in crate::api) async fn charge(&self, taker: &Taker, response: Response) -> Response {
        if response.extensions().get::<Charged>().is_some() {
            return response;
        }
        if response.extensions().get::<AnswerRoom>().is_some() {
            return self.keep_room(taker, response);
        }
        let Some(length) = response
            .body()
            .size_hint()
            .exact()
            .filter(|length| *length > 0)
        else {
            return response;
        };
        if response.extensions().get::<Shared>().is_some() {
            return self.hold(taker, response, ());
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let room = if length > SMALL_ANSWER {
            // It is there already: many of them would wait beside the memory that is planned.
            let room = self.large.try_reserve(taker.address, length);
            room.map_err(ApiError::from)
        } else {
            self.reserve(taker.address, length.max(LEAST)).await
        };
        let room = match room {
            Ok(room) => Some(room),
            // Of a refusal's own size are the headers of the refused answer too.
            Err(refusal) if response.status().is_success() => return refusal.into_response(),
            Err(_) => None,
        };
        self.hold(taker, response, room)
    }

    /// Keeps the room of an answer that had it before it was made, until its client has the answer. One without is measured too:
    /// nodes get short answers so, and any caller a refusal.
    pub(in crate::api) fn keep_room(&self, taker: &Taker, mut response: Response) -> Response {
        if response.body().is_end_stream() {
            return response;
        }
        match response.extensions_mut().remove::<AnswerRoom>() {
            Some(room) => self.hold(taker, response, room),
            None if response.status().is_success() => self.hold(taker, response, ()),
            None => {
                // Where there is none it goes without: nodes wait for no room of clients.
                let room = self.small.reserve_now(taker.address, LEAST);
                self.hold(taker, response, room)
            }
        }
    }

    fn hold<R>(&self, taker: &Taker, response: Response, room: R) -> Response
    where
        R: Send + 'static,
    {
        let (head, mut body) = response.into_parts();
        // A body that is all there is had at once, and mostly in one piece.
        let mut whole = None;
        while let Some(frame) = body.frame().now_or_never().flatten() {
            let Ok(Ok(bytes)) = frame.map(Frame::into_data) else {
                break;
            };
            whole = Some(match whole {
                None => bytes,
                Some(first) => [first, bytes].concat().into(),
            });
            if body.is_end_stream() {
                break;
            }
        }
        let Some(whole) = whole.filter(|_| body.is_end_stream()) else {
            return ApiError::Internal("an answer is not all there".into()).into_response();
        };
        let meter = self.meter(taker, Rule::Whole);
        let body = AnswerBody::of_one(body::held(whole, room, &meter), meter);
        Response::from_parts(head, Body::new(body))
    }

    fn meter(&self, taker: &Taker, rule: Rule) -> Arc<Meter> {
        Meter::begin(rule, taker.cut_off.clone(), &self.open)
    }

    /// Ends the connections of clients that take their answers too slowly.
    pub(in crate::api) fn end_overdue(&self) {
        let ended = self.open.end_overdue(&self.timeouts);
        if ended > 0 {
            tracing::info!(answers = ended, "answers_not_taken");
        }
    }
}

/// The chunks of a body that is sent while it is made.
#[derive(Debug, Clone)]
pub(in crate::api) struct Streamed(Arc<Meter>);

impl Streamed {
    #[cfg(test)]
    pub(in crate::api) fn unwatched() -> Self {
        Self(Meter::begin(Rule::Streamed, None, &Arc::default()))
    }

    /// A chunk that the client has to take, in the pieces that hyper gets.
    pub(in crate::api) fn chunk<R>(&self, text: String, room: R) -> VecDeque<Bytes>
    where
        R: Send + Sync + 'static,
    {
        body::held_in_pieces(text.into(), room, &self.0)
    }

    /// For how long the client has taken nothing, although something waits for it.
    pub(in crate::api) fn idle(&self) -> Duration {
        self.0.idle()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use tokio::time::Instant;

    use super::*;
    use crate::budget::MemoryPlan;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_there_waits_for_room_only_where_it_is_small() {
        let plan = MemoryPlan::new(Some(40 << 20), None, |_| None).unwrap();
        let budgets = Budgets::new(plan, 1 << 20);
        let answers = Answers::new(&budgets, Timeouts::default());
        let [here, there] = [1, 2].map(|last| [192, 0, 2, last].into());
        let _full = [&budgets.answers, &budgets.small_answers]
            .map(|pool| pool.try_reserve(there, usize::MAX).unwrap());
        let taker = Taker {
            address: here,
            cut_off: None,
        };
        for (length, waits) in [
            (SMALL_ANSWER, ROOM_WAIT),
            (SMALL_ANSWER + 1, Duration::ZERO),
        ] {
            let began = Instant::now();
            let answer = "x".repeat(length).into_response();
            let answer = answers.charge(&taker, answer).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(began.elapsed().as_secs(), waits.as_secs(), "{length}");
        }
    }
}
