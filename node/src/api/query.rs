//! Query strings, read as the original reads them.

use axum::{extract::FromRequestParts, http::request::Parts};
use std::{borrow::Cow, convert::Infallible};

/// The parameters of a request. Unknown ones are ignored; of a repeated one the last counts.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// The value of a parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().rfind(|(given, _)| given == name)?;
        (!value.is_empty()).then_some(value)
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = parts.uri.query().unwrap_or_default();
        let owned =
            |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
        Ok(Self(
            form_urlencoded::parse(text.as_bytes()).map(owned).collect(),
        ))
    }
}
