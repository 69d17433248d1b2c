//! Whether the process lives, and whether it should get traffic. Public.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, extract::State, http::StatusCode};
use opensecureconf_contract::status::UnreachableNode;
use serde_json::{Value, json};

use crate::store::{EntryStore, ReadError, WriteHealth};
use crate::{
    api::{
        Node, NodeState,
        openapi::{Health, Readiness},
    },
    peers::UnreachablePeer,
};

/// Whether the process lives
///
/// Never depends on peers or on the disk; refused writes only show in the body.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "service",
    responses((status = 200, body = Health, description = "It lives")),
)]
pub(in crate::api) async fn health(State(node): State<Node>) -> Json<Value> {
    Json(lives(&node, node.entries.store().write_health()))
}

fn lives(node: &NodeState, store: WriteHealth) -> Value {
    let (_, writes) = node.traffic(store);
    json!({ "status": "healthy", "writes": writes })
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
    let readable = is_readable(&node).await;
    let (status, body) = readiness(&node, readable, node.entries.store().write_health());
    (status, Json(body))
}

fn readiness(node: &NodeState, readable: bool, store: WriteHealth) -> (StatusCode, Value) {
    let (mut reasons, writes) = node.traffic(store);
    if !readable {
        reasons.push("database not readable".to_owned());
    }
    let unreachable = node.unreachable_peers();
    let (status, mut body) = if reasons.is_empty() {
        (StatusCode::OK, json!({ "ready": true, "writes": writes }))
    } else {
        let told = unreachable.iter().map(|peer| {
            let UnreachablePeer { address, error } = peer;
            format!("it does not reach {address}: {error}")
        });
        reasons.extend(told);
        let detail = format!("not ready: {}", reasons.join(", "));
        (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "ready": false, "reasons": reasons, "detail": detail, "writes": writes }),
        )
    };
    if let Some(members) = body.as_object_mut().filter(|_| !unreachable.is_empty()) {
        let unreachable = json!(unreachable_nodes(&unreachable));
        members.insert("unreachable_nodes".into(), unreachable);
    }
    (status, body)
}

/// Nodes that do not answer, as `/ready` and the details of the status show them.
pub(super) fn unreachable_nodes(peers: &[UnreachablePeer]) -> Vec<UnreachableNode> {
    let shown = peers
        .iter()
        .map(|UnreachablePeer { address, error }| UnreachableNode {
            address: address.to_string(),
            error: error.clone(),
        });
    shown.collect()
}

async fn is_readable(node: &NodeState) -> bool {
    match node.entries.store().probe().await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(error = %error, "database_not_readable");
            false
        }
    }
}

/// What a node last knew of itself without being asked.
#[derive(Debug)]
pub(in crate::api) struct Pulse {
    readable: AtomicBool,
    store: Mutex<WriteHealth>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            readable: AtomicBool::new(true),
            store: Mutex::new(WriteHealth::Accepting),
        }
    }
}

/// How long the database may take until it counts as not readable.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Brings up to date what [`vital_signs`] reports.
pub async fn take_pulse(node: &NodeState) {
    let looked = tokio::time::timeout(TIMEOUT, node.entries.store().probe()).await;
    let readable = match looked {
        Ok(Ok(())) => true,
        // Others read a lot, which says nothing of the database, and must not end all traffic.
        Ok(Err(ReadError::Busy)) => node.pulse.readable.load(Ordering::Relaxed),
        Ok(Err(_)) | Err(_) => false,
    };
    if node.pulse.readable.swap(readable, Ordering::Relaxed) && !readable {
        tracing::error!("database_not_readable");
    }
    let store = node.entries.store().write_health();
    *node
        .pulse
        .store
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = store;
}

/// The answer to a probe, from memory alone; `None` for a path that is none of theirs.
pub fn vital_signs(node: &NodeState, path: &str) -> Option<(StatusCode, Value)> {
    let pulse = &node.pulse;
    let store = *pulse.store.lock().unwrap_or_else(PoisonError::into_inner);
    match path {
        "/health" => Some((StatusCode::OK, lives(node, store))),
        "/ready" => {
            let readable = pulse.readable.load(Ordering::Relaxed);
            Some(readiness(node, readable, store))
        }
        _ => None,
    }
}
