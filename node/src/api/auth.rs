//! Who is calling: proofs that a handler asks for in its signature.

use axum::{extract::FromRequestParts, http::request::Parts};

use super::{Node, error::ApiError};
use crate::crypto::UserKey;

/// Proof that the caller may use the client routes: it showed an API key, or none is required.
#[derive(Debug)]
pub(super) struct Client;

impl FromRequestParts<Node> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let Some(accepted) = &node.api_keys else {
            return Ok(Self);
        };
        match parts.headers.get("x-api-key") {
            None => Err(ApiError::MissingApiKey),
            Some(key) if key.is_empty() => Err(ApiError::MissingApiKey),
            Some(key) if accepted.accept(key.as_bytes()) => Ok(Self),
            Some(_) => Err(ApiError::InvalidApiKey),
        }
    }
}

/// The passphrase of the caller's entries.
#[derive(Debug)]
pub(super) struct CallerKey(pub(super) UserKey);

impl FromRequestParts<Node> for CallerKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let header = parts
            .headers
            .get("x-user-key")
            .ok_or(ApiError::MissingUserKey)?;
        let key = UserKey::from_header(header.as_bytes());
        if key.characters() < node.min_user_key_length {
            return Err(ApiError::ShortUserKey {
                minimum: node.min_user_key_length,
            });
        }
        Ok(Self(key))
    }
}
