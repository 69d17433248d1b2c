//! A body in pieces, whose memory is given back when the last of it has left the node.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::meter::Meter;

/// What hyper gets at a time, in bytes: it may hold one such piece for each stream whose client takes nothing.
const PIECE: usize = 16 << 10;

/// Bytes that are still in memory, because the client has not taken them.
struct Held<R> {
    bytes: Bytes,
    _room: R,
    meter: Arc<Meter>,
}

impl<R> AsRef<[u8]> for Held<R> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<R> Drop for Held<R> {
    fn drop(&mut self) {
        self.meter.taken(self.bytes.len());
    }
}

/// The same bytes, which hold their memory until the last part of them is gone.
pub(super) fn held<R>(bytes: Bytes, room: R, meter: &Arc<Meter>) -> Bytes
where
    R: Send + 'static,
{
    meter.handed_over(bytes.len());
    Bytes::from_owner(Held {
        bytes,
        _room: room,
        meter: Arc::clone(meter),
    })
}

/// The same bytes in the pieces that hyper gets. What the client has taken is counted piece by piece; the memory is held until
/// the last of them is gone.
pub(super) fn held_in_pieces<R>(mut bytes: Bytes, room: R, meter: &Arc<Meter>) -> VecDeque<Bytes>
where
    R: Send + Sync + 'static,
{
    let room = Arc::new(room);
    let mut pieces = VecDeque::with_capacity(bytes.len().div_ceil(PIECE));
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        pieces.push_back(held(piece, Arc::clone(&room), meter));
    }
    pieces
}

/// A body that is all there.
pub(super) struct AnswerBody {
    /// What comes next; most answers have nothing else.
    first: Option<Bytes>,
    pieces: VecDeque<Bytes>,
    left: usize,
    _meter: Arc<Meter>,
}

impl AnswerBody {
    pub(super) fn new(mut pieces: VecDeque<Bytes>, meter: Arc<Meter>) -> Self {
        Self {
            left: pieces.iter().map(Bytes::len).sum(),
            first: pieces.pop_front(),
            pieces,
            _meter: meter,
        }
    }

    pub(super) fn of_one(piece: Bytes, meter: Arc<Meter>) -> Self {
        Self {
            left: piece.len(),
            first: Some(piece),
            pieces: VecDeque::new(),
            _meter: meter,
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(mut piece) = self.first.take() else {
            return Poll::Ready(None);
        };
        self.first = if piece.len() > PIECE {
            Some(piece.split_off(PIECE))
        } else {
            self.pieces.pop_front()
        };
        self.left -= piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::{super::meter::Rule, *};
    use crate::budget::Pool;

    #[tokio::test]
    async fn memory_is_given_back_when_the_last_part_of_it_is_gone() {
        let pool = Pool::shared("tests", 100_000);
        let address = [192, 0, 2, 1].into();
        let meter = Meter::begin(Rule::Whole, None, &Arc::default());
        let pieces = [40_000, 10_000].map(|length| {
            let room = pool.try_reserve(address, length).unwrap();
            held(vec![b'x'; length].into(), Some(room), &meter)
        });
        let mut body = AnswerBody::new(pieces.into(), meter);
        let mut taken = Vec::new();
        for (length, reserved) in [
            (PIECE, 50_000),
            (PIECE, 50_000),
            (40_000 - 2 * PIECE, 50_000),
            (10_000, 50_000),
        ] {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece.len(), length);
            taken.push(piece);
            assert_eq!(pool.in_use().reserved, reserved);
        }
        assert!(body.frame().await.is_none());
        taken.truncate(1);
        assert_eq!(pool.in_use().reserved, 40_000);
        taken.clear();
        assert_eq!(pool.in_use().reserved, 0);
    }
}
