//! Which entry a path and a query name.

use axum::extract::Request;
use percent_encoding::percent_decode_str;

use super::query::Query;
use crate::{
    api::answer::{error::ApiError, problem::Problem},
    domain::{ConfigKey, Environment, Identity},
};

/// The environment that the query names, the default one where it names none.
pub(in crate::api) fn environment_of(query: &Query) -> Result<Environment, ApiError> {
    let named = query.get("environment").unwrap_or_default();
    Environment::new(named.to_owned()).ok_or_else(|| {
        let problem = Problem::too_long(&["query", "environment"], Environment::MAX_CHARACTERS);
        ApiError::Invalid(vec![problem])
    })
}

/// The entry of a path such as `/configs/{key}`. A name that cannot exist is not found.
pub(in crate::api) fn identity_of(
    request: &Request,
    prefix: &str,
    query: &Query,
) -> Result<Identity, ApiError> {
    let raw = request
        .uri()
        .path()
        .strip_prefix(prefix)
        .unwrap_or_default();
    // Decoded here and not by the router: invalid UTF-8 becomes U+FFFD, as in the original.
    let text = percent_decode_str(raw).decode_utf8_lossy().into_owned();
    identity(&text, query)
}

/// The entry of this name, in the environment that the query names. A name that cannot exist is not found.
pub(in crate::api) fn identity(text: &str, query: &Query) -> Result<Identity, ApiError> {
    let named = query.get("environment").unwrap_or_default();
    let absent = || ApiError::NotFound {
        key: text.to_owned(),
        environment: (!named.is_empty()).then(|| named.to_owned()),
    };
    Ok(Identity {
        environment: Environment::new(named.to_owned()).ok_or_else(absent)?,
        key: ConfigKey::new(text.to_owned()).ok_or_else(absent)?,
    })
}
