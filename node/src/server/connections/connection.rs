//! One connection, from its first byte to its end.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    activity::{Activity, Overdue, Protocol},
    bell::Bell,
    edge::{Edge, EdgeParts},
    handshake::{LiveTls, Shaken},
    intake::Intake,
    leave::{Leave, Next},
    limits::{
        EVICTION, FAREWELL, FINISH, MAX_HEAD_BYTES, RECEIVE_WINDOW, SEND_BUFFER, last_answers,
    },
    refusal::Refusal,
    stall_guard::StallGuard,
    wire::Wire,
};
use crate::{
    api::MAX_HEADERS,
    config::Timeouts,
    metrics::{ConnectionEnd, PortMetrics},
};

/// The parts that the connections of a port share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) http: auto::Builder<TokioExecutor>,
    pub(super) edge: Arc<EdgeParts>,
    pub(super) tls: Option<LiveTls>,
    pub(super) timeouts: Timeouts,
    /// HTTP/2 requests of one connection at a time.
    pub(super) streams: u32,
    pub(super) metrics: PortMetrics,
    /// Ends all connections gracefully.
    pub(super) stop: CancellationToken,
}

/// How hyper bounds a client, where this module does not. One connection of HTTP/2 has so many requests at a time.
pub(super) fn http(streams: u32) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // It would also count between requests; `Activity` does it.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        // `HeadRoom` judges heads up to 64 KiB, and answers in JSON; h2 itself refuses far larger ones.
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES / 4 * 5).unwrap_or(u32::MAX))
        .max_concurrent_streams(streams)
        .initial_stream_window_size(RECEIVE_WINDOW)
        .initial_connection_window_size(RECEIVE_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(streams as usize)
        .max_local_error_reset_streams(2 * streams as usize)
        .keep_alive_interval(Duration::from_secs(20));
    builder
}

/// Serves a client until one side ends the connection, and returns why it ended.
pub(super) async fn serve(
    stream: TcpStream,
    activity: Arc<Activity>,
    shared: &Shared,
) -> ConnectionEnd {
    let stall = shared.timeouts.stall;
    let Some(tls) = &shared.tls else {
        return converse(StallGuard::new(stream, stall), activity, shared).await;
    };
    let handshake = timeout(shared.timeouts.headers, async {
        if is_plain_http(&stream).await? {
            // The client may be gone already.
            let _ = Refusal::PlainHttp.send(stream).await;
            return Ok(None);
        }
        let (address, room) = (activity.mark.peer.ip(), shared.edge.room.clone());
        let stream = Intake::new(StallGuard::new(stream, stall), address, room);
        tls.accept(stream).await.map(Some)
    });
    let shaken = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return ConnectionEnd::Stopped,
        () = activity.told.notified() => return ConnectionEnd::Evicted,
        shaken = handshake => shaken,
    };
    match shaken {
        Ok(Ok(None)) => {
            let status = Refusal::PlainHttp.status();
            shared.metrics.refused_head(status.as_u16());
            ConnectionEnd::Handshake
        }
        Ok(Ok(Some(shaken))) => {
            let Shaken {
                stream,
                shown,
                standing,
            } = shaken;
            activity.stands(standing);
            if let Some(shown) = shown {
                activity.mark.certify(shown);
            }
            converse(stream, activity, shared).await
        }
        Ok(Err(error)) => {
            let client = activity.mark.peer.ip();
            if is_of_tls(&error) && tls.tells_of_refusals() {
                tracing::warn!(
                    %client,
                    error = %error,
                    advice = "only certificates of this cluster's nodes and of its operator open OSC_PEER_PORT",
                    "peer_certificate_refused"
                );
            } else {
                tracing::debug!(%client, error = %error, "tls_handshake_failed");
            }
            ConnectionEnd::Handshake
        }
        Err(_) => ConnectionEnd::Silent,
    }
}

