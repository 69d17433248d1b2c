//! What a client may ask of a write: how many nodes must hold it, and which version it comes after.

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};

use super::conditional::VERSION;
use crate::{
    api::{
        Node,
        answer::{error::ApiError, problem::Problem},
    },
    cluster::{AckLevel, Written},
    domain::Version,
    entries::WriteTerms,
};

/// Asks for an acknowledgement level.
const LEVEL: HeaderName = HeaderName::from_static("x-osc-ack");
/// Says how many nodes hold a write, of how many: `2/3`.
const ACKNOWLEDGED: HeaderName = HeaderName::from_static("x-osc-acked");

/// The terms that a request names.
#[derive(Debug)]
pub(in crate::api) struct RequestedTerms(pub(in crate::api) WriteTerms);

impl FromRequestParts<Node> for RequestedTerms {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let text = |name: &HeaderName| {
            parts
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap_or_default())
        };
        let level = match text(&LEVEL) {
            None => node
                .kind
                .replicating()
                .map_or_else(AckLevel::default, |node| node.write_ack),
            Some(text) => text.parse().map_err(|_| {
                ApiError::Invalid(vec![Problem::no_choice(
                    &["header", "x-osc-ack"],
                    "'local', 'healthy' or 'all'",
                )])
            })?,
        };
        if level != AckLevel::default() && node.kind.replicating().is_none() {
            return Err(ApiError::NoAckLevels);
        }
        let named = match text(&VERSION) {
            None => None,
            Some(text) => Some(version(text, "x-osc-version")?.clock),
        };
        Ok(Self(WriteTerms { level, named }))
    }
}

/// Reads a version that a header holds. One from the far future is refused: the clock would follow it.
pub(in crate::api) fn version(text: &str, header: &'static str) -> Result<Version, ApiError> {
    text.trim_matches('"')
        .parse::<Version>()
        .ok()
        .filter(|version| version.clock.is_plausible())
        .ok_or_else(|| {
            ApiError::Invalid(vec![Problem::no_choice(
                &["header", header],
                "a version, as X-OSC-Version names one",
            )])
        })
}

impl WriteTerms {
    /// The answer to a write: 202 where fewer nodes hold it than were demanded.
    pub(in crate::api) fn answer(
        &self,
        written: Written,
        status: StatusCode,
    ) -> (StatusCode, Acked) {
        let short = self.level == AckLevel::All && written.held_by < written.wanted;
        let status = if short { StatusCode::ACCEPTED } else { status };
        (status, Acked(written))
    }
}

/// Says how many nodes hold a write, where there is more than one.
#[derive(Debug)]
pub(in crate::api) struct Acked(Written);

impl Acked {
    /// Adds the header.
    pub(in crate::api) fn tell(self, mut response: Response) -> Response {
        let Written {
            held_by, wanted, ..
        } = self.0;
        if wanted > 1
            && let Ok(value) = HeaderValue::try_from(format!("{held_by}/{wanted}"))
        {
            response.headers_mut().insert(ACKNOWLEDGED, value);
        }
        response.into_response()
    }
}
