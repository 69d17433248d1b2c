//! What a request's connection is known for. The server puts an [`Arc`] of it into the extensions of each request.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::http::Extensions;

use crate::{access::ShownKeys, budget::CutOff, domain::Origin, tls::CertificateRole};

/// A certificate that a client showed, and that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownCertificate {
    /// On a port for clients: one of the authorities there signed it.
    Accepted,
    /// On the port for nodes: it is one of this cluster.
    OfCluster(CertificateRole),
}

/// One connection of a client, shared by its requests.
#[derive(Debug)]
pub struct ConnectionMark {
    /// Where the other side is: the client or a proxy.
    pub peer: SocketAddr,
    /// A number that no other connection of this node has.
    pub id: u64,
    /// Ends the connection where an answer is taken too slowly.
    pub cut_off: CutOff,
    certificate: OnceLock<ShownCertificate>,
    /// Where on this machine it arrived.
    here: Option<IpAddr>,
    proved: AtomicBool,
    signed: AtomicBool,
    /// Which keys its requests showed.
    pub(super) keys: ShownKeys,
    /// Whether it was looked at as one that forwards for others.
    pub(super) forwards: AtomicBool,
}

impl ConnectionMark {
    /// A connection that has not proved a key yet.
    pub fn new(peer: SocketAddr, id: u64) -> Self {
        Self {
            peer,
            id,
            cut_off: CutOff::default(),
            certificate: OnceLock::new(),
            here: None,
            proved: AtomicBool::new(false),
            signed: AtomicBool::new(false),
            keys: ShownKeys::default(),
            forwards: AtomicBool::new(false),
        }
    }

    /// The same, with the address of this machine at which it arrived.
    #[must_use]
    pub fn arrived_at(self, here: Option<IpAddr>) -> Self {
        Self { here, ..self }
    }

    /// A request on this connection was signed with the cluster key.
    pub(super) fn sign(&self) {
        self.signed.store(true, Ordering::Relaxed);
    }

    /// Whether a request of this very origin was signed with the cluster key: others may come on the connection of a proxy.
    pub(super) fn has_signed(&self, origin: Origin) -> bool {
        self.signed.load(Ordering::Relaxed) && Origin::from(self.peer.ip()) == origin
    }

    /// A request on this connection had an accepted API or cluster key, or a user key that opened something. Where
    /// connections become scarce, those without such a request are closed first.
    pub fn prove(&self) {
        // Read first: all requests of a connection share it, and most of them come after the proof.
        if !self.has_proved() {
            self.proved.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a request on this connection had an accepted key.
    pub fn has_proved(&self) -> bool {
        self.proved.load(Ordering::Relaxed)
    }

    /// The client showed a TLS certificate that was accepted. Said once, before the first request.
    pub fn certify(&self, shown: ShownCertificate) {
        let _ = self.certificate.set(shown);
    }

    /// The certificate that the client showed; `None` where it showed none.
    pub fn certificate(&self) -> Option<ShownCertificate> {
        self.certificate.get().copied()
    }

    /// Whether the other side is on this machine: it comes from loopback, or from the very address at which it arrived.
    pub fn is_local(&self) -> bool {
        let peer = self.peer.ip().to_canonical();
        peer.is_loopback() || self.here.is_some_and(|here| here.to_canonical() == peer)
    }

    /// The connection of a request; `None` where a test calls the router without one.
    pub(super) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get()
    }

    /// Marks the connection of a request as one that proved a key.
    pub(super) fn prove_for(extensions: &Extensions) {
        if let Some(mark) = Self::of(extensions) {
            mark.prove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(peer: &str, here: Option<&str>) -> ConnectionMark {
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        ConnectionMark::new(peer, 1).arrived_at(here.map(|here| here.parse().unwrap()))
    }

    #[test]
    fn who_comes_from_loopback_or_from_the_address_where_it_arrives_is_on_this_machine() {
        for (peer, here, is_local) in [
            ("127.0.0.1", Some("127.0.0.1"), true),
            ("::ffff:127.0.0.2", None, true),
            ("::1", Some("::1"), true),
            ("192.0.2.1", Some("192.0.2.1"), true),
            ("::ffff:192.0.2.1", Some("192.0.2.1"), true),
            ("192.0.2.2", Some("192.0.2.1"), false),
            ("192.0.2.1", Some("127.0.0.1"), false),
            ("192.0.2.1", None, false),
        ] {
            let found = connection(peer, here).is_local();
            assert_eq!(found, is_local, "{peer} at {here:?}");
        }
    }

    #[test]
    fn what_was_signed_on_a_connection_counts_for_its_own_address_alone() {
        let connection = connection("192.0.2.1", None);
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        assert!(!connection.has_signed(origin("192.0.2.1")));
        connection.sign();
        assert!(connection.has_signed(origin("192.0.2.1")));
        assert!(
            !connection.has_signed(origin("192.0.2.2")),
            "through a proxy"
        );
    }
}
