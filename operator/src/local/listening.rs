//! The ports of the nodes of a local cluster.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, bail};

/// Ports of one node with TLS: ten, of which it uses five.
const WITH_TLS: u16 = 10;

/// The addresses of one node, on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listening {
    /// Plain HTTP for clients; the only port where there are no others.
    pub(super) http: u16,
    /// The other ports.
    pub(super) tls: Option<TlsPorts>,
}

/// The ports of a node with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TlsPorts {
    /// For other nodes, and for orders.
    pub(super) peers: u16,
    /// Metrics.
    pub(super) metrics: u16,
    /// Probes.
    pub(super) health: u16,
    /// HTTPS for clients.
    pub(super) https: u16,
}

impl Listening {
    /// Where other nodes and this program find it.
    pub(super) fn peers(&self) -> String {
        address(self.tls.map_or(self.http, |tls| tls.peers))
    }

    /// Where the node reports over plain HTTP whether it is ready.
    pub(super) fn health(&self) -> String {
        address(self.tls.map_or(self.http, |tls| tls.health))
    }

    fn ports(&self) -> Vec<u16> {
        let others = self
            .tls
            .map(|tls| [tls.peers, tls.metrics, tls.health, tls.https]);
        std::iter::once(self.http)
            .chain(others.into_iter().flatten())
            .collect()
    }
}

/// A port of this machine.
pub(super) fn address(port: u16) -> String {
    format!("{}:{port}", Ipv4Addr::LOCALHOST)
}

/// The ports of so many nodes, all of which are free.
pub(super) fn choose(first: u16, count: i32, tls: bool) -> anyhow::Result<Vec<Listening>> {
    let nodes = assign(first, count, tls)?;
    for port in nodes.iter().flat_map(Listening::ports) {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            let last = nodes.iter().flat_map(Listening::ports).max();
            format!(
                "port {port} is in use; choose free ones with --port (these nodes take {first} to {})",
                last.unwrap_or(port)
            )
        })?;
    }
    Ok(nodes)
}

fn assign(first: u16, count: i32, tls: bool) -> anyhow::Result<Vec<Listening>> {
    let step = if tls { WITH_TLS } else { 1 };
    let count = u16::try_from(count).unwrap_or_default();
    if count
        .checked_mul(step)
        .and_then(|all| first.checked_add(all))
        .is_none()
    {
        bail!("--port {first} leaves no room for {count} nodes");
    }
    let node = |ordinal: u16| {
        let http = first + ordinal * step;
        Listening {
            http,
            tls: tls.then(|| TlsPorts {
                peers: http + 1,
                metrics: http + 2,
                health: http + 3,
                https: http + 4,
            }),
        }
    };
    Ok((0..count).map(node).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_take_ports_in_a_row_and_with_tls_tens() {
        let plain = assign(9000, 3, false).unwrap();
        assert_eq!(plain[2].ports(), [9002]);
        assert_eq!(plain[2].peers(), "127.0.0.1:9002");
        let tls = assign(9000, 3, true).unwrap();
        assert_eq!(tls[0].ports(), [9000, 9001, 9002, 9003, 9004]);
        assert_eq!(tls[2].ports(), [9020, 9021, 9022, 9023, 9024]);
        assert_eq!(
            (tls[1].peers().as_str(), tls[1].health().as_str()),
            ("127.0.0.1:9011", "127.0.0.1:9013")
        );
        assert!(assign(65530, 3, true).is_err());
    }
}
