//! The bytes between a client and hyper. Large and incomplete heads get their room here, and hyper's own refusals become ours:
//! hyper gives them no body.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    time::{Sleep, sleep},
};

use super::{
    activity::{Activity, Protocol},
    frames::{Frames, Unfinished},
    head_room::HeadRoom,
    limits::SMALL_HEAD_BYTES,
    refusal::Refusal,
    unsent_answers::UnsentAnswers,
};
use crate::{budget::Reservation, metrics::PortMetrics};

/// How every HTTP/2 connection begins, and no request of HTTP/1.
const HTTP2_BEGINS: &[u8] = b"PRI";
/// No valid head contains these bytes: hyper refuses them.
const NO_HEAD: &[u8] = b"\0\r\n\r\n";
/// How long, and for how many bytes, a refused client may go on sending: closing at once would discard the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 << 10;
/// Hyper's buffer grows by more than it needs where a read fills it (a head of 60 KiB takes 112), and stays that large. Heads and
/// bodies of HTTP/1 are read in pieces that do not fill it.
const PIECE: u64 = SMALL_HEAD_BYTES as u64 - 1;

/// A client's stream.
#[derive(Debug)]
pub(super) struct Wire<T> {
    /// The stream, with a limit for each read.
    stream: Take<T>,
    activity: Arc<Activity>,
    room: HeadRoom,
    metrics: PortMetrics,
    /// The first bytes, as long as they may begin HTTP/2.
    beginning: usize,
    /// Heads that were read before the one of which `head_bytes` tells.
    begun: u32,
    /// Bytes of the head that is being read.
    head_bytes: usize,
    /// Whether there is room for a larger head than most.
    head_may_grow: bool,
    /// HTTP/2 only, and meaningless otherwise.
    frames: Frames,
    /// HTTP/2 only.
    unsent: UnsentAnswers,
    /// Whether the client took no more bytes at the last attempt. HTTP/2 only.
    is_full: bool,
    /// Room for the incomplete part of HTTP/2.
    frame_room: Option<(usize, Reservation)>,
    /// The answer in the place of hyper's refusal, or the goodbye of HTTP/2, and how much of it is written.
    refusal: Option<(Vec<u8>, usize)>,
    lingering: Option<Lingering>,
    /// Woken once the goodbye would not stand in the middle of a frame.
    goodbye_waits: Option<Waker>,
}

#[derive(Debug)]
struct Lingering {
    timer: Pin<Box<Sleep>>,
    left: usize,
}

impl<T: AsyncRead> Wire<T> {
    pub(super) fn new(
        stream: T,
        activity: Arc<Activity>,
        room: HeadRoom,
        streams: u32,
        metrics: PortMetrics,
    ) -> Self {
        Self {
            stream: stream.take(u64::MAX),
            activity,
            room,
            metrics,
            beginning: 0,
            begun: 0,
            head_bytes: 0,
            head_may_grow: false,
            frames: Frames::new(),
            unsent: UnsentAnswers::new(streams),
            is_full: false,
            frame_room: None,
            refusal: None,
            lingering: None,
            goodbye_waits: None,
        }
    }

    /// Distinguishes HTTP/1 from HTTP/2 by the first bytes.
    fn recognize(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if HTTP2_BEGINS.get(self.beginning) != Some(byte) {
                self.activity.speaks(Protocol::Http1);
                return;
            }
            self.beginning += 1;
            if self.beginning == HTTP2_BEGINS.len() {
                self.activity.speaks(Protocol::Http2);
                return;
            }
        }
    }

    /// Notes bytes of a head.
    fn head_continues(&mut self, bytes: usize) {
        self.head_bytes += bytes;
        self.activity.head_continues();
    }

    /// Whether the head that is being read may go on.
    fn may_read_head(&mut self) -> bool {
        if self.activity.head_refusal().is_some() {
            return false;
        }
        if self.head_bytes as u64 >= PIECE && !self.head_may_grow {
            let Some(room) = self.room.for_growth(self.activity.mark.peer.ip()) else {
                self.activity.refuse_head(Refusal::NoRoomForHead);
                return false;
            };
            self.activity.keep_head_room(room);
            self.head_may_grow = true;
        }
        true
    }

    /// Follows bytes of HTTP/2; fails where there is no room for their incomplete part.
    fn follow_frames(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self { frames, unsent, .. } = self;
        let unfinished = frames.read(bytes, |stream| unsent.is_reset(stream));
        self.activity
            .frames_unfinished(unfinished != Unfinished::Nothing);
        self.note_unsent();
        let needed = unfinished.needs();
        if self.frame_room.as_ref().map_or(0, |(held, _)| *held) == needed {
            return Ok(());
        }
        self.frame_room = None;
        if needed > 0 {
            let address = self.activity.mark.peer.ip();
            let Some(room) = self.room.for_unfinished(address, needed) else {
                self.metrics
                    .refused_head(Refusal::NoRoomForHead.status().as_u16());
                // In the middle of a head there is no answer.
                return Err(io::Error::other("no room for this head"));
            };
            self.frame_room = Some((needed, room));
        }
        Ok(())
    }

    /// Follows the part of these bytes of HTTP/2 that the client took.
    fn follow_sent(&mut self, taken: &Poll<io::Result<usize>>, slices: &[io::IoSlice<'_>]) {
        if self.activity.protocol() != Protocol::Http2 {
            return;
        }
        self.is_full = taken.is_pending();
        if let Poll::Ready(Ok(mut left)) = *taken {
            for slice in slices {
                let part = slice.get(..left).unwrap_or(slice);
                left -= part.len();
                self.unsent.sent(part);
            }
        }
        if self.unsent.is_between_frames()
            && let Some(waits) = self.goodbye_waits.take()
        {
            waits.wake();
        }
        self.note_unsent();
    }

    fn note_unsent(&self) {
        self.activity
            .has_unsent(self.is_full || !self.unsent.is_empty());
    }

    /// Our refusal, and where hyper's began, if these bytes end with one.
    fn replaced(&self, bytes: &[u8]) -> Option<(usize, Refusal)> {
        if self.activity.is_busy() || self.activity.protocol() == Protocol::Http2 {
            return None;
        }
        let (begin, refusal) = Refusal::of_hyper(bytes)?;
        Some((begin, self.activity.head_refusal().unwrap_or(refusal)))
    }
}