/// Whether the client begins with a method of HTTP. TLS begins with the number of a record, 22 (RFC 8446, section 5.1).
async fn is_plain_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let arrived = stream.peek(&mut first).await?;
    Ok(arrived > 0 && first.iter().all(u8::is_ascii_uppercase))
}

/// Whether one side refused the other. A client that went away, or only probed the port, was not refused.
fn is_of_tls(error: &io::Error) -> bool {
    let cause = error.get_ref();
    cause.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

/// Speaks HTTP.
async fn converse<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: T,
    activity: Arc<Activity>,
    shared: &Shared,
) -> ConnectionEnd {
    let outdated = activity.outdated();
    let room = shared.edge.room.clone();
    let wire = Wire::new(
        stream,
        Arc::clone(&activity),
        room,
        shared.streams,
        shared.metrics.clone(),
    );
    let edge = Edge {
        parts: Arc::clone(&shared.edge),
        activity: Arc::clone(&activity),
    };
    let mut http = pin!(shared.http.serve_connection(TokioIo::new(wire), edge));
    let mut stopped = pin!(shared.stop.cancelled());
    let mut evicted = pin!(activity.told.notified());
    let mut cut_off = pin!(activity.mark.cut_off.wait());
    let mut outdated = pin!(outdated.cancelled_owned());
    let mut rests = pin!(activity.rests.notified());
    let mut conduct = Conduct::new(&activity, shared.timeouts);
    let mut alarm = pin!(sleep_until(conduct.retires_at));
    let bell = Arc::new(Bell::default());
    let rings = Waker::from(Arc::clone(&bell));
    // The first time checks everything, which registers the wakers.
    let mut look = true;
    poll_fn(|connection| {
        activity.begin_turn();
        let context = &mut Context::from_waker(&rings);
        loop {
            if let Poll::Ready(ended) = http.as_mut().poll(connection) {
                if let Err(error) = &ended {
                    tracing::debug!(client = %activity.mark.peer.ip(), ?error, "connection_broken");
                }
                return Poll::Ready(conduct.ended(ended.is_err()));
            }
            look |= bell.rang(connection.waker());
            if look {
                // At once: bytes that the client does not read would block a farewell too.
                if cut_off.as_mut().poll(context).is_ready() {
                    let end = if activity.is_evicted() {
                        ConnectionEnd::Evicted
                    } else {
                        ConnectionEnd::SlowReader
                    };
                    return Poll::Ready(end);
                }
                let mut exchanged = false;
                while outdated.as_mut().poll(context).is_ready() {
                    exchanged = true;
                    // Before the judgement: it may be the next exchange that takes the client's authority away.
                    outdated.set(activity.outdated_again().cancelled_owned());
                }
                if exchanged {
                    conduct.retires_at = Instant::now();
                    if !activity.is_busy() && activity.is_withdrawn() {
                        conduct.leave(ConnectionEnd::Age, FAREWELL);
                    }
                }
                if stopped.as_mut().poll(context).is_ready() {
                    conduct.leave(ConnectionEnd::Stopped, FINISH);
                }
                if evicted.as_mut().poll(context).is_ready() {
                    conduct.leave(ConnectionEnd::Evicted, EVICTION);
                }
                while rests.as_mut().poll(context).is_ready() {
                    rests.set(activity.rests.notified());
                }
            }
            match conduct.next() {
                // The alarm is set, and rings no later.
                Next::Wait(until) if !look && until >= alarm.deadline() => return Poll::Pending,
                Next::Wait(until) => {
                    look = wait(alarm.as_mut(), until, context).is_ready();
                    if !look {
                        return Poll::Pending;
                    }
                }
                Next::Farewell
                    if activity.protocol() == Protocol::Http2 && activity.is_at_rest() =>
                {
                    activity.say_goodbye();
                }
                Next::Farewell => http.as_mut().graceful_shutdown(),
                Next::Again => {}
                Next::End(end) => return Poll::Ready(end),
            }
        }
    })
    .await
}

