//! `GET /metrics`: public; names of entries are never in it.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::api::{Node, error::ApiError};

/// The page in Prometheus' text format.
pub(in crate::api) async fn metrics(State(node): State<Node>) -> Result<Response, ApiError> {
    let page = node
        .metrics
        .page(node.store.live_entries())
        .map_err(|error| ApiError::Internal(error.into()))?;
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        page,
    )
        .into_response())
}
