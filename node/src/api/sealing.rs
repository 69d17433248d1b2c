//! Values under the caller's key: opening what is stored, sealing what comes in.

use super::{NodeState, auth::Caller, error::ApiError};
use crate::{
    crypto::DataKey,
    domain::{Content, Row},
    json::{Json, parse},
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
    let Ok(plaintext) = caller.derivation.key.open(token) else {
        caller.failed(node);
        return Err(ApiError::WrongUserKey {
            key: row.identity.key.as_str().to_owned(),
        });
    };
    caller.opened(node, row.created_at);
    node.metrics.decrypted();
    let (environment, key) = (row.identity.environment.as_str(), row.identity.key.as_str());
    read_plaintext(&plaintext).map_err(|reason| unreadable(environment, key, reason))
}

/// The token of a value.
pub(super) fn seal(node: &NodeState, key: &DataKey, value: &Json) -> Result<String, ApiError> {
    Ok(key.seal(value.to_python().as_bytes(), (node.clock)())?)
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
