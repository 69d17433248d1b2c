//! `GET /metrics`: public; names of entries are never in it.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::{
    api::{Node, error::ApiError, openapi::Refusal, routes::cluster::other_nodes},
    crypto::KeyRing,
    metrics::Readings,
};

/// Metrics in Prometheus' text format
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics_metrics_get", tag = "service",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"),
              (status = 500, body = Refusal, description = "The fault is the node's")),
)]
pub(in crate::api) async fn metrics(State(node): State<Node>) -> Result<Response, ApiError> {
    node.store.sample().await?;
    let view = node.store.view();
    let page = node
        .metrics
        .page(Readings {
            entries: node.store.live_entries(),
            cached_keys: node.keys().map_or(0, KeyRing::cached_keys),
            other_nodes: other_nodes(&view),
            view: &view,
            memory: &node.budgets.in_use(),
            dropped_log_lines: node.log.dropped_lines(),
        })
        .map_err(|error| ApiError::Internal(error.into()))?;
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=1.0.0; charset=utf-8",
        )],
        page,
    )
        .into_response())
}
