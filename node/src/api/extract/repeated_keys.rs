//! Headers with keys that a request has twice: a proxy and this node might look at different ones.

use axum::http::HeaderMap;
use opensecureconf_contract::key_header;

use crate::api::answer::error::ApiError;

/// Their names, as they are on the wire and as people write them.
const KEYS: [(&str, &str); 3] = [
    (key_header::API_KEY, "X-API-Key"),
    ("x-user-key", "X-User-Key"),
    (key_header::CLUSTER_KEY, "X-Cluster-Key"),
];

/// Refuses a request that has a key twice, before any key is compared.
///
/// # Errors
/// The header's name.
pub(in crate::api) fn judge(headers: &HeaderMap) -> Result<(), ApiError> {
    let repeated = |(name, _): &&(&str, &str)| headers.get_all(*name).iter().nth(1).is_some();
    match KEYS.iter().find(repeated) {
        None => Ok(()),
        Some((_, name)) => Err(ApiError::RepeatedKey(name)),
    }
}
