//! The end of a connection in good order (no I/O).

use std::time::Duration;

use tokio::time::Instant;

use super::activity::{Activity, Protocol};
use crate::metrics::ConnectionEnd;

/// So long a connection of HTTP/2 waits at most for a moment when nothing runs. One that a gateway shares among its clients may
/// never come to rest.
const SAYS_WITHIN: Duration = Duration::from_secs(25);

/// The next step of a connection by itself.
#[derive(Debug)]
pub(super) enum Next {
    Wait(Instant),
    /// Informs the client that it ends.
    Farewell,
    /// Polls reading and writing once more after a change.
    Again,
    End(ConnectionEnd),
}

/// The end of a connection, from the decision on.
#[derive(Debug)]
pub(super) struct Leave {
    pub(super) end: ConnectionEnd,
    /// When it ends, whatever still runs.
    until: Instant,
    /// When it informs the client at the latest; `None` once it did. On HTTP/2 it waits until nothing runs: many clients drop
    /// running requests at a GOAWAY.
    says_by: Option<Instant>,
    /// It was at rest before the last poll, which sent all that was left.
    was_at_rest: bool,
}

impl Leave {
    pub(super) fn new(end: ConnectionEnd, now: Instant, limit: Duration) -> Self {
        let until = now + limit;
        Self {
            end,
            until,
            // The time after it is for answers to correct clients, which read on and open nothing more.
            says_by: Some(now + SAYS_WITHIN.min(limit / 2)),
            was_at_rest: false,
        }
    }

    /// The same where the answer that is being sent says it.
    pub(super) fn that_is_known(end: ConnectionEnd, now: Instant, limit: Duration) -> Self {
        Self {
            says_by: None,
            ..Self::new(end, now, limit)
        }
    }

    /// Takes no longer than the other one.
    pub(super) fn hurry(&mut self, other: &Self) {
        self.until = self.until.min(other.until);
        self.says_by = self.says_by.min(other.says_by);
    }

    pub(super) fn next(&mut self, activity: &Activity, now: Instant) -> Next {
        if now >= self.until {
            return Next::End(self.end);
        }
        let Some(says_by) = self.says_by else {
            return Next::Wait(self.until);
        };
        if activity.protocol() == Protocol::Http2 {
            let is_at_rest = activity.is_at_rest();
            let was_at_rest = std::mem::replace(&mut self.was_at_rest, is_at_rest);
            if !is_at_rest && now < says_by {
                return Next::Wait(says_by);
            }
            // The end of the last answer may wait to be sent, and a GOAWAY would overtake it.
            if is_at_rest && !was_at_rest {
                return Next::Again;
            }
        }
        self.says_by = None;
        Next::Farewell
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::limits::{EVICTION, FINISH},
        *,
    };
    use crate::api::ConnectionMark;

    fn connection(protocol: Protocol) -> Arc<Activity> {
        let peer = "192.0.2.1:1".parse().unwrap();
        let activity = Activity::new(ConnectionMark::new(peer, 1));
        activity.speaks(protocol);
        Arc::new(activity)
    }

    /// As long as an answer by default, and somewhat.
    const LAST_ANSWERS: Duration = Duration::from_secs(150);
    const ENDS: [(ConnectionEnd, Duration); 3] = [
        (ConnectionEnd::Stopped, FINISH),
        (ConnectionEnd::Evicted, EVICTION),
        (ConnectionEnd::Age, LAST_ANSWERS),
    ];

    #[test]
    fn http2_takes_leave_once_no_answer_is_under_way() {
        for (end, limit) in ENDS {
            let (activity, now) = (connection(Protocol::Http2), Instant::now());
            let request = activity.begin();
            let mut leave = Leave::new(end, now, limit);
            assert!(matches!(leave.next(&activity, now), Next::Wait(_)));
            activity.has_unsent(true);
            drop(request);
            assert!(matches!(leave.next(&activity, now), Next::Wait(_)));
            activity.has_unsent(false);
            assert!(matches!(leave.next(&activity, now), Next::Again));
            // Another one came with the last bytes that were read.
            let request = activity.begin();
            assert!(matches!(leave.next(&activity, now), Next::Wait(_)));
            drop(request);
            assert!(matches!(leave.next(&activity, now), Next::Again));
            assert!(matches!(leave.next(&activity, now), Next::Farewell));
            assert!(matches!(leave.next(&activity, now), Next::Wait(_)));
        }
    }

    #[test]
    fn a_client_that_opens_stream_after_stream_keeps_no_connection_longer_than_it_may_take() {
        for (end, limit) in ENDS {
            let (activity, now) = (connection(Protocol::Http2), Instant::now());
            let _without_end = activity.begin();
            let mut leave = Leave::new(end, now, limit);
            let Next::Wait(says_by) = leave.next(&activity, now) else {
                panic!("it waits");
            };
            assert!(says_by < now + limit);
            assert!(matches!(leave.next(&activity, says_by), Next::Farewell));
            let Next::Wait(until) = leave.next(&activity, says_by) else {
                panic!("what runs may end");
            };
            assert_eq!(until, now + limit);
            let ended = leave.next(&activity, until);
            assert!(matches!(ended, Next::End(reason) if reason == end));
        }
    }

    #[test]
    fn an_old_connection_of_a_node_that_stops_ends_with_the_node() {
        let (activity, now) = (connection(Protocol::Http2), Instant::now());
        let _without_end = activity.begin();
        let mut leave = Leave::new(ConnectionEnd::Age, now, LAST_ANSWERS);
        leave.hurry(&Leave::new(ConnectionEnd::Stopped, now, FINISH));
        assert!(matches!(leave.next(&activity, now + FINISH), Next::End(_)));
        leave.hurry(&Leave::new(ConnectionEnd::Age, now, LAST_ANSWERS));
        assert_eq!(leave.until, now + FINISH);
    }

    #[test]
    fn http1_says_at_once_that_the_running_answer_is_the_last() {
        let (activity, now) = (connection(Protocol::Http1), Instant::now());
        let _running = activity.begin();
        let mut leave = Leave::new(ConnectionEnd::Stopped, now, FINISH);
        assert!(matches!(leave.next(&activity, now), Next::Farewell));
    }
}
