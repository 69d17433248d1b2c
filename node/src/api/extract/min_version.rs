//! Reading one's own writes on another node: `X-OSC-Min-Version` waits until the entry is there.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::write_terms::version;
use crate::{
    api::{NodeState, answer::error::ApiError},
    cluster::View,
    domain::{Identity, Version},
    entries::{NodeKind, Session},
    store::EntryStore,
};

const MIN_VERSION: HeaderName = HeaderName::from_static("x-osc-min-version");
/// Says that the version which was asked for is lost with the node that wrote it.
const VERSION_LOST: HeaderName = HeaderName::from_static("x-osc-version-lost");
/// How long a read waits.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Waits until the entry has the version that the request names, or a later one. Gives the headers that the answer
/// must carry; an error when the node is behind.
pub(in crate::api) async fn await_version(
    node: &NodeState,
    session: &Session<'_>,
    identity: &Identity,
    headers: &HeaderMap,
) -> Result<Option<(HeaderName, HeaderValue)>, ApiError> {
    let Some(wanted) = headers.get(MIN_VERSION) else {
        return Ok(None);
    };
    let wanted = version(wanted.to_str().unwrap_or_default(), "x-osc-min-version")?;
    let lost = (VERSION_LOST, HeaderValue::from_static("true"));
    let replica = match &node.kind {
        NodeKind::Replicating(node) => &node.replica,
        // The primary is asked, which is never behind.
        NodeKind::Shared(store) => {
            let store = session.of(store);
            let is_there = store.reaches(identity, wanted).await?;
            return Ok((!is_there).then_some(lost));
        }
    };
    match tokio::time::timeout(TIMEOUT, replica.wait_for(identity, wanted)).await {
        Ok(waited) => waited.map(|()| None).map_err(ApiError::from),
        Err(_) if was_purged(&replica.view(), wanted) => Ok(None),
        Err(_) if is_lost(&replica.view(), wanted) => Ok(Some(lost)),
        Err(_) => Err(ApiError::Behind),
    }
}

/// A tombstone that every node knew of and that is forgotten since: nothing is missing.
fn was_purged(view: &View, wanted: Version) -> bool {
    wanted.clock <= view.purged_clock
}

/// Its writer does not belong any more, and this node holds what all others hold.
fn is_lost(view: &View, wanted: Version) -> bool {
    let writer_is_gone = wanted.incarnation != view.incarnation
        && view.cluster_uid.is_some()
        && !view
            .members
            .iter()
            .any(|member| member.incarnation == wanted.incarnation);
    writer_is_gone
        && view.unknown == 0
        && view
            .members
            .iter()
            .all(|member| member.reachable && member.behind == 0)
}