/// Waits until then, or less: moving an alarm costs more than one superfluous check.
fn wait(mut alarm: Pin<&mut Sleep>, until: Instant, context: &mut Context<'_>) -> Poll<()> {
    if until < alarm.deadline() {
        alarm.as_mut().reset(until);
    }
    let rang = alarm.as_mut().poll(context);
    if rang.is_ready() {
        alarm.reset(until);
    }
    rang
}

/// When a connection ends, and how.
#[derive(Debug)]
struct Conduct<'a> {
    activity: &'a Activity,
    timeouts: Timeouts,
    /// When it is too old.
    retires_at: Instant,
    leave: Option<Leave>,
}

impl<'a> Conduct<'a> {
    fn new(activity: &'a Activity, timeouts: Timeouts) -> Self {
        // Up to a tenth less: connections that came together must not go together.
        let jitter = timeouts.age.mul_f64(rand::random::<f64>() / 10.0);
        Self {
            activity,
            timeouts,
            retires_at: Instant::now() + timeouts.age.saturating_sub(jitter),
            leave: None,
        }
    }

    /// It ends for this reason, within this time. Where it is ending already, it takes no longer than that.
    fn leave(&mut self, end: ConnectionEnd, limit: Duration) {
        let new = Leave::new(end, Instant::now(), limit);
        match &mut self.leave {
            Some(leave) => leave.hurry(&new),
            none => {
                self.activity.take_leave();
                *none = Some(new);
            }
        }
    }

    fn next(&mut self) -> Next {
        let now = Instant::now();
        if let Some(leave) = &mut self.leave {
            return leave.next(self.activity, now);
        }
        let http2 = self.activity.protocol() == Protocol::Http2;
        let old = now >= self.retires_at;
        if old && http2 {
            self.leave(ConnectionEnd::Age, last_answers(&self.timeouts));
            return Next::Again;
        }
        if old {
            self.activity.retire();
        }
        let never = now + Duration::from_hours(24);
        let retires_at = if old { never } else { self.retires_at };
        let Some((until, what)) = self.activity.deadline(&self.timeouts) else {
            return Next::Wait(retires_at);
        };
        if now < until {
            return Next::Wait(until.min(retires_at));
        }
        match what {
            Overdue::Silent if http2 => self.leave(ConnectionEnd::Silent, FAREWELL),
            Overdue::Silent => return Next::End(ConnectionEnd::Silent),
            Overdue::Head => {
                self.activity.refuse_head(Refusal::SlowHead);
                let refused = Leave::that_is_known(ConnectionEnd::SlowHead, now, FAREWELL);
                self.leave = Some(refused);
            }
            // In the middle of a frame no answer can be sent.
            Overdue::Frames => return Next::End(ConnectionEnd::SlowHead),
            Overdue::Idle => self.leave(ConnectionEnd::Idle, FAREWELL),
        }
        Next::Again
    }

    /// Hyper has ended it.
    fn ended(&self, with_error: bool) -> ConnectionEnd {
        match &self.leave {
            Some(leave) => leave.end,
            None if self.activity.is_retiring() => ConnectionEnd::Age,
            None if with_error => ConnectionEnd::Broken,
            None => ConnectionEnd::Client,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::api::ConnectionMark;

    #[tokio::test]
    async fn the_end_of_the_last_request_wakes_a_connection_that_takes_leave() {
        let peer = "192.0.2.1:1".parse().unwrap();
        let activity = Arc::new(Activity::new(ConnectionMark::new(peer, 1)));
        activity.speaks(Protocol::Http2);
        let (first, last) = (activity.begin(), activity.begin());
        let mut conduct = Conduct::new(&activity, Timeouts::default());
        conduct.leave(ConnectionEnd::Stopped, FINISH);
        assert!(matches!(conduct.next(), Next::Wait(_)));
        drop(first);
        assert!(activity.rests.notified().now_or_never().is_none());
        drop(last);
        activity.rests.notified().await;
    }
}
