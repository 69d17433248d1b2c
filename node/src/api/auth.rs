//! Who is calling: proofs that a handler asks for in its signature.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::Instant,
};

use axum::{extract::FromRequestParts, http::request::Parts};
use axum_server::tls::TlsInfo;

use super::{Node, NodeState, client_address::client_address, error::ApiError};
use crate::{
    crypto::{Derivation, UserKey},
    metrics::AuthFailure,
};

/// Proof that the caller may use the client routes: it showed an API key, or none is required.
#[derive(Debug)]
pub(super) struct Client;

impl FromRequestParts<Node> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let Some(accepted) = &node.api_keys else {
            return Ok(Self);
        };
        match parts.headers.get("x-api-key") {
            None => Err(ApiError::MissingApiKey),
            Some(key) if key.is_empty() => Err(ApiError::MissingApiKey),
            Some(key) if accepted.accept(key.as_bytes()) => Ok(Self),
            Some(_) => {
                let address = address_of(parts, node);
                Err(node.refuse_key(address, AuthFailure::ApiKey, ApiError::InvalidApiKey))
            }
        }
    }
}

fn address_of(parts: &Parts, node: &NodeState) -> IpAddr {
    client_address(&parts.extensions, &parts.headers, &node.trusted_proxies)
}

/// Proof that the caller is a node of this cluster, or somebody who runs it: it showed the cluster key.
#[derive(Debug)]
pub(super) struct Owner;

impl FromRequestParts<Node> for Owner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        // A node without a cluster key has no such routes.
        let accepted = node.cluster_keys.as_ref().ok_or(ApiError::UnknownRoute)?;
        let shows_certificate = parts
            .extensions
            .get::<Arc<TlsInfo>>()
            .is_some_and(|tls| !tls.peer_certificates.is_empty());
        if node.owners_need_certificates && !shows_certificate {
            return Err(ApiError::MissingClientCertificate);
        }
        match parts.headers.get("x-cluster-key") {
            None => Err(ApiError::MissingClusterKey),
            Some(key) if key.is_empty() => Err(ApiError::MissingClusterKey),
            Some(key) if accepted.accept(key.as_bytes()) => Ok(Self),
            Some(_) => {
                let address = address_of(parts, node);
                Err(node.refuse_key(
                    address,
                    AuthFailure::ClusterKey,
                    ApiError::InvalidClusterKey,
                ))
            }
        }
    }
}

/// The passphrase of the caller's entries, and where the caller is.
#[derive(Debug)]
pub(super) struct CallerKey {
    user_key: UserKey,
    address: IpAddr,
}

impl FromRequestParts<Node> for CallerKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let header = parts
            .headers
            .get("x-user-key")
            .ok_or_else(|| ApiError::MissingUserKey {
                times: if parts.uri.path().starts_with("/cluster/") {
                    1
                } else {
                    2
                },
            })?;
        let user_key = UserKey::from_header(header.as_bytes());
        if user_key.characters() < node.min_user_key_length {
            return Err(ApiError::ShortUserKey {
                minimum: node.min_user_key_length,
            });
        }
        if !user_key.is_ascii() {
            node.warn_of_unusual_user_key();
        }
        node.serves_entries()?;
        Ok(Self {
            user_key,
            address: address_of(parts, node),
        })
    }
}

/// The caller's data key, until it has proved itself.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) derivation: Derivation,
    address: IpAddr,
}

impl CallerKey {
    /// Whether the data key is at hand.
    pub(super) fn is_cached(&self, node: &NodeState) -> bool {
        node.keys().is_ok_and(|keys| keys.is_cached(&self.user_key))
    }

    /// Derives the data key. A key that proved itself lately is always accepted; others wait their turn, and an
    /// address with too many wrong ones waits longer.
    pub(super) async fn derive(&self, node: &NodeState) -> Result<Caller, ApiError> {
        let keys = node.keys()?;
        let derivation = if let Some(derivation) = keys.cached(&self.user_key) {
            derivation
        } else {
            node.may_try_keys(self.address)?;
            keys.derive(&self.user_key).await?
        };
        Ok(Caller {
            derivation,
            address: self.address,
        })
    }
}

impl Caller {
    /// The key opened or created something.
    pub(super) fn proved(&self, node: &NodeState) {
        if let Ok(keys) = node.keys() {
            keys.remember(&self.derivation);
        }
    }

    /// The key did not open what it should.
    pub(super) fn failed(&self, node: &NodeState) {
        node.metrics.auth_failed(AuthFailure::UserKey);
        // Also of a key that opened something else before: it is never refused itself, but who tries it on what is not
        // his gets no further guesses from it.
        node.note_failure(self.address);
    }
}

impl NodeState {
    fn may_try_keys(&self, address: IpAddr) -> Result<(), ApiError> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.wait(address, Instant::now()) {
            None => Ok(()),
            Some(wait) => {
                self.metrics.throttled();
                Err(ApiError::TooManyFailures { retry_after: wait })
            }
        }
    }

    fn note_failure(&self, address: IpAddr) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .failed(address, Instant::now());
    }

    /// Counts a wrong access key; an address with too many is told to wait instead of why it is refused.
    fn refuse_key(&self, address: IpAddr, kind: AuthFailure, refusal: ApiError) -> ApiError {
        self.metrics.auth_failed(kind);
        if let Err(throttled) = self.may_try_keys(address) {
            return throttled;
        }
        self.note_failure(address);
        refusal
    }

    fn warn_of_unusual_user_key(&self) {
        use std::sync::atomic::Ordering;
        if !self.unusual_user_key_seen.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                advice =
                    "clients must send the same bytes every time: the header is read as Latin-1",
                "user_key_outside_ascii"
            );
        }
    }
}
