//! All routes.

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    Node,
    error::ApiError,
    observe::observe,
    routes::{cluster, configs, health, metrics, root},
};

/// The service of one node.
pub fn router(node: Node) -> Router {
    Router::new()
        .route("/", get(root::root))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/cluster/status", get(cluster::status))
        .route("/cluster/health", get(cluster::health))
        .route("/configs", get(configs::list).post(configs::create))
        .route(
            "/configs/{key}",
            get(configs::read)
                .put(configs::update)
                .delete(configs::delete),
        )
        .fallback(unknown_route)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(node.clone(), observe))
        .with_state(node)
}

/// 404, or 307 to the same place without its trailing slash.
async fn unknown_route(request: Request) -> Response {
    let uri = request.uri();
    match uri.path().strip_suffix('/') {
        Some(path) if is_route(path) => {
            let query = uri
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            (
                StatusCode::TEMPORARY_REDIRECT,
                [(header::LOCATION, format!("{path}{query}"))],
            )
                .into_response()
        }
        _ => ApiError::UnknownRoute.into_response(),
    }
}

fn is_route(path: &str) -> bool {
    const FIXED: &[&str] = &[
        "/health",
        "/ready",
        "/metrics",
        "/cluster/status",
        "/cluster/health",
        "/configs",
    ];
    let entry = path
        .strip_prefix("/configs/")
        .is_some_and(|key| !key.is_empty() && !key.contains('/'));
    entry || FIXED.contains(&path)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer's callback takes the panic by value"
)]
fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned());
    ApiError::Internal(message.into()).into_response()
}
