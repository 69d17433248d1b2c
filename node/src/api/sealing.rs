//! Values under the caller's key: opening what is stored, sealing what comes in.

use super::{NodeState, auth::Caller, error::ApiError};
use crate::{
    crypto::DataKey,
    domain::Row,
    json::{Json, parse},
};

/// Stored plaintexts were bounded when they came in; those of an old database may nest deeper.
const MAX_STORED_DEPTH: usize = 512;

/// The value of a row, for a caller whose key opens it.
pub(super) fn open(node: &NodeState, caller: &Caller, row: &Row) -> Result<Json, ApiError> {
    let token = row.token.as_deref().unwrap_or_default();
    let Ok(plaintext) = caller.derivation.key.open(token) else {
        caller.failed(node);
        return Err(ApiError::WrongUserKey {
            key: row.identity.key.as_str().to_owned(),
        });
    };
    caller.proved(node);
    node.metrics.decrypted();
    let (environment, key) = (row.identity.environment.as_str(), row.identity.key.as_str());
    read_plaintext(&plaintext).map_err(|reason| unreadable(environment, key, &reason))
}

/// The token of a value.
pub(super) fn seal(node: &NodeState, key: &DataKey, value: &Json) -> Result<String, ApiError> {
    let token = key.seal(value.to_python().as_bytes(), (node.clock)())?;
    node.metrics.encrypted();
    Ok(token)
}

/// Reads what a token held.
pub(super) fn read_plaintext(plaintext: &[u8]) -> Result<Json, String> {
    let text = std::str::from_utf8(plaintext).map_err(|error| error.to_string())?;
    parse(text, MAX_STORED_DEPTH).map_err(|error| error.to_string())
}

/// A value that opens but is no JSON; names the entry to the log, never the value.
pub(super) fn unreadable(environment: &str, key: &str, reason: &str) -> ApiError {
    ApiError::Internal(
        format!(
            "the plaintext of '{key}' in environment '{environment}' is no JSON value: {reason}"
        )
        .into(),
    )
}
