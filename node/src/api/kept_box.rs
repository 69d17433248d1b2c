//! The box of a request, kept for the next one: the allocator gives a block of this size back to the kernel once all around it is
//! free, and the kernel clears it again, page by page, for the next request (docs/performance.md).

use std::{
    cell::RefCell,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::response::Response;
use tokio_util::sync::ReusableBoxFuture;

/// Boxes that a thread keeps at most: about as many as creates that wait for one commit.
const KEPT: usize = 32;

type Output = Result<Response, Infallible>;
type Boxed = ReusableBoxFuture<'static, Output>;

thread_local! {
    /// Boxes whose futures have ended.
    static BOXES: RefCell<Vec<Boxed>> = const { RefCell::new(Vec::new()) };
}

/// The future of an answer in a box, which the thread keeps where it has ended.
#[derive(Debug)]
pub(super) struct InKeptBox(Option<Boxed>);

impl InKeptBox {
    /// Puts a future into a box of an earlier one, or into a new one.
    pub(super) fn new(future: impl Future<Output = Output> + Send + 'static) -> Self {
        let kept = BOXES.with_borrow_mut(Vec::pop);
        let Some(mut boxed) = kept else {
            return Self(Some(Boxed::new(future)));
        };
        boxed.set(future);
        Self(Some(boxed))
    }
}

impl Future for InKeptBox {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Output> {
        let Some(boxed) = &mut self.0 else {
            // Not polled again after its end.
            return Poll::Pending;
        };
        let answer = std::task::ready!(boxed.poll(context));
        // One that is dropped before its end frees its box.
        if let Some(ended) = self.0.take() {
            BOXES.with_borrow_mut(|boxes| {
                if boxes.len() < KEPT {
                    boxes.push(ended);
                }
            });
        }
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use futures::FutureExt;

    use super::*;

    fn kept() -> usize {
        BOXES.with_borrow(Vec::len)
    }

    #[test]
    fn a_box_whose_future_has_ended_is_used_again_and_another_is_freed() {
        let first = InKeptBox::new(async { Ok("one".into_response()) });
        assert!(first.now_or_never().is_some());
        assert_eq!(kept(), 1);
        let second = InKeptBox::new(std::future::pending());
        assert_eq!(kept(), 0);
        assert!(second.now_or_never().is_none());
        assert_eq!(kept(), 0);
    }

    #[test]
    fn a_thread_keeps_no_more_boxes_than_its_bound() {
        let many: Vec<_> = (0..KEPT + 8)
            .map(|_| InKeptBox::new(async { Ok("one".into_response()) }))
            .collect();
        for answer in many {
            assert!(answer.now_or_never().is_some());
        }
        assert_eq!(kept(), KEPT);
    }
}
