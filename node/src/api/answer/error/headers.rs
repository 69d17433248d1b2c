//! The headers of each refusal.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::ApiError;

/// Says that a value, or so many of a list, are lost with the node that had them.
pub(in crate::api) const LOST: HeaderName = HeaderName::from_static("x-osc-lost");
/// Says that an answer is not the whole truth.
pub(in crate::api) const PARTIAL: HeaderName = HeaderName::from_static("x-osc-partial");
/// Says that a write may have been made.
const OUTCOME: HeaderName = HeaderName::from_static("x-osc-outcome");
const MISSING_NODES: HeaderName = HeaderName::from_static("x-osc-missing-nodes");

impl ApiError {
    /// What a program wants to know beside the status.
    pub(in crate::api) fn headers(&self) -> HeaderMap {
        let yes = HeaderValue::from_static("true");
        let mut headers = HeaderMap::new();
        match self {
            Self::OfRow { error, .. } => return error.headers(),
            Self::Lost { .. } => drop(headers.insert(LOST, yes)),
            Self::MissingNodes { nodes } => headers.extend(missing_nodes(nodes)),
            Self::OwnerSilent { name } => headers.extend(missing_nodes([name])),
            Self::OutcomeUnknown => {
                headers.insert(OUTCOME, HeaderValue::from_static("unknown"));
            }
            Self::NotFoundHere { nodes, .. } => {
                headers.insert(PARTIAL, yes);
                headers.extend(missing_nodes(nodes));
            }
            _ => {}
        }
        headers
    }

    /// When it is worth another try, in seconds.
    pub(super) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy
            | Self::PeersBusy
            | Self::ValuesBusy
            | Self::NoRoom(_)
            | Self::NotReady { .. }
            | Self::Behind
            | Self::MissingNodes { .. }
            | Self::OutcomeUnknown
            | Self::DatabaseAway(_)
            | Self::OwnerSilent { .. } => Some(1),
            Self::ListsBusy | Self::AnotherList | Self::StoreLost(_) | Self::NotWritten(_) => {
                Some(5)
            }
            // Rounded up: who comes back on time must not be turned away again.
            Self::TooManyFailures { retry_after } | Self::TooManyRows { retry_after } => {
                Some(retry_after.as_secs() + 1)
            }
            Self::OfRow { error, .. } => error.retry_after(),
            _ => None,
        }
    }
}

/// The header that names nodes which could not be asked.
pub(in crate::api) fn missing_nodes<'n>(
    names: impl IntoIterator<Item = &'n String>,
) -> Option<(HeaderName, HeaderValue)> {
    let names: Vec<_> = names.into_iter().map(String::as_str).collect();
    // A name with other characters than a header takes is better left out than the header.
    let value = HeaderValue::try_from(names.join(", ")).ok()?;
    Some((MISSING_NODES, value))
}
