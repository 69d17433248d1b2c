//! JSON in memory of exactly its length: what grows while it is written takes up to three times as much.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Serialize;

use super::error::ApiError;

/// How long the JSON of a value is, in bytes.
pub(in crate::api) fn length(value: &impl Serialize) -> Result<usize, ApiError> {
    let mut length = Length::default();
    serde_json::to_writer(&mut length, value).map_err(internal)?;
    Ok(length.0)
}

/// A value as an answer of this length; the value is gone then.
pub(in crate::api) fn answer(value: impl Serialize, length: usize) -> Result<Response, ApiError> {
    let text = text(value, length)?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], text).into_response())
}

fn text(value: impl Serialize, length: usize) -> Result<Bytes, ApiError> {
    let mut text = Vec::with_capacity(length);
    serde_json::to_writer(&mut text, &value).map_err(internal)?;
    Ok(text.into())
}

fn internal(error: serde_json::Error) -> ApiError {
    ApiError::Internal(error.into())
}

/// Counts what is written and keeps nothing of it.
#[derive(Debug, Default)]
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_as_long_as_it_was_measured() {
        let value = json!({"a": [1, "\u{e9}\n", null], "b": "x".repeat(10_000)});
        let measured = length(&value).unwrap();
        assert_eq!(text(&value, measured).unwrap(), value.to_string());
        assert_eq!(measured, value.to_string().len());
    }
}
