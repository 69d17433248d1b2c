//! Requests of nodes and our own programs prove themselves by what they sign: judged before a byte of the body is read.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    auth::origin_of,
    client_address::client_address,
    peer_body::{Length, receive},
};
use crate::{
    api::{Node, NodeState, answer::error::ApiError, connection::ConnectionMark, ports},
    budget::Reservation,
    cluster::EXCHANGE_PATH,
    crypto::BodyDigest,
    metrics::AuthFailure,
    peers::{
        ASK, CHALLENGE, MESSAGE_BYTES, PROOF, PeerProofs, Proven, Unproven, Unread, longest,
        reserve,
    },
};

/// Whether a request is signed, or asks for what to sign.
pub(in crate::api) fn is_signed(request: &Request) -> bool {
    request.headers().contains_key(PROOF)
}

/// Whether a request is judged here. What is not signed passes: the route decides what it takes.
pub(in crate::api) fn concerns(request: &Request) -> bool {
    is_signed(request) && ports::takes_proofs(request.uri().path())
}

/// Judges what is signed, and signs its answer.
pub(in crate::api) async fn judge(node: Node, request: Request, next: Next) -> Response {
    let proof = request.headers().get(PROOF).cloned();
    // A node without a cluster key has no such routes.
    let (Some(proof), Some(proofs)) = (proof, &node.peer_proofs) else {
        return next.run(request).await;
    };
    if proof == ASK {
        return with_challenge(proofs, ApiError::ProofWanted);
    }
    let connection = ConnectionMark::of(request.extensions()).cloned();
    let origin = origin_of(request.extensions(), request.headers(), &node);
    // Each proof that is judged is a guess at the cluster key. Who proved itself before is no guesser, whatever others do at its
    // address.
    if let Some(wait) = node.access_key_tries.wait(origin)
        && !connection
            .as_ref()
            .is_some_and(|connection| connection.has_signed(origin))
        && !proofs.follows_a_proof(&proof)
    {
        node.metrics.auth_failed(AuthFailure::ClusterKey);
        return node.throttled(wait).into_response();
    }
    let path = request.uri().path_and_query();
    let path = path.map_or("", |path| path.as_str());
    // The only route on which a node calls itself, to find itself.
    let may_be_own = path == EXCHANGE_PATH;
    match proofs.judge(&proof, request.method().as_str(), path, may_be_own) {
        Ok(proven) => {
            if let Some(connection) = connection {
                connection.sign();
            }
            // The room is kept until the answer is made.
            let answer = match take_body(&node, request, &proven).await {
                Ok((mut request, room)) => {
                    if let Some(room) = &room {
                        request.extensions_mut().insert(Arc::clone(room));
                    }
                    next.run(request).await
                }
                Err(error) => error.into_response(),
            };
            signed(proofs, &proven, answer).await
        }
        Err(Unproven::Stale) => with_challenge(proofs, ApiError::ProofWanted),
        Err(Unproven::Unreadable | Unproven::OwnWord) => ApiError::UnreadableProof.into_response(),
        Err(Unproven::OtherKey) => refuse(&node, request, &proof).into_response(),
    }
}

/// Refuses what is signed with another key, which counts as one that is wrong.
fn refuse(node: &NodeState, request: Request, proof: &HeaderValue) -> ApiError {
    let (parts, _) = request.into_parts();
    let refusal = (AuthFailure::ClusterKey, ApiError::InvalidClusterKey);
    let accepted = node.cluster_keys.as_ref();
    let judged = accepted.map(|keys| node.prove(&parts, proof.as_bytes(), keys, refusal));
    match judged {
        Some(Err(refusal)) => refusal,
        _ => ApiError::InvalidClusterKey,
    }
}

/// Reads the body that was signed, and puts it back with the proof beside it.
async fn take_body(
    node: &NodeState,
    request: Request,
    proven: &Proven,
) -> Result<(Request, Option<Arc<Reservation>>), ApiError> {
    let (mut parts, body) = request.into_parts();
    let limit = longest(&node.budgets.peers);
    let length = usize::try_from(proven.body.length)
        .ok()
        .filter(|length| *length <= limit)
        .ok_or(ApiError::BodyTooLarge { limit })?;
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    if announced.is_some_and(|announced| announced.as_bytes() != length.to_string().as_bytes()) {
        return Err(ApiError::UnreadableProof);
    }
    let address = client_address(&parts.extensions, &parts.headers, &node.trusted_proxies);
    let length = Length {
        limit: length,
        announced: Some(length),
    };
    let (bytes, room) = arrived(node, address, body, length, Some(proven)).await?;
    parts.extensions.insert(proven.clone());
    Ok((Request::from_parts(parts, Body::from(bytes)), room))
}

/// The body of a message between nodes, and the room that it takes until this and its clones are dropped.
pub(in crate::api) struct PeerBody {
    pub(in crate::api) bytes: bytes::Bytes,
    pub(in crate::api) room: Option<Arc<Reservation>>,
}

/// Reads the body of a message between nodes, whose sender proved itself.
pub(in crate::api) async fn body(node: &NodeState, request: Request) -> Result<PeerBody, ApiError> {
    let (parts, body) = request.into_parts();
    let limit = longest(&node.budgets.peers);
    if parts.extensions.get::<Proven>().is_some() {
        // It is read already, into this room.
        let room = parts.extensions.get::<Arc<Reservation>>().cloned();
        let bytes = to_bytes(body, limit).await;
        let bytes = bytes.map_err(|_| ApiError::UnreadableBody)?;
        return Ok(PeerBody { bytes, room });
    }
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced| announced > limit) {
        return Err(ApiError::BodyTooLarge { limit });
    }
    let address = client_address(&parts.extensions, &parts.headers, &node.trusted_proxies);
    let length = Length { limit, announced };
    let (bytes, room) = arrived(node, address, body, length, None).await?;
    Ok(PeerBody { bytes, room })
}

/// Reads a message, and takes the room of what will be read of it.
async fn arrived(
    node: &NodeState,
    address: IpAddr,
    body: Body,
    length: Length,
    proven: Option<&Proven>,
) -> Result<(bytes::Bytes, Option<Arc<Reservation>>), ApiError> {
    let pools = &node.budgets.peers;
    let (bytes, mut room) = receive(&node.timeouts, pools, address, body, length).await?;
    if proven.is_some_and(|proven| BodyDigest::of(&bytes) != proven.body) {
        return Err(ApiError::UnreadableProof);
    }
    if let Some(room) = &mut room {
        reserve(&bytes, pools, Some(address), room)?;
    }
    Ok((bytes, room.map(Arc::new)))
}

impl From<Unread> for ApiError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge { limit } => Self::BodyTooLarge { limit },
            Unread::NoRoom(_) => Self::PeersBusy,
        }
    }
}

/// An answer that is whole in memory, as all answers of these routes are, with its proof.
async fn signed(proofs: &PeerProofs, request: &Proven, answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, MESSAGE_BYTES).await else {
        return ApiError::BodyTooLarge {
            limit: MESSAGE_BYTES,
        }
        .into_response();
    };
    if let Some(proof) = proofs.sign(request, parts.status.as_u16(), &bytes) {
        parts.headers.insert(PROOF, proof);
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn with_challenge(proofs: &PeerProofs, refusal: ApiError) -> Response {
    let mut answer = refusal.into_response();
    if let Some(challenge) = proofs.challenge() {
        answer.headers_mut().insert(CHALLENGE, challenge);
    }
    answer
}
