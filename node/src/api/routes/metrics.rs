//! `GET /metrics`: names of entries are never in it. What concerns keys is shown only to the cluster admin.

use axum::{
    RequestPartsExt,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use opensecureconf_contract::key_header;

use super::health::is_readable;
use crate::{
    api::{
        Node, NodeState,
        answer::error::ApiError,
        extract::auth::Owner,
        openapi::{OptionalOwnerHeaders, Refusal},
    },
    entries::NodeKind,
    keys::KeyRing,
    metrics::{DatabaseReading, KindReadings, PoolReading, Reader, Readings},
    store::{
        EntryStore, WriteHealth,
        postgres::{ConnectionUse, DatabaseUsage},
    },
};

/// Metrics in Prometheus' text format
///
/// Public, but for `osc_key_*` and `osc_auth_throttled_total`: these are shown on `OSC_METRICS_BIND`, and where there is no
/// `OSC_PEER_PORT` to callers with the cluster key.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics_metrics_get", tag = "service", params(OptionalOwnerHeaders),
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"),
              (status = 403, body = Refusal, description = "X-Cluster-Key is wrong"),
              (status = 429, body = Refusal, description = "Too many wrong keys from this address, see `Retry-After`"),
              (status = 500, body = Refusal, description = "The fault is the node's")),
)]
pub(in crate::api) async fn metrics(
    State(node): State<Node>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut parts = request.into_parts().0;
    // Where the port for nodes demands a certificate beside it, the cluster key alone opens nothing, and is not compared.
    let counts = node.cluster_keys.is_some() && node.ports.peers.is_none();
    let reader = if counts && parts.headers.contains_key(key_header::CLUSTER_KEY) {
        parts.extract_with_state::<Owner, Node>(&node).await?;
        Reader::Operator
    } else {
        Reader::AnyClient
    };
    page(&node, reader).await
}

/// The same on a port of its own, which only the cluster admin is meant to reach.
pub(in crate::api) async fn on_its_own_port(
    State(node): State<Node>,
) -> Result<Response, ApiError> {
    page(&node, Reader::Operator).await
}

async fn page(node: &NodeState, reader: Reader) -> Result<Response, ApiError> {
    match &node.kind {
        NodeKind::Replicating(replicating) => {
            replicating.replica.sample().await?;
            let view = replicating.replica.view();
            page_of(node, KindReadings::Replicating(&view), reader)
        }
        NodeKind::Shared(store) => {
            let reading = reading_of(
                store.usage(),
                is_readable(node),
                store.write_health() == WriteHealth::Accepting,
            );
            page_of(node, KindReadings::Shared(reading), reader)
        }
    }
}

fn reading_of(usage: DatabaseUsage, is_reachable: bool, takes_writes: bool) -> DatabaseReading {
    let DatabaseUsage {
        reads,
        writes,
        commits_set_aside,
        unknown_commits,
        changes_held_back,
        timeline,
    } = usage;
    let pool = |usage: ConnectionUse| PoolReading {
        connections: usage.in_use,
        waiting: usage.waiting,
    };
    DatabaseReading {
        is_reachable,
        takes_writes,
        reads: pool(reads),
        writes: pool(writes),
        commits_set_aside,
        unknown_commits,
        changes_held_back,
        timeline,
    }
}

fn page_of(node: &NodeState, kind: KindReadings<'_>, reader: Reader) -> Result<Response, ApiError> {
    let memory = node.budgets.in_use();
    let readings = Readings {
        entries: node.entries.store().live_entries(),
        cached_keys: node.keys().map_or(0, KeyRing::cached_keys),
        kind,
        memory: &memory,
        dropped_log_lines: node.log.dropped_lines(),
    };
    let page = node
        .metrics
        .page(readings, reader)
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
