//! The activity of a connection, and its deadlines.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{
            AtomicBool, AtomicU8, AtomicU32, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{handshake::Standing, head_room::HeadRoom, refusal::Refusal};
use crate::{api::ConnectionMark, budget::Reservation, config::Timeouts};

/// The memory that h2 keeps for each concurrent request until its connection ends (22 KiB for 32 were measured with h2 0.4).
const PLACE_BYTES: usize = 1 << 10;

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Too few bytes came to know.
    Unknown,
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A deadline of a connection has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The client sent nothing, or nothing complete, after it connected.
    Silent,
    /// The head of a request did not come as a whole.
    Head,
    /// A frame of HTTP/2, or a head of several frames, did not become complete.
    Frames,
    /// No request came after the last answer.
    Idle,
}

/// One connection's state, shared by its bytes, its requests and the table of connections.
#[derive(Debug)]
pub(super) struct Activity {
    /// The mark that its requests get.
    pub(super) mark: Arc<ConnectionMark>,
    opened: Instant,
    /// Requests whose answer, or whose body, has not ended.
    busy: AtomicU32,
    /// Requests whose head is read.
    begun: AtomicU32,
    /// Nanoseconds from the opening to the end of the last answer; 0 before the first.
    answered: AtomicU64,
    /// Nanoseconds from the opening to the first byte of a head that is not whole yet; 0 where there is none. HTTP/1 only.
    head_began: AtomicU64,
    /// Nanoseconds from the opening to the first byte of a frame or a head that is not whole yet; 0 where there is none.
    /// HTTP/2 only.
    frames_began: AtomicU64,
    protocol: AtomicU8,
    /// Requests are over whose answer the client does not have as a whole. HTTP/2 only.
    unsent: AtomicBool,
    /// The connection ends, and waits until nothing runs on it.
    takes_leave: AtomicBool,
    /// The node informs the client of HTTP/2 that it reads no further request.
    goodbye: AtomicBool,
    /// The next answer is the last.
    retiring: AtomicBool,
    evicted: AtomicBool,
    refusal: AtomicU8,
    /// The connection reads no further before other tasks have run. HTTP/2 only.
    turn_over: AtomicBool,
    /// Room for the large head that is being read. HTTP/1 only.
    head_room: Mutex<Option<Reservation>>,
    /// The most requests at one time, and the room for h2's memory for as many until the connection ends. HTTP/2 only.
    most: Mutex<(u32, Option<Reservation>)>,
    /// Whether its certificate is still accepted; unset where the client showed none.
    standing: OnceLock<Standing>,
    /// Wakes the connection when it has to make room.
    pub(super) told: Notify,
    /// Wakes a connection that takes leave after its last request.
    pub(super) rests: Notify,
}

impl Activity {
    pub(super) fn new(mark: ConnectionMark) -> Self {
        Self {
            mark: Arc::new(mark),
            opened: Instant::now(),
            busy: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            answered: AtomicU64::new(0),
            head_began: AtomicU64::new(0),
            frames_began: AtomicU64::new(0),
            protocol: AtomicU8::new(Protocol::Unknown as u8),
            unsent: AtomicBool::new(false),
            takes_leave: AtomicBool::new(false),
            goodbye: AtomicBool::new(false),
            retiring: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            refusal: AtomicU8::new(0),
            turn_over: AtomicBool::new(false),
            head_room: Mutex::default(),
            most: Mutex::default(),
            standing: OnceLock::new(),
            told: Notify::new(),
            rests: Notify::new(),
        }
    }

    /// The client has identified itself. Called once, before the first request.
    pub(super) fn stands(&self, standing: Standing) {
        let _ = self.standing.set(standing);
    }

    /// Cancelled when the client must show its certificate again.
    pub(super) fn outdated(&self) -> CancellationToken {
        let standing = self.standing.get();
        standing.map_or_else(CancellationToken::new, |standing| standing.outdated.clone())
    }

