//! Bodies of answers: a request is over when hyper has all of its answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::activity::Busy;
use crate::budget::Reservation;

/// A body that keeps the resources of its request.
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: Body,
    _busy: Busy,
    _room: [Option<Reservation>; 2],
}

impl AnswerBody {
    pub(super) fn new(body: Body, busy: Busy, room: [Option<Reservation>; 2]) -> Self {
        Self {
            body,
            _busy: busy,
            _room: room,
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
