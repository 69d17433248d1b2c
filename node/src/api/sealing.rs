//! Values under the caller's key: opening what is stored, sealing what comes in.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{
    NodeState,
    answer::error::ApiError,
    extract::auth::Caller,
    large_values::{LARGE, LARGE_TOKEN, work},
    value_text::ValueText,
};
use crate::{
    crypto::{DataKey, Names, Unopened},
    domain::{Category, Content, Identity, Row, Seal},
    log::logged_name,
    store::ReadError,
};

/// The value of a row, for a caller whose key opens it.
pub(super) async fn open(
    node: &NodeState,
    caller: &Caller<'_>,
    row: &Arc<Row>,
) -> Result<ValueText, ApiError> {
    let data_key = &caller.derivation.key;
    let opened = if token_of(row).len() <= LARGE_TOKEN {
        open_row(data_key, row)
    } else {
        let (data_key, row) = (Arc::clone(data_key), Arc::clone(row));
        work(node, move || open_row(&data_key, &row)).await?
    };
    let (environment, key) = names(&row.identity);
    let value = match opened {
        Ok(value) => value,
        Err(Unopened::Closed(_)) => {
            return Err(caller.failed(node, key));
        }
        Err(Unopened::Misplaced) => {
            caller.opened(node, row.created_at);
            node.metrics.store.misplaced();
            return Err(ReadError::misplaced(&row.identity).into());
        }
        Err(unopened @ Unopened::Altered) => {
            caller.opened(node, row.created_at);
            return Err(ApiError::Internal(unopened.into()));
        }
    };
    caller.opened(node, row.created_at);
    node.metrics.decrypted();
    value.map_err(|reason| unreadable(environment, key, reason))
}

/// The token of a row's value.
pub(super) fn token_of(row: &Row) -> &str {
    let content = row.content.as_ref();
    content.and_then(Content::token).unwrap_or_default()
}

fn open_row(key: &DataKey, row: &Row) -> Result<Result<ValueText, String>, Unopened> {
    key.open_value(names(&row.identity), token_of(row), row.extra.as_deref())
        .map(ValueText::of_plaintext)
}

/// The token of an entry's value, and what binds it to the entry.
pub(super) async fn seal(
    node: &NodeState,
    key: &Arc<DataKey>,
    identity: &Identity,
    value: &ValueText,
) -> Result<(String, Seal), ApiError> {
    let (now, identity) = ((node.clock)(), identity.clone());
    let sealed = with_plaintext(node, key, value, move |key, plaintext| {
        key.seal_value(names(&identity), plaintext.as_bytes(), now)
    });
    Ok(sealed.await??)
}

/// The token of a value for a node that keeps no seals.
pub(super) async fn seal_unbound(
    node: &NodeState,
    key: &Arc<DataKey>,
    value: &ValueText,
) -> Result<String, ApiError> {
    let now = (node.clock)();
    let sealed = with_plaintext(node, key, value, move |key, plaintext| {
        key.seal(plaintext.as_bytes(), now)
    });
    Ok(sealed.await??)
}

/// What a create is known by, beside its entry, its value and its key.
#[derive(Debug)]
pub(super) struct Asked {
    /// The name that its caller gave it.
    pub(super) request: String,
    /// The category of the new entry.
    pub(super) category: Option<Category>,
}

/// By what a store knows a create again that is repeated: only a client that has the key can ask the same.
pub(super) async fn mark(
    node: &NodeState,
    key: &Arc<DataKey>,
    identity: &Identity,
    value: &ValueText,
    Asked { request, category }: Asked,
) -> Result<String, ApiError> {
    let identity = identity.clone();
    with_plaintext(node, key, value, move |key, plaintext| {
        let category = category.as_ref().map_or("", Category::as_str);
        key.mark_of(
            names(&identity),
            &[request.as_str(), category, plaintext.as_str()],
        )
    })
    .await
}

/// Does something with the text that is stored of a value: here with a small one, beside the serving threads with others.
async fn with_plaintext<T: Send + 'static>(
    node: &NodeState,
    key: &Arc<DataKey>,
    value: &ValueText,
    act: impl FnOnce(&DataKey, &Zeroizing<String>) -> T + Send + 'static,
) -> Result<T, ApiError> {
    if value.len() <= LARGE {
        return Ok(act(key, &value.to_storage()));
    }
    let (key, value) = (Arc::clone(key), value.clone());
    work(node, move || act(&key, &value.to_storage())).await
}

/// Logs that a list passes over a value that opens, because it was written for another entry or its row was changed.
pub(super) fn tell_passed_over(node: &NodeState, entry: Names<'_>, unopened: Unopened) {
    match unopened {
        Unopened::Closed(_) => {}
        Unopened::Misplaced => tell_misplaced(node, entry),
        Unopened::Altered => {
            let (key, environment) = (logged_name(entry.1), logged_name(entry.0));
            tracing::error!(%key, %environment, what = %unopened, "damaged_entry_not_listed");
        }
    }
}

/// Logs and counts a value that opens for another entry than the one it stands at.
fn tell_misplaced(node: &NodeState, (environment, key): Names<'_>) {
    node.metrics.store.misplaced();
    tracing::error!(
        key = %logged_name(key),
        environment = %logged_name(environment),
        "value_misplaced"
    );
}

fn names(identity: &Identity) -> Names<'_> {
    (identity.environment.as_str(), identity.key.as_str())
}

/// A value that opens but is no JSON; names the entry, never the value.
pub(super) fn unreadable(environment: &str, key: &str, reason: String) -> ApiError {
    ApiError::Unreadable {
        key: key.to_owned(),
        environment: (!environment.is_empty()).then(|| environment.to_owned()),
        reason,
    }
}
