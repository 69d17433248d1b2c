//! The API's description, and a page to read and try it. Public; served from the binary.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use axum::{
    Extension,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use utoipa_swagger_ui::Config;

use crate::api::{
    answer::{error::ApiError, protective_headers::DOCS_POLICY, untaken::Shared},
    openapi_document,
};

/// This document
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "service",
    responses((status = 200, body = serde_json::Value, description = "OpenAPI 3.1")),
)]
pub(in crate::api) async fn openapi() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| openapi_document().to_json().unwrap_or_default().into());
    shared("application/json".to_owned(), document.clone())
}

/// A page to read and try the API
///
/// Swagger UI, served from the binary; its files are below `/docs/`.
#[utoipa::path(
    get, path = "/docs", operation_id = "docs", tag = "service",
    responses((status = 200, body = String, content_type = "text/html", description = "The page")),
)]
pub(in crate::api) async fn page() -> Result<Response, ApiError> {
    static PAGE: OnceLock<Bytes> = OnceLock::new();
    let page = if let Some(page) = PAGE.get() {
        page.clone()
    } else {
        let index = file("index.html")?;
        let html =
            String::from_utf8_lossy(&index.bytes).replace("<head>", "<head><base href=\"/docs/\">");
        PAGE.get_or_init(|| html.into()).clone()
    };
    let page = shared("text/html; charset=utf-8".to_owned(), page);
    Ok(([DOCS_POLICY], page).into_response())
}

/// `GET /docs/{file}`
pub(in crate::api) async fn asset(Path(name): Path<String>) -> Result<Response, ApiError> {
    let file = file(&name)?;
    let asset = shared(file.content_type, file.bytes);
    Ok(([DOCS_POLICY], asset).into_response())
}

/// An answer that lies in memory once, however many clients take it.
fn shared(content_type: String, bytes: Bytes) -> Response {
    let content_type = HeaderValue::try_from(content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [(header::CONTENT_TYPE, content_type)];
    (Extension(Shared), headers, bytes).into_response()
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
    bytes: Bytes,
    content_type: String,
}

fn file(name: &str) -> Result<Asset, ApiError> {
    let found = utoipa_swagger_ui::serve(name, Arc::new(Config::from("/openapi.json")));
    let file = found.ok().flatten().ok_or(ApiError::UnknownRoute)?;
    Ok(Asset {
        bytes: match file.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        },
        content_type: file.content_type,
    })
}
