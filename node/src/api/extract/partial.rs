//! Whether an answer may lack what only nodes know that do not answer (`?partial=allow`).

use super::query::Query;
use crate::{
    api::answer::{error::ApiError, problem::Problem},
    entries::Partial,
};

impl Partial {
    /// What a query says of it.
    pub(in crate::api) fn of(query: &Query) -> Result<Self, ApiError> {
        match query.get("partial") {
            None | Some("deny") => Ok(Self::Deny),
            Some("allow") => Ok(Self::Allow),
            Some(_) => Err(ApiError::Invalid(vec![Problem::no_choice(
                &["query", "partial"],
                "'allow' or 'deny'",
            )])),
        }
    }
}
