//! What a node tells of itself and its cluster.

use std::time::Duration;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::health::unreachable_nodes;
use crate::{
    api::{
        Node, NodeState,
        answer::entry_json::rfc_3339,
        extract::{auth::StatusReader, query::Query},
        openapi::{ApiKeyHeader, ClientRefusals, ClusterStatusResponse, StatusQuery},
    },
    cluster::{DigestView, MemberView, View},
    domain::Timestamp,
    store::EntryStore,
    tls::{InForce, Presented, TlsStatus},
};

/// So long the details wait for a disk: what they say of others must count what was acknowledged here.
const PATIENCE: Duration = Duration::from_millis(500);

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
    _: StatusReader,
    query: Query,
) -> Json<Value> {
    let wants_details = query.get("details") == Some("true");
    let view = if wants_details && node.clustered {
        node.store.current_view(PATIENCE).await
    } else {
        node.store.view()
    };
    let mut status = if node.clustered {
        let (total, healthy) = view.others();
        json!({
            "enabled": true,
            "mode": node.mode().text(),
            "node_id": node.node_id,
            "total_nodes": total,
            "healthy_nodes": healthy,
        })
    } else {
        json!({ "enabled": false, "mode": null, "node_id": null, "total_nodes": null, "healthy_nodes": null })
    };
    if let Some(members) = status.as_object_mut().filter(|_| wants_details) {
        members.insert("details".into(), details(&node, &view));
    }
    Json(status)
}

fn details(node: &NodeState, view: &View) -> Value {
    let (reasons, writes) = node.traffic(node.entries.store().write_health());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "incarnation": view.incarnation.to_string(),
        "state": view.state,
        "cluster_uid": view.founding.map(|founding| founding.to_string()),
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "suspended": view.suspended,
        "fenced": view.fenced,
        "salt_fingerprint": node.salt().map(|salt| salt.fingerprint().to_string()),
        "entries": node.entries.store().live_entries(),
        "digest": view.digest.as_ref().map(digest),
        "writes": writes,
        "members": view.members.iter().map(member).collect::<Vec<_>>(),
        "unknown_nodes": view.unknown,
        "unreachable_nodes": unreachable_nodes(&node.unreachable_peers()),
        "peer_proof": if node.peer_proof.required { "require" } else { "accept" },
        "tls": tls(&node.tls),
    })
}

/// The certificates that this node shows and accepts; nothing where it speaks no TLS.
fn tls(status: &TlsStatus) -> Option<Value> {
    let (node, clients) = (status.node(), status.clients());
    if node.is_none() && clients.is_none() {
        return None;
    }
    let ends = |in_force: &InForce| {
        let ends = in_force.leaf_ends.saturating_mul(1_000_000);
        rfc_3339(Timestamp::from_micros(ends))
    };
    let mut shown = serde_json::Map::new();
    if let Some(Presented { in_force, error }) = node {
        let in_force = in_force.as_ref();
        shown.insert(
            "node".into(),
            json!({
                "leaf": in_force.map(|it| &it.leaf),
                "leaf_ends": in_force.map(ends),
                "authorities": in_force.map(|it| &it.authorities),
                "error": error,
            }),
        );
    }
    if let Some(Presented { in_force, .. }) = clients {
        let in_force = in_force.as_ref();
        shown.insert(
            "clients".into(),
            json!({
                "open": status.is_open(),
                "leaf": in_force.map(|it| &it.leaf),
                "leaf_ends": in_force.map(ends),
                "error": status.fault_of_clients(),
            }),
        );
    }
    Some(Value::Object(shown))
}

fn member(member: &MemberView) -> Value {
    json!({
        "name": member.name,
        "incarnation": member.incarnation.to_string(),
        "state": member.state,
        "reachable": member.reachable,
        "healthy": member.healthy,
        "ready": member.ready,
        "lag": member.lag,
        "behind": member.behind,
        "clock_offset_seconds": member.clock_offset_seconds(),
        "version": member.release,
        "salt_fingerprint": member.salt,
        "entries": member.entries,
        "digest": member.digest.as_ref().map(digest),
    })
}

fn digest(digest: &DigestView) -> Value {
    json!({
        "before": rfc_3339(digest.before),
        "root": format!("{:016x}", digest.root),
        "mismatches": digest.mismatches,
    })
}
