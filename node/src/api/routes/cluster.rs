//! What a node tells of itself and its cluster.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::api::{
    Node,
    auth::Client,
    openapi::{ApiKeyHeader, ClientRefusals, ClusterStatusResponse, StatusQuery},
    query::Query,
};

/// Node health, in the original's shape
#[utoipa::path(
    get, path = "/cluster/health", operation_id = "cluster_health_cluster_health_get", tag = "cluster",
    responses((status = 200, description = "Always healthy", example = json!({"status": "healthy", "node_id": "node-9000"}))),
)]
pub(in crate::api) async fn health(State(node): State<Node>) -> Json<Value> {
    Json(json!({ "status": "healthy", "node_id": node.node_id }))
}

/// Cluster status, in the original's shape
#[utoipa::path(
    get, path = "/cluster/status", operation_id = "get_cluster_status_cluster_status_get", tag = "cluster",
    params(StatusQuery, ApiKeyHeader),
    responses((status = 200, body = ClusterStatusResponse, description = "The status"), ClientRefusals),
)]
pub(in crate::api) async fn status(
    State(node): State<Node>,
    _: Client,
    query: Query,
) -> Json<Value> {
    let mut status = match &node.cluster {
        None => {
            json!({ "enabled": false, "mode": null, "node_id": null, "total_nodes": null, "healthy_nodes": null })
        }
        // Other nodes are not asked yet, so none is known to be healthy.
        Some(cluster) => json!({
            "enabled": true,
            "mode": "replica",
            "node_id": node.node_id,
            "total_nodes": cluster.other_nodes,
            "healthy_nodes": 0,
        }),
    };
    if let (Some("true"), Some(members)) = (query.get("details"), status.as_object_mut()) {
        let reasons = node.reasons_against_traffic();
        members.insert(
            "details".into(),
            json!({
                "version": env!("CARGO_PKG_VERSION"),
                "incarnation": node.store.incarnation().to_string(),
                "state": "standalone",
                "ready": reasons.is_empty(),
                "reasons": reasons,
                "salt_fingerprint": node.salt.fingerprint().to_string(),
                "entries": node.store.live_entries(),
                "writes": node.store.write_health().text(),
            }),
        );
    }
    Json(status)
}
