//! What nodes of one cluster tell each other: one route, one message, one answer.

use axum::{
    Json,
    extract::{Request, State},
};

use crate::{
    api::{Node, auth::Owner, body, error::ApiError},
    cluster::{self, Envelope},
};

/// Where messages go.
pub(in crate::api) const PATH: &str = crate::peers::EXCHANGE_PATH;
/// The largest message: a row at the size limit in base64, and then some.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// Takes another node's message. No part of the public document: clients have no business here.
pub(in crate::api) async fn exchange(
    State(node): State<Node>,
    _: Owner,
    request: Request,
) -> Result<Json<Envelope<cluster::Answer>>, ApiError> {
    if !node.clustered {
        return Err(ApiError::UnknownRoute);
    }
    let bytes = body::read_up_to(MAX_BYTES, request.into_body(), &node).await?;
    let message: Envelope<cluster::Request> =
        serde_json::from_slice(&bytes).map_err(|_| ApiError::UnreadableBody)?;
    Ok(Json(node.store.request(Box::new(message)).await?))
}
