//! Who is calling: proofs that a handler asks for in its signature.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::Instant,
};

use axum::{extract::FromRequestParts, http::request::Parts};
use axum_server::tls::TlsInfo;

use super::{Node, NodeState, charge::Charge, client_address::client_address, error::ApiError};
use crate::{
    crypto::{Derivation, UserKey},
    domain::Timestamp,
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
pub(super) struct Caller<'n> {
    pub(super) derivation: Derivation,
    address: IpAddr,
    /// Its failure, where it was counted in advance.
    charge: Option<Charge<'n>>,
}

impl CallerKey {
    /// Whether the data key is at hand.
    pub(super) fn is_cached(&self, node: &NodeState) -> bool {
        node.keys().is_ok_and(|keys| keys.is_cached(&self.user_key))
    }

    /// Derives the data key. A key that opened something older than itself lately is always accepted; others wait their
    /// turn, and an address with too many wrong ones waits longer.
    pub(super) async fn derive<'n>(&self, node: &'n NodeState) -> Result<Caller<'n>, ApiError> {
        let keys = node.keys()?;
        let (derivation, charge) = if let Some(derivation) = keys.cached(&self.user_key) {
            let charge = match derivation.cached() {
                // One's own create proves nothing. Requests with the same key at the same time are one guess.
                Some(cached) if !cached.has_opened() && !cached.pay() => {
                    let charge = node.charge(self.address);
                    let charge = charge.inspect_err(|_| cached.paid_no_more())?;
                    Some(charge.stands_for(cached))
                }
                _ => None,
            };
            (derivation, charge)
        } else {
            let admit = || node.charge(self.address);
            keys.derive(&self.user_key, (node.clock)(), admit).await?
        };
        Ok(Caller {
            derivation,
            address: self.address,
            charge,
        })
    }
}

impl Caller<'_> {
    /// The key is about to create something. Noted before it does: what it creates must not pass for older than the key.
    pub(super) fn creates(&self, node: &NodeState) {
        if let Ok(keys) = node.keys() {
            keys.remember(&self.derivation);
        }
    }

    /// The key opened something that came into being then.
    pub(super) fn opened(&self, node: &NodeState, created_at: Timestamp) {
        if let Ok(keys) = node.keys() {
            if self.derivation.is_older(created_at) {
                keys.opened(&self.derivation);
            } else {
                keys.remember(&self.derivation);
            }
        }
    }

    /// The key did not open what it should.
    pub(super) fn failed(&self, node: &NodeState) {
        node.metrics.auth_failed(AuthFailure::UserKey);
        // Also of a key that opened something else before: it is never refused itself, but who tries it on what is not
        // his gets no further guesses from it.
        match &self.charge {
            Some(charge) => charge.keep(),
            None => node.note_failure(self.address),
        }
    }

    /// What the key had of a list. Tells whether that was nothing although there was something.
    pub(super) fn listed(&self, node: &NodeState, seen: &Listed) -> bool {
        let Ok(keys) = node.keys() else {
            return false;
        };
        let derivation = &self.derivation;
        let nothing = seen.opened == 0;
        if seen.older {
            keys.opened(derivation);
        } else if seen.skipped > 0 {
            let counts = match derivation.cached() {
                Some(cached) if cached.has_opened() => nothing,
                None if nothing => true,
                // What it created itself says nothing. Once is enough: who has a new key may look often.
                _ => keys.listed_in_vain(derivation),
            };
            if counts {
                self.failed(node);
            }
        } else if !nothing {
            keys.remember(derivation);
        }
        nothing && seen.skipped > 0
    }
}

/// What a key had of a list.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// What it opened, and what not.
    pub(super) opened: usize,
    pub(super) skipped: usize,
    /// Whether something of it is older than the key.
    pub(super) older: bool,
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

    /// Counts a failure in advance, or refuses an address that has too many.
    fn charge(&self, address: IpAddr) -> Result<Charge<'_>, ApiError> {
        Charge::take(&self.failures, address).map_err(|retry_after| {
            self.metrics.throttled();
            ApiError::TooManyFailures { retry_after }
        })
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
