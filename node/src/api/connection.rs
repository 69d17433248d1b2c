//! What a request's connection is known for. The server puts an [`Arc`] of it into the extensions of each request.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::http::Extensions;

use super::shown_keys::ShownKeys;
use crate::{budget::CutOff, tls::CertificateRole};

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
    proved: AtomicBool,
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
            proved: AtomicBool::new(false),
            keys: ShownKeys::default(),
            forwards: AtomicBool::new(false),
        }
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

    /// Whether the other side is on this machine.
    pub fn is_local(&self) -> bool {
        self.peer.ip().to_canonical().is_loopback()
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
