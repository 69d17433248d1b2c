//! `GET /metrics`: names of entries are never in it. What concerns keys is shown only to the cluster admin.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

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
        answer::{
            error::ApiError,
            untaken::{AnswerRoom, Taker},
        },
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
    taker: Taker,
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
    page(&node, &taker, reader).await
}

/// The same on a port of its own, which only the cluster admin is meant to reach.
pub(in crate::api) async fn on_its_own_port(
    State(node): State<Node>,
    taker: Taker,
) -> Result<Response, ApiError> {
    page(&node, &taker, Reader::Operator).await
}

/// The pages of one node. They are made one at a time, so that those who ask for many cost no more than a page.
#[derive(Debug, Default)]
pub(in crate::api) struct Pages {
    /// The last count of rows that are counted for it alone.
    counted: tokio::sync::Mutex<Option<Count>>,
    /// The length of the last one.
    length: AtomicUsize,
}

/// A count of rows, which reads an index.
#[derive(Debug)]
struct Count {
    at: Instant,
    /// The live entries then: where there are others, rows came and went.
    entries: u64,
}

impl Count {
    fn is_good_for(&self, entries: u64) -> bool {
        self.entries == entries && self.at.elapsed() < COUNTED_FOR
    }
}

impl Pages {
    /// The room that the next one takes, and somewhat: figures grow.
    fn room(&self) -> usize {
        match self.length.load(Relaxed) {
            0 => FIRST_PAGE,
            length => length + length / 8,
        }
    }
}

const CONTENT_TYPE: &str = "text/plain; version=1.0.0; charset=utf-8";
/// The room of the first page, in bytes.
const FIRST_PAGE: usize = 48 << 10;
/// How long a count of rows is good for.
const COUNTED_FOR: Duration = Duration::from_secs(1);

/// Makes a page within room that it takes before: who waits for it holds no page.
async fn page(node: &NodeState, taker: &Taker, reader: Reader) -> Result<Response, ApiError> {
    let bytes = node.metrics_pages.room();
    let mut counted = node.metrics_pages.counted.lock().await;
    let mut room = if let Some(room) = node.answers.reserve_any_now(taker.address, bytes) {
        room
    } else {
        // Who waits for room keeps no other from making a page.
        drop(counted);
        let room = node.answers.reserve(taker.address, bytes).await?;
        counted = node.metrics_pages.counted.lock().await;
        room
    };
    let mut page = text(node, reader, &mut counted).await?;
    drop(counted);
    page.shrink_to_fit();
    node.metrics_pages.length.store(page.len(), Relaxed);
    let more = page.len().saturating_sub(room.bytes());
    if more > 0 {
        room.grow(more)?;
    }
    room.shrink_to(page.len());
    let mut response = ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response();
    response.extensions_mut().insert(AnswerRoom::new(room));
    Ok(response)
}

async fn text(
    node: &NodeState,
    reader: Reader,
    counted: &mut Option<Count>,
) -> Result<String, ApiError> {
    match &node.kind {
        NodeKind::Replicating(replicating) => {
            let entries = node.entries.store().live_entries();
            if !counted
                .as_ref()
                .is_some_and(|count| count.is_good_for(entries))
            {
                let at = Instant::now();
                replicating.replica.count().await?;
                *counted = Some(Count { at, entries });
            }
            replicating.replica.sample();
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

fn page_of(node: &NodeState, kind: KindReadings<'_>, reader: Reader) -> Result<String, ApiError> {
    let memory = node.budgets.in_use();
    let readings = Readings {
        entries: node.entries.store().live_entries(),
        cached_keys: node.keys().map_or(0, KeyRing::cached_keys),
        kind,
        memory: &memory,
        dropped_log_lines: node.log.dropped_lines(),
    };
    let page = node.metrics.page(readings, reader);
    page.map_err(|error| ApiError::Internal(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gets_the_room_of_the_last_one_and_somewhat() {
        let pages = Pages::default();
        assert_eq!(pages.room(), FIRST_PAGE);
        pages.length.store(80_000, Relaxed);
        assert_eq!(pages.room(), 90_000);
    }
}
