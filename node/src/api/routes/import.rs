//! Entries of another database, brought in by whoever owns the cluster. They stay encrypted, and never replace any.

use axum::{
    Json,
    extract::{Request, State},
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    api::{
        Node, NodeState,
        answer::error::ApiError,
        extract::{auth::Peer, peer_proof, write_terms::WriteTerms},
    },
    cluster::{
        Change, IMPORT_PATH, ImportAnswer, ImportOrder, ImportOutcome, ImportedEntry, Seen, Write,
    },
    crypto::token_time,
    domain::{Category, Identity},
    store::WriteError,
};

/// Where they are sent.
pub(in crate::api) const PATH: &str = IMPORT_PATH;
/// Entries that are written at the same time: they share commits.
const AT_ONCE: usize = 64;

/// Takes entries where there are none of that name. No part of the public document: `osc-node import` calls it.
pub(in crate::api) async fn import(
    State(node): State<Node>,
    _: Peer,
    terms: WriteTerms,
    request: Request,
) -> Result<Json<ImportAnswer>, ApiError> {
    let body = peer_proof::body(&node, request).await?;
    let order: ImportOrder =
        serde_json::from_slice(&body.bytes).map_err(|_| ApiError::UnreadableBody)?;
    let salt = node.salt().ok_or(ApiError::NoSaltYet)?;
    if salt.fingerprint().to_string() != order.salt {
        return Err(ApiError::OtherSalt);
    }
    let ImportOrder {
        dry_run, entries, ..
    } = order;
    let outcomes: Vec<_> = stream::iter(entries)
        .map(|entry| take(&node, entry, dry_run, terms))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    if !dry_run {
        let count = |outcome| outcomes.iter().filter(|is| **is == outcome).count();
        tracing::info!(
            written = count(ImportOutcome::Written),
            taken = count(ImportOutcome::Taken),
            unusable = count(ImportOutcome::Unusable),
            "entries_imported"
        );
    }
    Ok(Json(ImportAnswer { outcomes }))
}

async fn take(
    node: &NodeState,
    mut entry: ImportedEntry,
    dry_run: bool,
    terms: WriteTerms,
) -> Result<ImportOutcome, ApiError> {
    let (token, seal) = entry.value();
    let ImportedEntry {
        environment,
        key,
        category,
        created_at,
        ..
    } = entry;
    let identity = Identity::of(&environment, &key);
    let category = category.map(Category::new);
    let (Some(identity), None | Some(Some(_)), Some(_)) = (identity, &category, token_time(&token))
    else {
        return Ok(ImportOutcome::Unusable);
    };
    loop {
        let stored = node.store.find(&identity).await?;
        match stored.as_ref().and_then(|row| row.content.as_ref()) {
            Some(present) if present.is_of(&token) => return Ok(ImportOutcome::Present),
            Some(_) => return Ok(ImportOutcome::Taken),
            None if dry_run => return Ok(ImportOutcome::Written),
            None => {}
        }
        let write = Write {
            identity: identity.clone(),
            seen: Seen::NothingLive,
            named: None,
            change: Change::Bring {
                category: category.clone().flatten(),
                token: token.clone(),
                seal,
                created_at,
            },
        };
        match node.store.write(write, terms.level).await {
            Ok(_) => return Ok(ImportOutcome::Written),
            Err(WriteError::Changed) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
