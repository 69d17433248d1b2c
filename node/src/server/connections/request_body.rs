//! Bodies of requests. The part that a handler leaves is read and dropped, so that the client can read the answer, and the next
//! request can be found.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    time::{Instant, sleep_until, timeout_at},
};

use super::activity::Busy;

/// So many times as much of a body is read on HTTP/2, where no header tells a client that it need not send the rest: Java's
/// client reads no answer before it has sent its body.
const OVER_HTTP2: u64 = 16;

/// Limits for reading bodies that no handler wants.
#[derive(Debug, Clone)]
pub(super) struct RestLimits {
    /// Bytes of one body, those that its handler read included.
    pub(super) bytes: u64,
    /// How long it may take from the moment in which the handler left it.
    pub(super) time: Duration,
    /// Permits to wait for a client that still sends: closing at once would discard the answer.
    pub(super) waiting: Arc<Semaphore>,
}

impl RestLimits {
    /// The limits of a request of this version.
    pub(super) fn of(&self, version: Version) -> Self {
        let mut limits = self.clone();
        if version == Version::HTTP_2 {
            limits.bytes = limits.bytes.saturating_mul(OVER_HTTP2);
        }
        limits
    }
}

/// How far a body has come.
#[derive(Debug)]
pub(super) struct Progress {
    /// Its length, where the client gave it.
    length: Option<u64>,
    /// The client waits for `100 Continue`.
    awaits_continue: bool,
    read: AtomicU64,
    asked: AtomicBool,
    ended: AtomicBool,
    /// Its handler has left it, and the rest is being read.
    left: AtomicBool,
    /// All that the node will read of it has been read.
    over: Notify,
}

impl Progress {
    /// Whether the client may still send more of it than this node reads, or may leave it out, so that the next request cannot
    /// be found.
    pub(super) fn ends_connection(&self, limits: &RestLimits) -> bool {
        if self.ended.load(Relaxed) {
            return false;
        }
        let never_began = self.awaits_continue && !self.asked.load(Relaxed);
        // Where no length was announced, what has come tells.
        let length = self.length.unwrap_or_else(|| self.read.load(Relaxed));
        never_began || length > limits.bytes
    }

    /// Whether the node is still reading the rest.
    pub(super) fn is_being_dropped(&self) -> bool {
        self.left.load(Relaxed) && !self.ended.load(Relaxed)
    }

    /// Waits until no more of it is read. One task may wait.
    pub(super) async fn over(self: Arc<Self>) {
        self.over.notified().await;
    }
}

/// A body whose rest is read.
#[derive(Debug)]
struct RequestBody {
    /// Taken when it is dropped.
    body: Option<Incoming>,
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    progress: Arc<Progress>,
    limits: RestLimits,
    busy: Busy,
}

/// A body for its handler, and its progress; `None` where there is no body.
pub(super) fn watch(
    body: Incoming,
    awaits_continue: bool,
    limits: RestLimits,
    busy: &Busy,
) -> (axum::body::Body, Option<Arc<Progress>>) {
    if body.is_end_stream() {
        return (axum::body::Body::empty(), None);
    }
    let progress = Arc::new(Progress {
        length: body.size_hint().exact(),
        awaits_continue,
        read: AtomicU64::new(0),
        asked: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        left: AtomicBool::new(false),
        over: Notify::new(),
    });
    let watched = Watched {
        progress: Arc::clone(&progress),
        limits,
        busy: busy.clone(),
    };
    let body = RequestBody {
        body: Some(body),
        watched: Some(watched),
    };
    (axum::body::Body::new(body), Some(progress))
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { body, watched } = self.get_mut();
        let Some(body) = body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(&mut *body).poll_frame(context);
        if let Some(Watched { progress, .. }) = watched {
            progress.asked.store(true, Relaxed);
            match &frame {
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    progress.read.fetch_add(bytes as u64, Relaxed);
                    if body.is_end_stream() {
                        progress.ended.store(true, Relaxed);
                    }
                }
                Poll::Ready(_) => progress.ended.store(true, Relaxed),
                Poll::Pending => {}
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map(Incoming::size_hint)
            .unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(body), Some(watched)) = (self.body.take(), self.watched.take()) else {
            return;
        };
        let progress = &watched.progress;
        if progress.ended.load(Relaxed) || body.is_end_stream() {
            return;
        }
        // Reading would ask for the body that the client holds back; the connection ends instead.
        if progress.awaits_continue && !progress.asked.load(Relaxed) {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            progress.left.store(true, Relaxed);
            runtime.spawn(read_rest(body, watched));
        }
    }
}

/// Reads a body to its end, or up to the limits. Holds one chunk at a time.
async fn read_rest(mut body: Incoming, watched: Watched) {
    let Watched {
        progress,
        limits,
        busy,
    } = watched;
    let deadline = Instant::now() + limits.time;
    let mut left = limits.bytes.saturating_sub(progress.read.load(Relaxed));
    loop {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else {
            progress.ended.store(true, Relaxed);
            progress.over.notify_one();
            return;
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        if bytes > left {
            break;
        }
        left -= bytes;
    }
    progress.over.notify_one();
    // The client reads the answer meanwhile; its unsent bytes wait in its own memory.
    if let Ok(_waiting) = limits.waiting.try_acquire() {
        sleep_until(deadline).await;
    }
    drop((body, busy));
}
