//! What a node reports of itself and its cluster.

use std::time::Duration;

use axum::{Json, extract::State};
use opensecureconf_contract::{
    MemberState,
    status::{
        ClientCertificate, DatabaseServer, NodeCertificates, NodeDetails, NodeMember, NodeStatus,
        NodeTls, PeerProof, RowsDigest, SharedDatabase, Sharing,
    },
};
use serde_json::{Value, json};

use super::health::{PROBE, SLOW, last_found, unreachable_nodes, why_away};
use crate::{
    api::{
        Node, NodeState,
        answer::entry_json::rfc_3339,
        extract::{auth::StatusReader, query::Query},
        openapi::{ApiKeyHeader, ClientRefusals, ClusterStatusResponse, StatusQuery},
    },
    cluster::{DigestView, MemberView},
    domain::Timestamp,
    entries::{NodeKind, Primary, Replicating, SharedStore},
    store::EntryStore,
    tls::{InForce, Presented, TlsStatus},
};

/// So long the details wait for a disk: what they say of others must count what was acknowledged here.
const TIMEOUT: Duration = Duration::from_millis(500);

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
) -> Json<NodeStatus> {
    let wants_details = query.get("details") == Some("true");
    Json(match &node.kind {
        NodeKind::Replicating(replicating) => of_member(&node, replicating, wants_details).await,
        NodeKind::Shared(store) => of_shared(&node, store, wants_details).await,
    })
}

/// What a node tells that has a database of its own.
async fn of_member(
    node: &NodeState,
    Replicating {
        replica, clustered, ..
    }: &Replicating,
    wants_details: bool,
) -> NodeStatus {
    let view = if wants_details && *clustered {
        replica.current_view(TIMEOUT).await
    } else {
        replica.view()
    };
    let mut status = NodeStatus::default();
    if *clustered {
        let (total, healthy) = view.others();
        status = NodeStatus {
            enabled: true,
            mode: node.sharing(),
            node_id: Some(node.node_id.clone()),
            total_nodes: Some(total),
            healthy_nodes: Some(healthy),
            details: None,
        };
    }
    status.details = wants_details.then(|| NodeDetails {
        incarnation: view.incarnation.to_string(),
        state: view.state,
        cluster_uid: view.cluster_uid.map(|cluster_uid| cluster_uid.to_string()),
        suspended: view.suspended.clone(),
        fenced: view.fenced,
        digest: view.digest.as_ref().map(digest),
        members: view.members.iter().map(member).collect(),
        unknown_nodes: view.unknown,
        unreachable_nodes: unreachable_nodes(&node.unreachable_peers()),
        schema: i64::try_from(replica.schema_version()).ok(),
        ..details(node, last_found(node))
    });
    status
}

/// What a node tells that shares a database. It knows nothing of the other nodes, and is no member of any cluster.
async fn of_shared(node: &NodeState, store: &SharedStore, wants_details: bool) -> NodeStatus {
    let mut status = NodeStatus {
        mode: Some(Sharing::Shared),
        node_id: Some(node.node_id.clone()),
        ..NodeStatus::default()
    };
    if wants_details {
        let identity = store.identity().ok();
        let (server, error) = match tokio::time::timeout(PROBE, store.primary()).await {
            Ok(Ok(primary)) => (Some(server(primary)), None),
            Ok(Err(error)) => (None, Some(why_away(&error))),
            // The operator waits for the answer of the node, not for that of its database.
            Err(_) => (None, last_found(node).or_else(|| Some(SLOW.to_owned()))),
        };
        status.details = Some(NodeDetails {
            incarnation: store.incarnation().to_string(),
            state: MemberState::Standalone,
            database: Some(SharedDatabase {
                uid: identity.map_or_else(String::new, |store| store.uid.to_string()),
                cluster: identity.map_or_else(String::new, |store| store.cluster.clone()),
                server,
                error: error.clone(),
            }),
            schema: identity.map(|store| i64::from(store.schema)),
            ..details(node, error)
        });
    }
    status
}

fn server(primary: Primary) -> DatabaseServer {
    let Primary {
        version,
        timeline,
        synchronous_commit,
        synchronous_standby_names,
        standbys,
        synchronous_standbys,
    } = primary;
    DatabaseServer {
        version,
        timeline,
        synchronous_commit,
        synchronous_standby_names,
        standbys,
        synchronous_standbys,
    }
}

/// What every node tells: it is as ready as `/ready` says.
fn details(node: &NodeState, unreadable: Option<String>) -> NodeDetails {
    let (mut reasons, writes) = node.traffic(node.entries.store().write_health());
    reasons.extend(unreadable);
    NodeDetails {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: reasons.is_empty(),
        reasons,
        salt_fingerprint: node.salt().map(|salt| salt.fingerprint().to_string()),
        entries: node.entries.store().live_entries(),
        writes: Some(writes.to_owned()),
        api_keys: api_keys(node),
        peer_proof: if node.peer_proof.required {
            PeerProof::Require
        } else {
            PeerProof::Accept
        },
        tls: tls(&node.tls),
        ..NodeDetails::default()
    }
}

/// What proves to an operator which API keys are accepted; nothing where none is required, or no operator could check it.
fn api_keys(node: &NodeState) -> Option<Vec<String>> {
    let (accepted, cluster_keys) = (node.api_keys.as_ref()?, node.cluster_keys.as_ref()?);
    Some(accepted.key_proofs(cluster_keys))
}

/// The certificates that this node shows and accepts; nothing where it speaks no TLS.
fn tls(status: &TlsStatus) -> Option<NodeTls> {
    let (node, clients) = (status.node(), status.clients());
    if node.is_none() && clients.is_none() {
        return None;
    }
    let ends = |in_force: &InForce| {
        let ends = in_force.leaf_ends.saturating_mul(1_000_000);
        rfc_3339(Timestamp::from_micros(ends))
    };
    Some(NodeTls {
        node: node.map(|Presented { in_force, error }| NodeCertificates {
            leaf_ends: in_force.as_ref().map(ends),
            leaf: in_force.as_ref().map(|it| it.leaf.clone()),
            authorities: in_force.map(|it| it.authorities),
            error,
        }),
        clients: clients.map(|Presented { in_force, .. }| ClientCertificate {
            open: status.is_open(),
            leaf_ends: in_force.as_ref().map(ends),
            leaf: in_force.map(|it| it.leaf),
            error: status.fault_of_clients(),
        }),
    })
}

fn member(member: &MemberView) -> NodeMember {
    NodeMember {
        name: member.name.clone(),
        incarnation: member.incarnation.to_string(),
        state: member.state,
        reachable: member.reachable,
        healthy: member.healthy,
        ready: member.ready,
        lag: member.lag,
        behind: member.behind,
        clock_offset_seconds: member.clock_offset_seconds(),
        version: member.release.clone(),
        salt_fingerprint: member.salt.clone(),
        entries: member.entries,
        digest: member.digest.as_ref().map(digest),
    }
}

fn digest(digest: &DigestView) -> RowsDigest {
    RowsDigest {
        before: rfc_3339(digest.before),
        root: format!("{:016x}", digest.root),
        mismatches: digest.mismatches,
    }
}
