//! Entries of another database, brought in by the cluster admin. They stay encrypted, and never replace any.

use axum::{
    Json,
    extract::{Request, State},
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    api::{
        Node,
        answer::error::ApiError,
        extract::{auth::Peer, peer_proof, write_terms::RequestedTerms},
    },
    cluster::{IMPORT_PATH, ImportAnswer, ImportOrder, ImportOutcome},
    domain::Principal,
    log::AUDIT,
};

/// Where they are sent.
pub(in crate::api) const PATH: &str = IMPORT_PATH;
/// Entries that are written at the same time: they share commits.
const AT_ONCE: usize = 64;

/// Takes entries where there are none of that name. No part of the public document: `osc-node import` calls it.
pub(in crate::api) async fn import(
    State(node): State<Node>,
    _: Peer,
    RequestedTerms(terms): RequestedTerms,
    request: Request,
) -> Result<Json<ImportAnswer>, ApiError> {
    let body = peer_proof::body(&node, request).await?;
    let order: ImportOrder =
        serde_json::from_slice(&body.bytes).map_err(|_| ApiError::UnreadableBody)?;
    let salt = node.salt().ok_or(ApiError::NoSaltYet)?;
    if salt.fingerprint().to_string() != order.salt {
        return Err(ApiError::OtherSalt);
    }
    // Which names are taken, and what a dry run says of them, is known to a node that holds all entries.
    node.serves_entries()?;
    let ImportOrder {
        dry_run, entries, ..
    } = order;
    // Who has the cluster key is a node, and runs the cluster.
    let session = node.entries.of(Principal::ClusterAdmin);
    let outcomes: Vec<_> = stream::iter(entries)
        .map(|entry| session.bring(entry, dry_run, terms.level))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    if !dry_run {
        let count = |outcome| outcomes.iter().filter(|is| **is == outcome).count();
        tracing::info!(
            target: AUDIT,
            written = count(ImportOutcome::Written),
            taken = count(ImportOutcome::Taken),
            unusable = count(ImportOutcome::Unusable),
            "entries_imported"
        );
    }
    Ok(Json(ImportAnswer { outcomes }))
}
