//! What a client may ask of a create: the terms of every write, and that it is known again when it is repeated.

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, request::Parts},
};

use super::write_terms::RequestedTerms;
use crate::{
    api::{
        Node,
        answer::{error::ApiError, problem::Problem},
    },
    entries::WriteTerms,
};

/// Names a create that its caller repeats where he got no answer.
const REQUEST: HeaderName = HeaderName::from_static("x-osc-request-id");
/// Characters of such a name at most.
const LONGEST: usize = 128;

/// The terms of a create.
#[derive(Debug)]
pub(in crate::api) struct CreateTerms {
    /// Those of every write.
    pub(in crate::api) terms: WriteTerms,
    /// The name of the request, where its store can keep one.
    pub(in crate::api) request: Option<String>,
}

impl FromRequestParts<Node> for CreateTerms {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let RequestedTerms(terms) = RequestedTerms::from_request_parts(parts, node).await?;
        let given = parts.headers.get(REQUEST);
        // A node that keeps entries itself always knows whether it wrote.
        let given = given.filter(|_| node.kind.replicating().is_none());
        let request = given
            .map(|value| {
                let text = value.to_str().unwrap_or_default().trim();
                let fits = (1..=LONGEST).contains(&text.len());
                fits.then(|| text.to_owned()).ok_or_else(|| {
                    ApiError::Invalid(vec![Problem::no_choice(
                        &["header", "x-osc-request-id"],
                        "1 to 128 printable characters",
                    )])
                })
            })
            .transpose()?;
        Ok(Self { terms, request })
    }
}
