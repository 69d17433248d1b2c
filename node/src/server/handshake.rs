//! TLS, with certificates that may change while the node runs.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The certificates of a port. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct LiveTls(Arc<RwLock<Arc<ServerConfig>>>);

impl LiveTls {
    /// These certificates.
    pub(crate) fn new(config: ServerConfig) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// Other ones, for connections that come from now on.
    pub(crate) fn replace(&self, config: ServerConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Speaks TLS with a client that has just connected.
    pub(super) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: T,
    ) -> io::Result<TlsStream<T>> {
        let config = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Whether the client showed a certificate. Rustls has checked it, where it came.
pub(super) fn shows_certificate<T>(stream: &TlsStream<T>) -> bool {
    let certificates = stream.get_ref().1.peer_certificates();
    certificates.is_some_and(|certificates| !certificates.is_empty())
}
