//! Values under the caller's key: opening what is stored, sealing what comes in.

use zeroize::Zeroizing;

use super::{NodeState, auth::Caller, error::ApiError};
use crate::{
    crypto::{DataKey, Names, Unopened},
    domain::{Content, Identity, Row, Seal},
    json::{Json, parse},
    store::ReadError,
};

/// Stored plaintexts were bounded when they came in; those of an old database nest as deep as Python reads and writes,
/// which is less than this. Threads that serve requests have stacks for it (see `serve::STACK`).
const MAX_STORED_DEPTH: usize = 2000;

/// The value of a row, for a caller whose key opens it.
pub(super) fn open(node: &NodeState, caller: &Caller<'_>, row: &Row) -> Result<Json, ApiError> {
    let token = row
        .content
        .as_ref()
        .and_then(Content::token)
        .unwrap_or_default();
    let entry @ (environment, key) = names(&row.identity);
    let key_of_caller = &caller.derivation.key;
    let plaintext = match key_of_caller.open_value(entry, token, row.extra.as_deref()) {
        Ok(plaintext) => plaintext,
        Err(Unopened::Closed(_)) => {
            return Err(caller.failed(node, key));
        }
        Err(Unopened::Misplaced) => {
            caller.opened(node, row.created_at);
            node.metrics.store.misplaced();
            return Err(ReadError::misplaced(&row.identity).into());
        }
    };
    caller.opened(node, row.created_at);
    node.metrics.decrypted();
    read_plaintext(&plaintext).map_err(|reason| unreadable(environment, key, reason))
}

/// The token of an entry's value, and what binds it to the entry.
pub(super) fn seal(
    node: &NodeState,
    key: &DataKey,
    identity: &Identity,
    value: &Json,
) -> Result<(String, Seal), ApiError> {
    let plaintext = Zeroizing::new(value.to_python());
    Ok(key.seal_value(names(identity), plaintext.as_bytes(), (node.clock)())?)
}

/// The token of a value for a node that keeps no seals.
pub(super) fn seal_unbound(
    node: &NodeState,
    key: &DataKey,
    value: &Json,
) -> Result<String, ApiError> {
    let plaintext = Zeroizing::new(value.to_python());
    Ok(key.seal(plaintext.as_bytes(), (node.clock)())?)
}

/// A value that opens for another entry than the one it stands at: told, and passed over.
pub(super) fn tell_misplaced(node: &NodeState, (environment, key): Names<'_>) {
    node.metrics.store.misplaced();
    tracing::error!(key, environment, "value_misplaced");
}

fn names(identity: &Identity) -> Names<'_> {
    (identity.environment.as_str(), identity.key.as_str())
}

/// Reads what a token held.
pub(super) fn read_plaintext(plaintext: &[u8]) -> Result<Json, String> {
    let text = std::str::from_utf8(plaintext).map_err(|error| error.to_string())?;
    parse(text, MAX_STORED_DEPTH).map_err(|error| error.to_string())
}

/// A value that opens but is no JSON; names the entry, never the value.
pub(super) fn unreadable(environment: &str, key: &str, reason: String) -> ApiError {
    ApiError::Unreadable {
        key: key.to_owned(),
        environment: (!environment.is_empty()).then(|| environment.to_owned()),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_value_fits_the_stack_and_a_deeper_one_is_refused() {
        let nested =
            |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
        let on_a_serving_thread = move || {
            for (open, close) in [("[", "]"), ("{\"a\": ", "}")] {
                let text = nested(open, close, MAX_STORED_DEPTH);
                let value = read_plaintext(text.as_bytes()).unwrap();
                assert_eq!(value.to_python(), text);
                assert!(!value.has_lone_surrogate());
                read_plaintext(nested(open, close, MAX_STORED_DEPTH + 1).as_bytes()).unwrap_err();
            }
        };
        std::thread::Builder::new()
            .stack_size(crate::serve::STACK)
            .spawn(on_a_serving_thread)
            .unwrap()
            .join()
            .unwrap();
    }
}