    /// The same for the exchange of certificates that comes next, as long as the connection goes on.
    pub(super) fn outdated_again(&self) -> CancellationToken {
        let standing = self.standing.get();
        standing.map_or_else(CancellationToken::new, Standing::outdated_again)
    }

    /// Whether the client's certificate is not accepted any more.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.standing.get().is_some_and(Standing::is_withdrawn)
    }

    fn now(&self) -> u64 {
        let elapsed = self.opened.elapsed().as_nanos();
        u64::try_from(elapsed).unwrap_or(u64::MAX).max(1)
    }

    fn at(&self, nanos: u64) -> Instant {
        self.opened + Duration::from_nanos(nanos)
    }

    /// A request has begun; it ends when the guard and all its clones are gone.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        self.head_began.store(0, Relaxed);
        Busy(Arc::clone(self))
    }

    /// How many heads were read to their end, modulo 2^32.
    pub(super) fn begun(&self) -> u32 {
        self.begun.load(Relaxed)
    }

    /// Whether a request is being answered, or its body read.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(SeqCst) > 0
    }

    /// Whether the client of HTTP/2 lacks the end of an answer whose request is over.
    pub(super) fn has_unsent(&self, has: bool) {
        self.unsent.store(has, Relaxed);
    }

    /// Whether no request runs, and the client has all answers.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.is_busy() && !self.unsent.load(Relaxed)
    }

    /// Has the connection of HTTP/2 inform its client, and read nothing more. It must be at rest.
    pub(super) fn say_goodbye(&self) {
        self.goodbye.store(true, Relaxed);
    }

    pub(super) fn says_goodbye(&self) -> bool {
        self.goodbye.load(Relaxed)
    }

    /// From now on the end of the last request wakes the connection.
    pub(super) fn take_leave(&self) {
        self.takes_leave.store(true, SeqCst);
    }

    /// Bytes of a head came.
    pub(super) fn head_continues(&self) {
        if self.head_began.load(Relaxed) == 0 {
            self.head_began.store(self.now(), Relaxed);
        }
    }

    /// Keeps room for as many requests at a time as there are now; false where there is none.
    pub(super) fn keep_room_for_requests(&self, room: &HeadRoom) -> bool {
        let now = self.busy.load(Relaxed);
        let mut most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(more) = now.checked_sub(most.0).filter(|more| *more > 0) else {
            return true;
        };
        let bytes = more as usize * PLACE_BYTES;
        let has_room = match &mut most.1 {
            Some(held) => held.grow(bytes).is_ok(),
            none => {
                *none = room.for_unfinished(self.mark.peer.ip(), bytes);
                none.is_some()
            }
        };
        if has_room {
            most.0 = now;
        }
        has_room
    }

    /// Bytes of HTTP/2 came, and left a frame or a head unfinished, or did not.
    pub(super) fn frames_unfinished(&self, unfinished: bool) {
        if !unfinished {
            self.frames_began.store(0, Relaxed);
        } else if self.frames_began.load(Relaxed) == 0 {
            self.frames_began.store(self.now(), Relaxed);
        }
    }

    /// The head that is being read has this room, until its request is there.
    pub(super) fn keep_head_room(&self, room: Reservation) {
        *self.head_room() = Some(room);
    }

    /// The head is complete, so its size is known.
    pub(super) fn give_head_room_back(&self) {
        self.head_room().take();
    }

    fn head_room(&self) -> MutexGuard<'_, Option<Reservation>> {
        self.head_room
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the connection has been idle; `None` while it is busy, or before the first answer.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let answered = self.answered.load(Relaxed);
        (answered > 0 && !self.is_busy()).then(|| self.at(answered))
    }

    /// The next deadline and its kind; `None` while requests run and all received parts are complete.
    pub(super) fn deadline(&self, timeouts: &Timeouts) -> Option<(Instant, Overdue)> {
        let frames = self.frames_began.load(Relaxed);
        if frames > 0 {
            return Some((self.at(frames) + timeouts.headers, Overdue::Frames));
        }
        if self.is_busy() {
            return None;
        }
        let head = self.head_began.load(Relaxed);
        if head > 0 {
            return Some((self.at(head) + timeouts.headers, Overdue::Head));
        }
        match self.answered.load(Relaxed) {
            0 => Some((self.opened + timeouts.headers, Overdue::Silent)),
            answered => Some((self.at(answered) + timeouts.idle, Overdue::Idle)),
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        match self.protocol.load(Relaxed) {
            1 => Protocol::Http1,
            2 => Protocol::Http2,
            _ => Protocol::Unknown,
        }
    }

    pub(super) fn speaks(&self, protocol: Protocol) {
        self.protocol.store(protocol as u8, Relaxed);
    }

    /// The connection's task runs: it may read.
    pub(super) fn begin_turn(&self) {
        self.turn_over.store(false, Relaxed);
    }

    /// The connection reads no further before its task runs again.
    pub(super) fn end_turn(&self) {
        self.turn_over.store(true, Relaxed);
    }

    pub(super) fn turn_is_over(&self) -> bool {
        self.turn_over.load(Relaxed)
    }

    /// The next answer on HTTP/1 is the last.
    pub(super) fn retire(&self) {
        self.retiring.store(true, Relaxed);
    }

    pub(super) fn is_retiring(&self) -> bool {
        self.retiring.load(Relaxed)
    }

    /// Has the connection make room.
    pub(super) fn evict(&self) {
        self.evicted.store(true, Relaxed);
        self.told.notify_one();
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.load(Relaxed)
    }

    /// The head that is being read is refused for this reason, whatever hyper answers.
    pub(super) fn refuse_head(&self, refusal: Refusal) {
        self.refusal.store(refusal.code(), Relaxed);
    }

    pub(super) fn head_refusal(&self) -> Option<Refusal> {
        Refusal::of_code(self.refusal.load(Relaxed))
    }
}