impl<T: AsyncRead + Unpin> Wire<T> {
    fn poll_read_up_to(
        &mut self,
        most: u64,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.set_limit(most);
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }

    /// Reads the bytes that a refused client still sends, for a while.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| Lingering {
            timer: Box::pin(sleep(LINGER)),
            left: LINGER_BYTES,
        });
        let mut space = [0; 4096];
        loop {
            if lingering.timer.as_mut().poll(context).is_ready() || lingering.left == 0 {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(self.stream.get_mut()).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    lingering.left = lingering.left.saturating_sub(buffer.filled().len());
                }
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    /// Informs a client of HTTP/2 at rest that the node reads no further request. Hyper would send a ping behind that and wait for
    /// its answer: some clients, httpx among them, fail at the ping and lose the answer before it, and others do not read while
    /// they ask for nothing.
    fn poll_goodbye(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.frames.any_came() {
            // Half a preface: the client may speak anything.
            return Poll::Ready(Ok(()));
        }
        if self.refusal.is_none() {
            if !self.unsent.is_between_frames() {
                // Hyper wrote the beginning of a frame, and waits for the client before it writes the rest.
                self.goodbye_waits = Some(context.waker().clone());
                return Poll::Pending;
            }
            self.refusal = Some((self.frames.goodbye(), 0));
        }
        ready!(self.poll_refusal(context))?;
        Pin::new(self.stream.get_mut()).poll_flush(context)
    }

    /// Writes our refusal, where there is one.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((bytes, written)) = &mut self.refusal else {
            return Poll::Ready(Ok(()));
        };
        while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
            let more = ready!(Pin::new(self.stream.get_mut()).poll_write(context, rest))?;
            if more == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += more;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let protocol = wire.activity.protocol();
        let before = buffer.filled().len();
        if protocol == Protocol::Http2 {
            if wire.activity.says_goodbye() {
                // Nothing is read after that, which ends the connection.
                return wire.poll_goodbye(context);
            }
            return wire.poll_read_in_turns(context, buffer);
        }
        if wire.activity.is_busy() {
            return wire.poll_read_up_to(PIECE, context, buffer);
        }
        let begun = wire.activity.begun();
        if begun != wire.begun {
            // Its room went back with the end of the head before, whose last piece may hold the beginning of this one.
            wire.begun = begun;
            wire.head_bytes = 0;
            wire.head_may_grow = false;
        }
        if !wire.may_read_head() {
            put_no_head(buffer);
            return Poll::Ready(Ok(()));
        }
        ready!(wire.poll_read_up_to(PIECE, context, buffer))?;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        if bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if protocol == Protocol::Unknown {
            wire.recognize(bytes);
        }
        match wire.activity.protocol() {
            Protocol::Http1 => wire.head_continues(bytes.len()),
            Protocol::Http2 => return Poll::Ready(wire.follow_frames(bytes)),
            // Too few to decide: they may be either's.
            Protocol::Unknown => {
                wire.head_continues(bytes.len());
                wire.follow_frames(bytes)?;
            }
        }
        // At once: hyper would make room for the next piece before it asks for it.
        let is_large = wire.head_bytes as u64 >= PIECE;
        if is_large && !ends_head(bytes) && !wire.may_read_head() {
            buffer.set_filled(before);
            put_no_head(buffer);
        }
        Poll::Ready(Ok(()))
    }
}

fn put_no_head(buffer: &mut ReadBuf<'_>) {
    let fits = NO_HEAD.len().min(buffer.remaining());
    buffer.put_slice(NO_HEAD.get(..fits).unwrap_or_default());
}

/// Whether a head ends within these bytes. One whose end came in two reads does not: it takes the room of a larger one.
fn ends_head(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|four| four == b"\r\n\r\n")
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if let Some((begin, refusal)) = wire.replaced(bytes) {
            let mut ours = bytes.get(..begin).unwrap_or_default().to_vec();
            ours.extend(refusal.to_bytes());
            wire.metrics.refused_head(refusal.status().as_u16());
            wire.refusal = Some((ours, 0));
            return Poll::Ready(Ok(bytes.len()));
        }
        // The client may have taken only a part of our goodbye.
        ready!(wire.poll_refusal(context))?;
        let taken = Pin::new(wire.stream.get_mut()).poll_write(context, bytes);
        wire.follow_sent(&taken, &[io::IoSlice::new(bytes)]);
        taken
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Hyper's refusal is a slice of its own: it has no body.
        if let [first, rest @ ..] = slices
            && rest.iter().all(|slice| slice.is_empty())
        {
            return self.poll_write(context, first);
        }
        ready!(self.poll_refusal(context))?;
        let taken = Pin::new(self.stream.get_mut()).poll_write_vectored(context, slices);
        self.follow_sent(&taken, slices);
        taken
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(self.stream.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        if self.lingering.is_none() {
            ready!(Pin::new(self.stream.get_mut()).poll_shutdown(context))?;
        }
        if self.refusal.is_some() {
            ready!(self.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}

mod turns;

#[cfg(test)]
mod tests;
