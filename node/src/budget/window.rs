//! A reservation from which one answer takes room again and again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Reservation;

/// Room of one answer. A wait for a part ends when the client has read earlier parts of the same answer, never through others.
/// The room returns to its share when the window and all its parts are dropped.
#[derive(Debug)]
pub struct Window {
    whole: Arc<Reservation>,
    free: Arc<Semaphore>,
    size: u32,
}

/// A part of a window; free for the next part when it is dropped.
#[derive(Debug)]
pub struct WindowPart {
    /// Before the whole: parts are given back first.
    _taken: Option<OwnedSemaphorePermit>,
    _whole: Arc<Reservation>,
}

impl Window {
    /// A window of all bytes of a reservation, of which none are taken.
    pub fn new(whole: Reservation) -> Self {
        let size = u32::try_from(whole.bytes()).unwrap_or(u32::MAX);
        Self {
            whole: Arc::new(whole),
            free: Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(0))),
            size,
        }
    }

    /// Waits until this many bytes of it are free; at most all of them.
    pub async fn part(&self, bytes: usize) -> WindowPart {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.size);
        let taken = Arc::clone(&self.free).acquire_many_owned(bytes).await;
        WindowPart {
            // It is never closed.
            _taken: taken.ok(),
            _whole: Arc::clone(&self.whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::{super::Pool, *};

    #[test]
    fn a_window_waits_for_its_own_parts_and_leaves_its_share_with_the_last_of_them() {
        let pool = Pool::shared("tests", 100);
        let reservation = pool.try_reserve([192, 0, 2, 1].into(), 90).unwrap();
        let window = Window::new(reservation);
        let first = window.part(60).now_or_never().unwrap();
        assert!(window.part(60).now_or_never().is_none());
        drop(first);
        let all = window.part(9_000).now_or_never().unwrap();
        drop(window);
        assert_eq!(pool.in_use().reserved, 90);
        drop(all);
        assert_eq!(pool.in_use().reserved, 0);
    }
}
