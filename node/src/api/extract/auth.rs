//! Who is calling: proofs that a handler asks for in its signature. The user key is in `caller.rs`.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, request::Parts},
};
use opensecureconf_contract::key_header;

pub(in crate::api) use super::caller::{Caller, CallerKey, Listed};
use super::client_address::client_address;
use crate::{
    access::{AccessKeys, Shown},
    api::{
        Node, NodeState,
        answer::error::ApiError,
        connection::{ConnectionMark, ShownCertificate},
    },
    domain::{KeyNumber, Origin, Principal},
    metrics::AuthFailure,
    peers::Proven,
    tls::CertificateRole,
};

/// Proof that the caller may use the client routes: it showed an API key, or none is required.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Client(pub(in crate::api) Principal);

impl FromRequestParts<Node> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let Some(accepted) = &node.api_keys else {
            return Ok(Self(Principal::Anonymous));
        };
        match parts.headers.get(key_header::API_KEY) {
            None => Err(ApiError::MissingApiKey),
            Some(key) if key.is_empty() => Err(ApiError::MissingApiKey),
            Some(key) => {
                let refusal = (AuthFailure::ApiKey, ApiError::InvalidApiKey);
                let number = node.prove(parts, key.as_bytes(), accepted, refusal)?;
                Ok(Self(Principal::ApiKey(number)))
            }
        }
    }
}

/// Proof that the caller runs this cluster: it showed the cluster key, or signed with it. On the port for nodes it also is
/// the operator by its certificate, or a node's on this machine.
#[derive(Debug)]
pub(in crate::api) struct Owner;

impl FromRequestParts<Node> for Owner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let connection = ConnectionMark::of(&parts.extensions);
        let role = cluster_role(connection.map(Arc::as_ref));
        let is_local = connection.is_some_and(|connection| connection.is_local());
        if role == Some(CertificateRole::Node) && !is_local {
            return Err(ApiError::OrderOfNode);
        }
        shows_cluster_key(parts, node)?;
        Ok(Self)
    }
}

/// Proof that the caller is a node of this cluster, or a program beside one: it signed the request, or where that is still
/// accepted it showed the cluster key. On the port for nodes it is one by its certificate too.
#[derive(Debug)]
pub(in crate::api) struct Peer;

impl FromRequestParts<Node> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let connection = ConnectionMark::of(&parts.extensions);
        if cluster_role(connection.map(Arc::as_ref)) == Some(CertificateRole::Operator) {
            return Err(ApiError::MessageOfOperator);
        }
        shows_cluster_key(parts, node)?;
        if node.peer_proof.required && parts.extensions.get::<Proven>().is_none() {
            return Err(ApiError::ProofRequired);
        }
        Ok(Self)
    }
}

/// Proof that the caller may look at the cluster's status: it is a client, or on the port for nodes shows the cluster key.
#[derive(Debug)]
pub(in crate::api) struct StatusReader;

impl FromRequestParts<Node> for StatusReader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let connection = ConnectionMark::of(&parts.extensions);
        let of_cluster = cluster_role(connection.map(Arc::as_ref)).is_some();
        let signed = parts.extensions.get::<Proven>().is_some();
        if signed || (of_cluster && parts.headers.contains_key(key_header::CLUSTER_KEY)) {
            shows_cluster_key(parts, node)?;
        } else {
            Client::from_request_parts(parts, node).await?;
        }
        Ok(Self)
    }
}

/// What the certificate shows of a caller on the port for nodes; `None` on every other port.
fn cluster_role(connection: Option<&ConnectionMark>) -> Option<CertificateRole> {
    match connection?.certificate()? {
        ShownCertificate::OfCluster(role) => Some(role),
        ShownCertificate::Accepted => None,
    }
}

/// Whether the caller has the cluster key, and a certificate where one is demanded.
fn shows_cluster_key(parts: &Parts, node: &NodeState) -> Result<(), ApiError> {
    // A node without a cluster key has no such routes.
    let accepted = node.cluster_keys.as_ref().ok_or(ApiError::UnknownRoute)?;
    let shown =
        ConnectionMark::of(&parts.extensions).and_then(|connection| connection.certificate());
    if node.owners_need_certificates && shown.is_none() {
        return Err(ApiError::MissingClientCertificate);
    }
    // It signed the request, which says more.
    if parts.extensions.get::<Proven>().is_some() {
        ConnectionMark::prove_for(&parts.extensions);
        return Ok(());
    }
    match parts.headers.get(key_header::CLUSTER_KEY) {
        None => Err(ApiError::MissingClusterKey),
        Some(key) if key.is_empty() => Err(ApiError::MissingClusterKey),
        Some(key) => {
            let refusal = (AuthFailure::ClusterKey, ApiError::InvalidClusterKey);
            node.prove(parts, key.as_bytes(), accepted, refusal)?;
            Ok(())
        }
    }
}

/// Where a request comes from, through the proxies that are trusted.
pub(in crate::api) fn origin_of(
    extensions: &Extensions,
    headers: &HeaderMap,
    node: &NodeState,
) -> Origin {
    client_address(extensions, headers, &node.trusted_proxies).into()
}

impl NodeState {
    /// Accepts a key that a request showed and says which one it is, or why not. An address with too many wrong ones must wait instead.
    pub(in crate::api) fn prove(
        &self,
        parts: &Parts,
        key: &[u8],
        accepted: &AccessKeys,
        (kind, refusal): (AuthFailure, ApiError),
    ) -> Result<KeyNumber, ApiError> {
        let connection = ConnectionMark::of(&parts.extensions);
        let origin = origin_of(&parts.extensions, &parts.headers, self);
        let tries = &self.access_key_tries;
        match tries.judge(
            key,
            accepted,
            origin,
            connection.map(|connection| &connection.keys),
        ) {
            Shown::Accepted(number) => {
                ConnectionMark::prove_for(&parts.extensions);
                Ok(number)
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
    pub(in crate::api) fn throttled(&self, retry_after: Duration) -> ApiError {
        self.metrics.throttled();
        ApiError::TooManyFailures { retry_after }
    }
}
