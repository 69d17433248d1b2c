//! What nodes of one cluster tell each other: one route, one message, one answer.

use axum::{
    Json,
    extract::{Request, State},
};

use crate::{
    api::{
        Node,
        answer::error::ApiError,
        extract::{auth::Peer, peer_proof},
    },
    cluster::{self, EXCHANGE_PATH, Envelope},
    config::PeerAddress,
};

/// Where messages go.
pub(in crate::api) const PATH: &str = EXCHANGE_PATH;

/// Takes another node's message. No part of the public document: clients have no business here.
pub(in crate::api) async fn exchange(
    State(node): State<Node>,
    _: Peer,
    request: Request,
) -> Result<Json<Envelope<cluster::Answer>>, ApiError> {
    if !node.clustered {
        return Err(ApiError::UnknownRoute);
    }
    let message = peer_proof::body(&node, request).await?;
    let mut message: Envelope<cluster::Request> =
        serde_json::from_slice(&message.bytes).map_err(|_| ApiError::UnreadableBody)?;
    // It is dialled: only what is an address and nothing else may get that far.
    let address = message.hello.address.take();
    message.hello.address =
        address.filter(|address| PeerAddress::parse(address.as_str()).is_some());
    Ok(Json(node.store.request(Box::new(message)).await?))
}
