//! Whether the process lives, and whether it should get traffic. Public.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Json, extract::State, http::StatusCode};
use opensecureconf_contract::status::UnreachableNode;
use serde_json::{Value, json};

use crate::{
    api::{
        Node, NodeState,
        openapi::{Health, Readiness},
    },
    entries::NodeKind,
    peers::UnreachablePeer,
    store::{EntryStore, ReadError, WriteHealth},
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
    let unreadable = match tokio::time::timeout(PROBE, node.entries.store().probe()).await {
        Ok(Ok(())) => None,
        // Others read a lot, which says nothing of the database, and must not end all traffic.
        Ok(Err(ReadError::Busy)) => last_found(&node),
        Ok(Err(error)) => {
            let reason = why_unreadable(&error);
            node.pulse.locked().note(Some(&reason));
            Some(reason)
        }
        // What the last look found may be the cause. Others that read a lot keep a node's own database busy, which is no fault.
        Err(_) => last_found(&node).or_else(|| match node.kind {
            NodeKind::Replicating(_) => None,
            NodeKind::Shared(_) => Some(SLOW.to_owned()),
        }),
    };
    let (status, body) = readiness(&node, unreadable, node.entries.store().write_health());
    (status, Json(body))
}

fn readiness(
    node: &NodeState,
    unreadable: Option<String>,
    store: WriteHealth,
) -> (StatusCode, Value) {
    let (mut reasons, writes) = node.traffic(store);
    reasons.extend(unreadable);
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

/// Why the store cannot be read, as everybody may know it.
fn why_unreadable(error: &ReadError) -> String {
    match error {
        ReadError::Away(_) => why_away(error),
        ReadError::Lost(loss) => loss.to_string(),
        _ => NOT_READABLE.to_owned(),
    }
}

/// What is wrong with a database elsewhere. It names no address and no user: these stand in quotes.
pub(super) fn why_away(error: &ReadError) -> String {
    let told = match error {
        ReadError::Away(cause) => cause.to_string(),
        error => error.to_string(),
    };
    let words: Vec<_> = told.split('"').step_by(2).collect();
    words.join("...")
}

/// Whether the store could be read when that was tried last.
pub(super) fn is_readable(node: &NodeState) -> bool {
    last_found(node).is_none()
}

/// Why the store could not be read when that was tried last; `None` where it could.
pub(super) fn last_found(node: &NodeState) -> Option<String> {
    node.pulse.locked().unreadable.clone()
}

/// What a node last knew of itself without being asked.
#[derive(Debug)]
pub(in crate::api) struct Pulse(Mutex<Signs>);

#[derive(Debug)]
struct Signs {
    /// Why the store cannot be read; `None` while it can.
    unreadable: Option<String>,
    writes: WriteHealth,
}

impl Signs {
    /// Notes why the store cannot be read, and logs that once: the public may ask as often as it likes.
    fn note(&mut self, unreadable: Option<&str>) {
        if self.unreadable.as_deref() == unreadable {
            return;
        }
        if let Some(reason) = unreadable {
            tracing::error!(reason, "database_not_readable");
        }
        self.unreadable = unreadable.map(str::to_owned);
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Signs {
            unreadable: None,
            writes: WriteHealth::Accepting,
        }))
    }
}

impl Pulse {
    fn locked(&self) -> MutexGuard<'_, Signs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How `/ready` says that the store cannot be read.
const NOT_READABLE: &str = "database not readable";

/// How long the database may take until `/ready` answers without it: a kubelet waits for one second, unless its probe says
/// otherwise.
pub(super) const PROBE: Duration = Duration::from_millis(800);

/// What is known of a database that takes longer.
pub(super) const SLOW: &str = "the database did not answer within 0.8 s";

/// How long a node's own database may take until it counts as not readable.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Brings up to date what [`vital_signs`] reports.
pub async fn take_pulse(node: &NodeState) {
    let (limit, late) = match node.kind {
        NodeKind::Replicating(_) => (TIMEOUT, NOT_READABLE),
        NodeKind::Shared(_) => (PROBE, SLOW),
    };
    let looked = tokio::time::timeout(limit, node.entries.store().probe()).await;
    let writes = node.entries.store().write_health();
    let mut signs = node.pulse.locked();
    let unreadable = match looked {
        Ok(Ok(())) => None,
        // Others read a lot, which says nothing of the database, and must not end all traffic.
        Ok(Err(ReadError::Busy)) => signs.unreadable.clone(),
        Ok(Err(error)) => Some(why_unreadable(&error)),
        Err(_) => Some(late.to_owned()),
    };
    signs.note(unreadable.as_deref());
    signs.writes = writes;
}

/// The answer to a probe, from memory alone; `None` for a path that is none of theirs.
pub fn vital_signs(node: &NodeState, path: &str) -> Option<(StatusCode, Value)> {
    let (unreadable, writes) = {
        let signs = node.pulse.locked();
        (signs.unreadable.clone(), signs.writes)
    };
    match path {
        "/health" => Some((StatusCode::OK, lives(node, writes))),
        "/ready" => Some(readiness(node, unreadable, writes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_database_names_no_address() {
        let cause = r#"certificate not valid for name "db.example"; certificate is only valid for DnsName("other")"#;
        assert_eq!(
            why_away(&ReadError::Away(cause.into())),
            "certificate not valid for name ...; certificate is only valid for DnsName(...)"
        );
    }
}
