//! Refusals by status, for the kinds of route that share them.
#![expect(dead_code, reason = "only the descriptions are used, for the document")]

use utoipa::IntoResponses;

use super::bodies::{HTTPValidationError, Refusal};

#[derive(Debug, IntoResponses)]
pub(in crate::api) enum NewEntry {
    /// The configuration exists, or the body is no text
    #[response(status = 400)]
    Exists(#[to_schema] Refusal),
    /// The user key is too short
    #[response(status = 401)]
    ShortUserKey(#[to_schema] Refusal),
    /// The API key is missing or wrong
    #[response(status = 403)]
    Forbidden(#[to_schema] Refusal),
    /// Others change the configuration all the time; nothing was written (federated)
    #[response(status = 409)]
    Changed(#[to_schema] Refusal),
    /// The body is too large
    #[response(status = 413)]
    TooLarge(#[to_schema] Refusal),
    /// Headers or body are not valid
    #[response(status = 422)]
    Invalid(#[to_schema] HTTPValidationError),
    /// Too many wrong keys from this address; see `Retry-After`
    #[response(status = 429)]
    Throttled(#[to_schema] Refusal),
    /// The fault is the node's
    #[response(status = 500)]
    Internal(#[to_schema] Refusal),
    /// Nothing was done; try again, see `Retry-After`
    #[response(status = 503)]
    Unavailable(#[to_schema] Refusal),
    /// The disk is full
    #[response(status = 507)]
    DiskFull(#[to_schema] Refusal),
}

#[derive(Debug, IntoResponses)]
pub(in crate::api) enum ExistingEntry {
    /// The body is no text
    #[response(status = 400)]
    UnreadableBody(#[to_schema] Refusal),
    /// The user key is too short
    #[response(status = 401)]
    ShortUserKey(#[to_schema] Refusal),
    /// The API key is missing or wrong, or the user key does not open the configuration
    #[response(status = 403)]
    Forbidden(#[to_schema] Refusal),
    /// There is no such configuration; with `X-OSC-Lost` its value is lost with the node that had it (federated)
    #[response(status = 404)]
    NotFound(#[to_schema] Refusal),
    /// Others change the configuration all the time; nothing was written (federated)
    #[response(status = 409)]
    Changed(#[to_schema] Refusal),
    /// A condition of the request does not hold
    #[response(status = 412)]
    PreconditionFailed(#[to_schema] Refusal),
    /// The body is too large
    #[response(status = 413)]
    TooLarge(#[to_schema] Refusal),
    /// Headers, query or body are not valid
    #[response(status = 422)]
    Invalid(#[to_schema] HTTPValidationError),
    /// Too many wrong keys from this address; see `Retry-After`
    #[response(status = 429)]
    Throttled(#[to_schema] Refusal),
    /// The fault is the node's
    #[response(status = 500)]
    Internal(#[to_schema] Refusal),
    /// Nothing was done; try again, see `Retry-After`. In federated mode `X-OSC-Missing-Nodes` names who would have to answer
    #[response(status = 503)]
    Unavailable(#[to_schema] Refusal),
    /// The disk is full
    #[response(status = 507)]
    DiskFull(#[to_schema] Refusal),
}

#[derive(Debug, IntoResponses)]
pub(in crate::api) enum BatchRefusals {
    /// The body is no text; all or nothing: a name is taken
    #[response(status = 400)]
    Exists(#[to_schema] Refusal),
    /// The user key is too short
    #[response(status = 401)]
    ShortUserKey(#[to_schema] Refusal),
    /// The API key is missing or wrong; all or nothing: the user key does not open a configuration
    #[response(status = 403)]
    Forbidden(#[to_schema] Refusal),
    /// All or nothing: there is no such configuration
    #[response(status = 404)]
    NotFound(#[to_schema] Refusal),
    /// All or nothing: others change a configuration all the time, or its value is at another node (federated)
    #[response(status = 409)]
    Changed(#[to_schema] Refusal),
    /// All or nothing: a condition of a row does not hold
    #[response(status = 412)]
    PreconditionFailed(#[to_schema] Refusal),
    /// The body is too large
    #[response(status = 413)]
    TooLarge(#[to_schema] Refusal),
    /// Headers, query or body are not valid: no array, more than 1,000 rows, or two rows of one configuration
    #[response(status = 422)]
    Invalid(#[to_schema] HTTPValidationError),
    /// Too many wrong keys from this address; see `Retry-After`
    #[response(status = 429)]
    Throttled(#[to_schema] Refusal),
    /// The fault is the node's
    #[response(status = 500)]
    Internal(#[to_schema] Refusal),
    /// Nothing was done; try again, see `Retry-After`
    #[response(status = 503)]
    Unavailable(#[to_schema] Refusal),
    /// The disk is full
    #[response(status = 507)]
    DiskFull(#[to_schema] Refusal),
}

#[derive(Debug, IntoResponses)]
pub(in crate::api) enum ListRefusals {
    /// The user key is too short
    #[response(status = 401)]
    ShortUserKey(#[to_schema] Refusal),
    /// The API key is missing or wrong
    #[response(status = 403)]
    Forbidden(#[to_schema] Refusal),
    /// Headers or query are not valid
    #[response(status = 422)]
    Invalid(#[to_schema] HTTPValidationError),
    /// Too many wrong keys from this address, too many rows listed, or another list without `limit` under way; see `Retry-After`
    #[response(status = 429)]
    Throttled(#[to_schema] Refusal),
    /// The fault is the node's
    #[response(status = 500)]
    Internal(#[to_schema] Refusal),
    /// Nothing was done; try again, see `Retry-After`
    #[response(status = 503)]
    Unavailable(#[to_schema] Refusal),
}

#[derive(Debug, IntoResponses)]
pub(in crate::api) enum ClientRefusals {
    /// The API key is missing or wrong
    #[response(status = 403)]
    Forbidden(#[to_schema] Refusal),
    /// Too many wrong keys from this address; see `Retry-After`
    #[response(status = 429)]
    Throttled(#[to_schema] Refusal),
}

#[derive(Debug, IntoResponses)]
pub(in crate::api) enum OwnerRefusals {
    /// The cluster key or the client certificate is missing or wrong
    #[response(status = 403)]
    Forbidden(#[to_schema] Refusal),
    /// There is no such configuration, or this node has no cluster key
    #[response(status = 404)]
    NotFound(#[to_schema] Refusal),
    /// The body is not valid
    #[response(status = 422)]
    Invalid(#[to_schema] HTTPValidationError),
    /// Too many wrong keys from this address; see `Retry-After`
    #[response(status = 429)]
    Throttled(#[to_schema] Refusal),
    /// The fault is the node's
    #[response(status = 500)]
    Internal(#[to_schema] Refusal),
}