/// A request that is not over.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Clone for Busy {
    fn clone(&self) -> Self {
        self.0.busy.fetch_add(1, Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.answered.store(self.0.now(), Relaxed);
        if self.0.busy.fetch_sub(1, SeqCst) == 1 && self.0.takes_leave.load(SeqCst) {
            self.0.rests.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        headers: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        ..Timeouts::DEFAULT
    };

    #[test]
    fn the_time_for_a_head_begins_with_its_first_byte_and_idleness_with_the_last_answer() {
        let peer = "192.0.2.1:1".parse().unwrap();
        let activity = Arc::new(Activity::new(ConnectionMark::new(peer, 1)));
        let due = |activity: &Activity| activity.deadline(&TIMEOUTS);
        let (silent, what) = due(&activity).unwrap();
        assert_eq!(what, Overdue::Silent);
        assert_eq!(silent, activity.opened + TIMEOUTS.headers);

        let began = Instant::now();
        activity.head_continues();
        let (head, what) = due(&activity).unwrap();
        assert_eq!(what, Overdue::Head);
        assert!(head >= began + TIMEOUTS.headers);
        std::thread::sleep(Duration::from_millis(2));
        activity.head_continues();
        assert_eq!(due(&activity), Some((head, Overdue::Head)));

        let request = activity.begin();
        activity.frames_unfinished(true);
        let (_, what) = due(&activity).unwrap();
        assert_eq!(what, Overdue::Frames, "also while requests run");
        activity.frames_unfinished(false);
        let body = request.clone();
        assert_eq!(due(&activity), None);
        drop(request);
        assert_eq!(due(&activity), None);
        let ended = Instant::now();
        drop(body);
        let (idle, what) = due(&activity).unwrap();
        assert_eq!(what, Overdue::Idle);
        assert!(idle >= ended + TIMEOUTS.idle);
    }
}
