//! The API's description, and a page to read and try it. Public; served from the binary.

use std::sync::Arc;

use axum::{
    Extension,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use utoipa_swagger_ui::Config;

use crate::api::{error::ApiError, protective_headers::DOCS_POLICY};

/// The OpenAPI document as it is sent.
#[derive(Debug, Clone)]
pub(in crate::api) struct OpenApiJson(pub(in crate::api) Arc<str>);

/// This document
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "service",
    responses((status = 200, body = serde_json::Value, description = "OpenAPI 3.1")),
)]
pub(in crate::api) async fn openapi(
    Extension(OpenApiJson(document)): Extension<OpenApiJson>,
) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        document.to_string(),
    )
        .into_response()
}

/// A page to read and try the API
///
/// Swagger UI, served from the binary; its files are below `/docs/`.
#[utoipa::path(
    get, path = "/docs", operation_id = "docs", tag = "service",
    responses((status = 200, body = String, content_type = "text/html", description = "The page")),
)]
pub(in crate::api) async fn page() -> Result<Response, ApiError> {
    let index = file("index.html")?;
    let html =
        String::from_utf8_lossy(&index.bytes).replace("<head>", "<head><base href=\"/docs/\">");
    Ok(([DOCS_POLICY], Html(html)).into_response())
}

/// `GET /docs/{file}`
pub(in crate::api) async fn asset(Path(name): Path<String>) -> Result<Response, ApiError> {
    let file = file(&name)?;
    let content_type = HeaderValue::try_from(file.content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [(header::CONTENT_TYPE, content_type), DOCS_POLICY];
    Ok((headers, file.bytes).into_response())
}

/// The other page of the original
#[utoipa::path(
    get, path = "/redoc", operation_id = "redoc", tag = "service",
    responses((status = 307, description = "There is one page, and this is not it", headers(("Location" = String)))),
)]
pub(in crate::api) async fn redoc() -> Response {
    (
        StatusCode::TEMPORARY_REDIRECT,
        [(header::LOCATION, "/docs")],
    )
        .into_response()
}

struct Asset {
    bytes: Vec<u8>,
    content_type: String,
}

fn file(name: &str) -> Result<Asset, ApiError> {
    let found = utoipa_swagger_ui::serve(name, Arc::new(Config::from("/openapi.json")));
    let file = found.ok().flatten().ok_or(ApiError::UnknownRoute)?;
    Ok(Asset {
        bytes: file.bytes.into_owned(),
        content_type: file.content_type,
    })
}
