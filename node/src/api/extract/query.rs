//! Query strings, read as the original reads them.

use std::{borrow::Cow, convert::Infallible};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::api::answer::{
    entry_json::{Form, Format},
    error::ApiError,
    problem::Problem,
};

/// The parameters of a request. Unknown ones are ignored; of a repeated one the last counts.
#[derive(Debug, Clone)]
pub(in crate::api) struct Query(Vec<(String, String)>);

impl Query {
    /// The value of a parameter; an empty one counts as absent.
    pub(in crate::api) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().rfind(|(given, _)| given == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// Whether a switch is on.
    pub(in crate::api) fn is_on(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::Invalid(vec![Problem::no_choice(
                &["query", name],
                "'true' or 'false'",
            )])),
        }
    }

    /// `mode=short` or `mode=full`.
    pub(in crate::api) fn form(&self) -> Result<Form, ApiError> {
        match self.get("mode") {
            None | Some("short") => Ok(Form::Short),
            Some("full") => Ok(Form::Full),
            Some(_) => Err(ApiError::Invalid(vec![Problem::no_choice(
                &["query", "mode"],
                "'short' or 'full'",
            )])),
        }
    }

    /// `format=json` or `format=text`.
    pub(in crate::api) fn format(&self) -> Result<Format, ApiError> {
        match self.get("format") {
            None | Some("json") => Ok(Format::Json),
            Some("text") => Ok(Format::Text),
            Some(_) => Err(ApiError::Invalid(vec![Problem::no_choice(
                &["query", "format"],
                "'json' or 'text'",
            )])),
        }
    }

    /// The query with one parameter set to another value.
    pub(in crate::api) fn with(&self, name: &str, value: &str) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.0.iter().filter(|(given, _)| given != name))
            .append_pair(name, value)
            .finish()
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
