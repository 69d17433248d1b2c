//! TLS, with certificates that may change while the node runs.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    intake::{Intake, Plaintext},
    limits::TLS_SEND_BUFFER,
};
use crate::{
    api::ShownCertificate,
    tls::{CertificateRole, PortTls, end},
};

/// The certificates of a port. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct LiveTls {
    in_force: Arc<RwLock<InForce>>,
    /// When a refusal was last logged.
    told: Arc<Mutex<Option<Instant>>>,
}

/// How often a refused certificate is logged: a node with a wrong one tries for ever.
const TELL_EVERY: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
struct InForce {
    config: Arc<ServerConfig>,
    nodes: Option<Arc<dyn ClientCertVerifier>>,
    /// When the port's own certificate ends, where nodes judge it.
    leaf_ends: Option<i64>,
    /// Cancelled when other certificates are put in force.
    replaced: CancellationToken,
}

/// A client with which TLS is spoken.
pub(super) struct Shaken<T> {
    pub(super) stream: Plaintext<T>,
    /// The certificate that the client showed. Rustls has checked it.
    pub(super) shown: Option<ShownCertificate>,
    pub(super) standing: Standing,
}

/// The standing of a connection whose client showed a certificate, once other certificates are in force.
#[derive(Debug)]
pub(super) struct Standing {
    live: LiveTls,
    chain: Vec<CertificateDer<'static>>,
    /// When the first of both sides' certificates ends, in seconds since 1970; `None` where the client needs none.
    ends: Option<i64>,
    /// Cancelled when the client must show its certificate again.
    pub(super) outdated: CancellationToken,
}

impl Standing {
    /// Cancelled when certificates are exchanged once more.
    pub(super) fn outdated_again(&self) -> CancellationToken {
        self.live.now().replaced
    }

    /// Whether the certificates were accepted when the connection began, and are no longer: one of them has ended, or the
    /// client's authority is not accepted any more.
    pub(super) fn is_withdrawn(&self) -> bool {
        if self.ends.is_some_and(has_passed) {
            return true;
        }
        if !self.outdated.is_cancelled() {
            return false;
        }
        let (Some(nodes), Some((leaf, others))) = (self.live.now().nodes, self.chain.split_first())
        else {
            return false;
        };
        let judged = nodes.verify_client_cert(leaf, others, UnixTime::now());
        judged.is_err()
    }
}

impl LiveTls {
    /// Starts with these certificates in force.
    pub(crate) fn new(tls: impl Into<PortTls>) -> Self {
        Self {
            in_force: Arc::new(RwLock::new(InForce::new(tls.into()))),
            told: Arc::default(),
        }
    }

    /// Whether a failed handshake should be logged.
    pub(super) fn tells_of_refusals(&self) -> bool {
        if self.now().nodes.is_none() {
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

    fn now(&self) -> InForce {
        let in_force = self.in_force.read();
        in_force.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other certificates in force for new connections. Certificates that nodes showed are judged again: their earlier
    /// connections end gracefully, or at once and without another answer where the certificate is no longer accepted.
    pub(crate) fn replace(&self, tls: impl Into<PortTls>) {
        let new = InForce::new(tls.into());
        let mut in_force = self
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let earlier = std::mem::replace(&mut *in_force, new);
        // The earlier connections must see the new ones.
        drop(in_force);
        if earlier.nodes.is_some() {
            earlier.replaced.cancel();
        }
    }

    /// Speaks TLS with a client that has just connected.
    pub(super) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: Intake<T>,
    ) -> io::Result<Shaken<T>> {
        let InForce {
            config,
            nodes,
            leaf_ends,
            replaced,
        } = self.now();
        let stream = TlsAcceptor::from(config).accept_with(stream, |connection| {
            connection.set_buffer_limit(Some(TLS_SEND_BUFFER));
        });
        let stream = stream.await?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = certificates.first().map(|certificate| match nodes {
            None => ShownCertificate::Accepted,
            Some(_) => ShownCertificate::OfCluster(CertificateRole::of(certificate)),
        });
        let clients_end = nodes.as_ref().and(certificates.first()).and_then(end);
        let standing = Standing {
            live: self.clone(),
            // Certificates of clients are not judged again.
            chain: nodes.map_or_else(Vec::new, |_| certificates.to_vec()),
            ends: clients_end.into_iter().chain(leaf_ends).min(),
            outdated: replaced,
        };
        Ok(Shaken {
            stream: Plaintext::new(stream),
            shown,
            standing,
        })
    }
}

impl InForce {
    fn new(tls: PortTls) -> Self {
        let PortTls {
            config,
            nodes,
            leaf_ends,
        } = tls;
        Self {
            config: Arc::new(config),
            nodes,
            leaf_ends,
            replaced: CancellationToken::new(),
        }
    }
}

/// Whether a time is past, in seconds since 1970. A certificate is valid at the moment of its end.
fn has_passed(seconds: i64) -> bool {
    u64::try_from(seconds).is_ok_and(|seconds| UnixTime::now().as_secs() > seconds)
}
