//! The loop that accepts connections on a port.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderValue;
use rustix::io::Errno;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    activity::Activity,
    connection::{self, Shared},
    edge::EdgeParts,
    handshake::LiveTls,
    head_room::HeadRoom,
    refusal::Refusal,
    request_body::RestLimits,
    table::{Refused, SharedTable},
};
use crate::{
    api::{ApiService, ConnectionMark},
    budget::Pool,
    metrics::{ConnectionEnd, PortMetrics},
};

/// How long the loop rests when the system has no file descriptor left.
const REST: Duration = Duration::from_millis(50);
/// Unsent bytes of answers in the kernel for one client. This many of all connections together fit in a pod's memory, and fast
/// clients read large answers no slower.
const UNSENT: u32 = 32 << 10;
/// Refused clients that get an answer at the same time; others are closed without one.
const TOLD: usize = 64;
/// Clients of refused requests that may go on sending at the same time.
const WAITING: usize = 64;

/// A port, and its service.
#[derive(Debug)]
pub(crate) struct Port {
    /// Where clients come.
    pub(crate) listener: std::net::TcpListener,
    /// The service of its clients.
    pub(crate) service: ApiService,
    /// `None` for plain HTTP.
    pub(crate) tls: Option<LiveTls>,
    /// The limits of its connections.
    pub(crate) table: SharedTable,
    /// The share of the memory from which heads grow that are larger than most.
    pub(crate) head_room: Pool,
    /// Its metrics.
    pub(crate) metrics: PortMetrics,
}

impl Port {
    /// Serves until it has to stop, and then until all connections have ended in good order.
    pub(crate) async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let Self {
            listener,
            service,
            tls,
            table,
            head_room,
            metrics,
        } = self;
        let listener = TcpListener::from_std(listener)?;
        let limits = &table.limits;
        let (timeouts, streams) = (limits.timeouts, limits.streams);
        let keep_alive = format!("timeout={}", timeouts.idle.as_secs());
        let edge = EdgeParts {
            service,
            room: HeadRoom::new(head_room, &limits.trusted_proxies),
            rest: RestLimits {
                bytes: limits.max_rest_bytes,
                time: timeouts.rest,
                waiting: Arc::new(Semaphore::new(WAITING)),
            },
            keep_alive: HeaderValue::try_from(keep_alive).map_err(io::Error::other)?,
        };
        let shared = Arc::new(Shared {
            http: connection::http(streams),
            edge: Arc::new(edge),
            tls,
            timeouts,
            streams,
            metrics,
            stop: stop.clone(),
        });
        let doorkeeper = Doorkeeper {
            table,
            shared,
            tasks: TaskTracker::new(),
            telling: Arc::new(Semaphore::new(TOLD)),
        };
        let mut exhausted = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if exhausted {
                        exhausted = false;
                        tracing::info!("file_descriptors_available");
                    }
                    doorkeeper.receive(stream, peer);
                }
                Err(error) if is_exhaustion(&error) => {
                    if !exhausted {
                        exhausted = true;
                        doorkeeper.shared.metrics.descriptors_exhausted();
                        tracing::error!(
                            error = %error,
                            advice = "raise the limit of open files (ulimit -n, LimitNOFILE), or lower OSC_MAX_CONNECTIONS",
                            "file_descriptors_exhausted"
                        );
                    }
                    sleep(REST).await;
                }
                // Of a client that went away before it was taken.
                Err(error) => tracing::debug!(error = %error, "accept_failed"),
            }
        }
        drop(listener);
        doorkeeper.tasks.close();
        doorkeeper.tasks.wait().await;
        Ok(())
    }
}

/// Whether the system has no room for another connection just now.
fn is_exhaustion(error: &io::Error) -> bool {
    let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    lacks
        .into_iter()
        .any(|lack| error.raw_os_error() == Some(lack.raw_os_error()))
}

/// Accepts clients or turns them away.
#[derive(Debug)]
struct Doorkeeper {
    table: SharedTable,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    telling: Arc<Semaphore>,
}

impl Doorkeeper {
    fn receive(&self, stream: TcpStream, peer: SocketAddr) {
        let mut made = None;
        let here = stream.local_addr().ok().map(|address| address.ip());
        let admitted = self.table.lock().admit(peer.ip().to_canonical(), |id| {
            let mark = ConnectionMark::new(peer, id).arrived_at(here);
            let activity = Arc::new(Activity::new(mark));
            made = Some(Arc::clone(&activity));
            activity
        });
        match (admitted, made) {
            (Ok(id), Some(activity)) => {
                self.shared.metrics.opened();
                let entry = TableEntry {
                    id,
                    table: self.table.clone(),
                    metrics: self.shared.metrics.clone(),
                };
                let shared = Arc::clone(&self.shared);
                self.tasks.spawn(async move {
                    // Answers that a client does not read must not pile up in the kernel either: a pod's limit counts them.
                    // Sandboxes whose kernel does not know the option are served without it.
                    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
                    let end = if stream.set_nodelay(true).is_ok() {
                        connection::serve(stream, activity, &shared).await
                    } else {
                        ConnectionEnd::Broken
                    };
                    shared.metrics.closed(end);
                    drop(entry);
                });
            }
            (Err(refused), _) => self.turn_away(stream, refused),
            // Impossible: an admitted client has its activity.
            (Ok(_), None) => {}
        }
    }

    /// A client of plain HTTP gets the reason. Over TLS it would need a handshake first, for which there is no room.
    fn turn_away(&self, stream: TcpStream, refused: Refused) {
        self.shared.metrics.refused(refused.label());
        if self.shared.tls.is_some() {
            return;
        }
        let Ok(telling) = Arc::clone(&self.telling).try_acquire_owned() else {
            return;
        };
        self.tasks.spawn(async move {
            let _telling = telling;
            Refusal::Connections.send(stream).await
        });
    }
}

/// A connection's place in the table, given up whenever the connection ends.
struct TableEntry {
    id: u64,
    table: SharedTable,
    metrics: PortMetrics,
}

impl Drop for TableEntry {
    fn drop(&mut self) {
        self.table.lock().ended(self.id);
        self.metrics.ended();
    }
}
