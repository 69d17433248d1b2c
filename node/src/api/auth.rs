//! Who is calling: proofs that a handler asks for in its signature. The user key is in `caller.rs`.

use std::{sync::Arc, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};

pub(super) use super::caller::{Caller, CallerKey, Listed};
use super::{
    Node, NodeState, client_address::client_address, connection::ConnectionMark, error::ApiError,
    tries::Shown,
};
use crate::{config::AccessKeys, crypto::Origin, metrics::AuthFailure, peers::Proven};

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
            Some(key) => {
                let refusal = (AuthFailure::ApiKey, ApiError::InvalidApiKey);
                node.prove(parts, key.as_bytes(), accepted, refusal)?;
                Ok(Self)
            }
        }
    }
}

/// Proof that the caller is a node of this cluster, or somebody who runs it: it showed the cluster key.
#[derive(Debug)]
pub(super) struct Owner;

impl FromRequestParts<Node> for Owner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        // A node without a cluster key has no such routes.
        let accepted = node.cluster_keys.as_ref().ok_or(ApiError::UnknownRoute)?;
        let shows_certificate = ConnectionMark::of(&parts.extensions)
            .is_some_and(|connection| connection.is_certified());
        if node.owners_need_certificates && !shows_certificate {
            return Err(ApiError::MissingClientCertificate);
        }
        // It signed the request, which says more.
        if parts.extensions.get::<Proven>().is_some() {
            ConnectionMark::prove_for(&parts.extensions);
            return Ok(Self);
        }
        match parts.headers.get("x-cluster-key") {
            None => Err(ApiError::MissingClusterKey),
            Some(key) if key.is_empty() => Err(ApiError::MissingClusterKey),
            Some(key) => {
                let refusal = (AuthFailure::ClusterKey, ApiError::InvalidClusterKey);
                node.prove(parts, key.as_bytes(), accepted, refusal)?;
                Ok(Self)
            }
        }
    }
}

/// Proof that the caller is a node of this cluster, or a program beside one: it signed the request, or where that is still
/// accepted it showed the cluster key.
#[derive(Debug)]
pub(super) struct Peer;

impl FromRequestParts<Node> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let signed = parts.extensions.get::<Proven>().is_some();
        Owner::from_request_parts(parts, node).await?;
        if node.peer_proof.required && !signed {
            return Err(ApiError::ProofRequired);
        }
        Ok(Self)
    }
}

/// Where a request comes from, through the proxies that are trusted.
pub(super) fn origin_of(parts: &Parts, node: &NodeState) -> Origin {
    client_address(&parts.extensions, &parts.headers, &node.trusted_proxies).into()
}

impl NodeState {
    /// Accepts a key that a request showed, or says why not. An address with too many wrong ones is told to wait instead.
    pub(super) fn prove(
        &self,
        parts: &Parts,
        key: &[u8],
        accepted: &AccessKeys,
        (kind, refusal): (AuthFailure, ApiError),
    ) -> Result<(), ApiError> {
        let connection = ConnectionMark::of(&parts.extensions);
        let origin = origin_of(parts, self);
        let tries = &self.access_key_tries;
        match tries.judge(key, accepted, origin, connection.map(Arc::as_ref)) {
            Shown::Accepted => {
                ConnectionMark::prove_for(&parts.extensions);
                Ok(())
            }
            Shown::Wrong => {
                self.metrics.auth_failed(kind);
                Err(refusal)
            }
            Shown::TooMany(wait) => {
                self.metrics.auth_failed(kind);
                Err(self.throttled(wait))
            }
        }
    }

    /// The refusal of a caller whose address tried too many keys.
    pub(super) fn throttled(&self, retry_after: Duration) -> ApiError {
        self.metrics.throttled();
        ApiError::TooManyFailures { retry_after }
    }
}
