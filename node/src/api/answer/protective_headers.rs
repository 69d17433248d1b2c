//! Headers that instruct browsers and proxies what they must not do with an answer.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// In seconds.
const SOON: HeaderValue = HeaderValue::from_static("1");
/// Routes whose answers are the same for every client.
const PUBLIC_PAGES: [&str; 4] = ["/docs", "/docs/{file}", "/redoc", "/openapi.json"];

/// What the page of `/docs` may load: what this node itself serves. Swagger UI sets styles of elements, and draws with
/// `data:` images.
pub(in crate::api) const DOCS_POLICY: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
    ),
);

/// Adds them to an answer of this route. Every answer that may hold a value, a salt or a list is kept by no cache; a route is
/// taken for one that does unless it is known not to. A refusal is true for its moment only, wherever it is made; a client that
/// may come back learns when.
pub(in crate::api) fn protect(route: &str, status: StatusCode, headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    let refuses = status.is_client_error() || status.is_server_error();
    if refuses || !PUBLIC_PAGES.contains(&route) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
    let comes_back = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if comes_back.contains(&status) && !headers.contains_key(header::RETRY_AFTER) {
        headers.insert(header::RETRY_AFTER, SOON);
    }
}
