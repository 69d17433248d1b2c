//! Whether the process lives, and whether it should get traffic. Public.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use crate::api::Node;

/// `GET /health`: the process answers. Never depends on peers or on the disk.
pub(in crate::api) async fn health() -> Json<Value> {
    Json(json!({ "status": "healthy" }))
}

/// `GET /ready`: 200 while this node can serve correct reads, else 503 with the reasons.
pub(in crate::api) async fn ready(State(node): State<Node>) -> (StatusCode, Json<Value>) {
    let mut reasons = node.reasons_against_traffic();
    if let Err(error) = node.store.probe().await {
        tracing::error!(error = %error, "database_not_readable");
        reasons.push("database not readable");
    }
    if reasons.is_empty() {
        return (StatusCode::OK, Json(json!({ "ready": true })));
    }
    let detail = format!("not ready: {}", reasons.join(", "));
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({ "ready": false, "reasons": reasons, "detail": detail })),
    )
}
