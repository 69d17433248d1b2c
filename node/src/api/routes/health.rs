//! Whether the process lives, and whether it should get traffic. Public.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use crate::api::{
    Node,
    openapi::{Health, Readiness},
};

/// Whether the process lives
///
/// Never depends on peers or on the disk; refused writes only show in the body.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "service",
    responses((status = 200, body = Health, description = "It lives")),
)]
pub(in crate::api) async fn health(State(node): State<Node>) -> Json<Value> {
    Json(json!({ "status": "healthy", "writes": node.writes() }))
}

/// Whether this node can serve correct reads
///
/// Refused writes show in the body and do not end traffic: full disks must not end all reads.
#[utoipa::path(
    get, path = "/ready", operation_id = "ready", tag = "service",
    responses((status = 200, body = Readiness, description = "It can"),
              (status = 503, body = Readiness, description = "It cannot, with the reasons")),
)]
pub(in crate::api) async fn ready(State(node): State<Node>) -> (StatusCode, Json<Value>) {
    let mut reasons = node.reasons_against_traffic();
    if let Err(error) = node.store.probe().await {
        tracing::error!(error = %error, "database_not_readable");
        reasons.push("database not readable".to_owned());
    }
    let writes = node.writes();
    if reasons.is_empty() {
        return (
            StatusCode::OK,
            Json(json!({ "ready": true, "writes": writes })),
        );
    }
    let detail = format!("not ready: {}", reasons.join(", "));
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({ "ready": false, "reasons": reasons, "detail": detail, "writes": writes })),
    )
}
