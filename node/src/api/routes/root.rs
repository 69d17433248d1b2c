//! `GET /`: the service document. Clients look at `version`, so it is the original's.

use axum::{Json, extract::State};
use opensecureconf_contract::status::Sharing;
use serde_json::{Value, json};

use crate::api::{
    Node,
    extract::auth::Client,
    openapi::{ApiKeyHeader, ClientRefusals, ServiceDocument},
};

/// The release of the original whose contract this API keeps.
pub(in crate::api) const CONTRACT_VERSION: &str = "2.1.0";

/// The service document
#[utoipa::path(
    get, path = "/", operation_id = "root__get", tag = "service", params(ApiKeyHeader),
    responses((status = 200, body = ServiceDocument, description = "What this service is"), ClientRefusals),
)]
pub(in crate::api) async fn root(State(node): State<Node>, _: Client) -> Json<Value> {
    Json(json!({
        "service": "OpenSecureConf API",
        "version": CONTRACT_VERSION,
        "features": ["encryption", "multithreading", "async", "api-key-auth", "clustering", "prometheus-metrics"],
        "api_key_required": node.api_keys.is_some(),
        "cluster_enabled": node.kind.is_clustered(),
        "cluster_mode": node.sharing().map(Sharing::text),
        "endpoints": {
            "create": "POST /configs",
            "read": "GET /configs/{key}",
            "update": "PUT /configs/{key}",
            "delete": "DELETE /configs/{key}",
            "list": "GET /configs",
            "cluster_status": "GET /cluster/status",
            "cluster_health": "GET /cluster/health",
            "metrics": "GET /metrics",
        },
    }))
}
