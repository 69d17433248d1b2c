//! TLS, with certificates that may change while the node runs.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{api::ShownCertificate, tls::CertificateRole};

/// Who comes to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guests {
    /// Clients, which need no certificate.
    Clients,
    /// Nodes and the operator, which show theirs.
    Nodes,
}

/// The certificates of a port. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct LiveTls {
    guests: Guests,
    in_force: Arc<RwLock<InForce>>,
    /// When a refusal was last told of.
    told: Arc<Mutex<Option<Instant>>>,
}

/// How often a refused certificate is told of: a node that has a wrong one tries for ever.
const TELL_EVERY: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
struct InForce {
    config: Arc<ServerConfig>,
    /// Cancelled when others are in force.
    replaced: CancellationToken,
}

/// A client with which TLS is spoken.
pub(super) struct Shaken<T> {
    pub(super) stream: TlsStream<T>,
    /// What the client showed. Rustls has checked it.
    pub(super) shown: Option<ShownCertificate>,
    /// Cancelled when the client must show its certificate again.
    pub(super) outdated: CancellationToken,
}

impl LiveTls {
    /// These certificates.
    pub(crate) fn new(config: ServerConfig, guests: Guests) -> Self {
        Self {
            guests,
            in_force: Arc::new(RwLock::new(InForce::new(config))),
            told: Arc::default(),
        }
    }

    /// Whether a handshake that failed is something that a person must hear of.
    pub(super) fn tells_of_refusals(&self) -> bool {
        if self.guests == Guests::Clients {
            return false;
        }
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|at| now.duration_since(at) >= TELL_EVERY);
        if due {
            *told = Some(now);
        }
        due
    }

    /// Other ones, for connections that come from now on. What nodes showed is judged again: their earlier connections end
    /// in good order.
    pub(crate) fn replace(&self, config: ServerConfig) {
        let mut in_force = self
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let earlier = std::mem::replace(&mut *in_force, InForce::new(config));
        if self.guests == Guests::Nodes {
            earlier.replaced.cancel();
        }
    }

    /// Speaks TLS with a client that has just connected.
    pub(super) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: T,
    ) -> io::Result<Shaken<T>> {
        let InForce { config, replaced } = self
            .in_force
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let shown = certificates.and_then(<[_]>::first).map(|certificate| {
            match (self.guests, CertificateRole::of(certificate)) {
                (Guests::Clients, _) => ShownCertificate::Accepted,
                (Guests::Nodes, role) => ShownCertificate::OfCluster(role),
            }
        });
        Ok(Shaken {
            stream,
            shown,
            outdated: replaced,
        })
    }
}

impl InForce {
    fn new(config: ServerConfig) -> Self {
        Self {
            config: Arc::new(config),
            replaced: CancellationToken::new(),
        }
    }
}
