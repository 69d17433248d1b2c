//! The limits of connections, together and each.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use crate::config::Timeouts;

/// The largest head of a request, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;
/// The size up to which a head needs no room of its own.
pub(super) const SMALL_HEAD_BYTES: usize = 8 << 10;
/// The bytes that may come over TLS before any of them is readable and without room of their own: one record (RFC 8446,
/// section 5.2), and some messages of TLS itself.
pub(super) const MAX_SECRET_BYTES: usize = 24 << 10;
/// The same with room: a client's may be many small records; what rustls keeps ends at 64 KiB.
pub(super) const MAX_SECRETS_BYTES: usize = 256 << 10;
/// Bytes of an answer that wait in TLS for their client. A record that the socket accepted in part stays whole, so twice as
/// many at most.
pub(super) const TLS_SEND_BUFFER: usize = 4 << 10;
/// HTTP/2 requests of one connection at a time, where there is no setting for them.
const STREAMS: u32 = 32;
/// Bytes of bodies that one HTTP/2 connection may send before this node reads them. The protocol allows no less.
pub(super) const RECEIVE_WINDOW: u32 = 65_535;
/// Bytes of an answer that wait in an HTTP/2 stream for its client.
pub(super) const SEND_BUFFER: usize = 32 << 10;
/// Connections that are kept for addresses without another one.
const RESERVED: usize = 64;

/// Limits of the connections of one port.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionLimits {
    /// Connections at most.
    pub(crate) maximum: usize,
    /// The last connections, which only addresses without another one get.
    pub(crate) reserved: usize,
    /// Proxies, whose connections are those of many clients.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// HTTP/2 requests of one connection at a time.
    pub(crate) streams: u32,
    /// The largest rest of a refused request's body that is read.
    pub(crate) max_rest_bytes: u64,
    /// The time limits of clients.
    pub(crate) timeouts: Timeouts,
}

impl ConnectionLimits {
    /// The limits of the port for clients. Where probes have a port of their own, `reserves` is false.
    pub(crate) fn of_clients(
        (maximum, streams): (usize, u32),
        reserves: bool,
        max_body_bytes: usize,
        trusted_proxies: Vec<IpNet>,
        timeouts: Timeouts,
    ) -> Self {
        Self {
            maximum,
            reserved: if reserves {
                RESERVED.min(maximum / 4)
            } else {
                0
            },
            trusted_proxies,
            streams,
            max_rest_bytes: max_body_bytes as u64,
            timeouts,
        }
    }

    /// The limits of the port for other nodes: each of them has a few connections to every other one.
    pub(crate) fn of_nodes(max_body_bytes: usize, timeouts: Timeouts) -> Self {
        Self {
            maximum: 512,
            reserved: RESERVED,
            trusted_proxies: Vec::new(),
            streams: STREAMS,
            max_rest_bytes: max_body_bytes as u64,
            timeouts,
        }
    }

    /// The limits of a port that only few programs call, such as the one for metrics.
    pub(crate) fn of_few(timeouts: Timeouts) -> Self {
        Self {
            maximum: 64,
            reserved: 16,
            trusted_proxies: Vec::new(),
            streams: STREAMS,
            max_rest_bytes: SMALL_HEAD_BYTES as u64,
            timeouts,
        }
    }

    /// The number of connections from which on others are closed for new ones.
    pub(super) fn scarce_from(&self) -> usize {
        self.maximum / 4 * 3
    }

    /// How many connections one address may have; `None` for a trusted proxy.
    pub(super) fn share_of(&self, address: IpAddr) -> Option<usize> {
        let mut trusted = self.trusted_proxies.iter();
        let is_trusted = trusted.any(|network| network.contains(&address));
        (!is_trusted).then_some((self.maximum / 4).max(1))
    }
}

/// How long running requests may take after the node stopped listening.
pub(super) const FINISH: Duration = Duration::from_secs(30);
/// The time that a connection gets to end in good order: as long as an answer, and some more.
pub(super) fn last_answers(timeouts: &Timeouts) -> Duration {
    timeouts.list + Duration::from_secs(30)
}
/// The same for an idle connection.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);
/// The same of a connection that must make room.
pub(super) const EVICTION: Duration = Duration::from_secs(1);
