//! All routes.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use opensecureconf_contract::key_header;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Node,
    answer::error::ApiError,
    batch::PATH as BATCH,
    observe::observe_routed,
    openapi::{Document, complete},
    ports::Served,
    routes::{
        admin, batch, cluster, configs, conflicts, docs, exchange, health, import, list,
        membership, metrics, root, salt, values,
    },
};
use crate::config::CorsOrigins;

/// All routes of one port of a node.
pub(super) fn router(node: Node, served: Served) -> Router {
    let mut router = undocumented()
        .into_iter()
        .fold(Router::from(documented()), |router, (_, path, handler)| {
            router.route(path, handler)
        });
    // An entry may have that name, too.
    router = router.route(
        BATCH,
        get(configs::read)
            .put(configs::update)
            .delete(configs::delete),
    );
    if node.ports.metrics.is_none() {
        router = router.merge(Router::from(metrics_routes()));
    }
    let router = router
        .fallback(unknown_route)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
    let router = match &node.cors {
        Some(origins) => router.layer(cors(origins)),
        None => router,
    };
    // Measured: each layer costs every request two boxes, so there is one for everything.
    router
        .layer(middleware::from_fn_with_state(
            (node.clone(), served),
            observe_routed,
        ))
        .with_state(node)
}

/// The route of a port that has nothing but `/metrics`.
pub(super) fn metrics_router(node: Node) -> Router {
    Router::new()
        .route("/metrics", get(metrics::on_its_own_port))
        .fallback(async || ApiError::UnknownRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(
            (node.clone(), Served::Metrics),
            observe_routed,
        ))
        .with_state(node)
}

/// The OpenAPI document, as `/openapi.json` has it.
pub fn openapi_document() -> utoipa::openapi::OpenApi {
    let mut document = documented().merge(metrics_routes()).split_for_parts().1;
    complete(&mut document);
    document
}

fn documented() -> OpenApiRouter<Node> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(root::root))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(configs::create, list::list))
        .routes(routes!(configs::read, configs::update, configs::delete))
        .routes(routes!(batch::batch))
        .routes(routes!(cluster::status))
        .routes(routes!(cluster::health))
        .routes(routes!(list::list_of_node))
        .routes(routes!(conflicts::conflicts))
        .routes(routes!(salt::salt, salt::receive_salt))
        .routes(routes!(membership::bootstrap))
        .routes(routes!(membership::leave))
        .routes(routes!(membership::remove))
        .routes(routes!(membership::unfence))
        .routes(routes!(docs::openapi))
        .routes(routes!(docs::page))
        .routes(routes!(docs::redoc))
        .routes(routes!(admin::purge))
        .routes(routes!(admin::log_level, admin::set_log_level))
}

/// What clients have no business with.
fn undocumented() -> Vec<(Method, &'static str, MethodRouter<Node>)> {
    vec![
        (Method::GET, "/docs/{file}", get(docs::asset)),
        (Method::POST, exchange::PATH, post(exchange::exchange)),
        (Method::POST, values::PATH, post(values::values)),
        (Method::POST, import::PATH, post(import::import)),
    ]
}

/// Every route there is: its method, and its path with the parameters in braces.
pub fn routes() -> Vec<(Method, String)> {
    let documented = openapi_document().paths.paths;
    let documented = documented.into_iter().flat_map(|(path, item)| {
        [
            (Method::GET, item.get),
            (Method::PUT, item.put),
            (Method::POST, item.post),
            (Method::DELETE, item.delete),
            (Method::PATCH, item.patch),
        ]
        .into_iter()
        .filter_map(move |(method, operation)| operation.map(|_| (method, path.clone())))
    });
    let undocumented = undocumented()
        .into_iter()
        .map(|(method, path, _)| (method, path.to_owned()));
    documented.chain(undocumented).collect()
}

fn metrics_routes() -> OpenApiRouter<Node> {
    OpenApiRouter::new().routes(routes!(metrics::metrics))
}

fn cors(origins: &CorsOrigins) -> CorsLayer {
    let origins = match origins {
        CorsOrigins::Any => AllowOrigin::any(),
        CorsOrigins::These(origins) => AllowOrigin::list(origins.clone()),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static(key_header::API_KEY),
            HeaderName::from_static("x-osc-ack"),
            HeaderName::from_static("x-osc-min-version"),
            HeaderName::from_static("x-osc-request-id"),
            HeaderName::from_static("x-osc-version"),
            HeaderName::from_static("x-user-key"),
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::RETRY_AFTER,
            HeaderName::from_static("x-osc-acked"),
            HeaderName::from_static("x-osc-lost"),
            HeaderName::from_static("x-osc-missing-nodes"),
            HeaderName::from_static("x-osc-outcome"),
            HeaderName::from_static("x-osc-partial"),
            HeaderName::from_static("x-osc-skipped"),
            HeaderName::from_static("x-osc-version-lost"),
            HeaderName::from_static("x-osc-version"),
            HeaderName::from_static("x-request-id"),
        ])
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

static ROUTES: LazyLock<Vec<(Method, String)>> = LazyLock::new(routes);

/// Whether a request for this path could have a handler.
fn is_route(path: &str) -> bool {
    ROUTES.iter().any(|(_, route)| fits(path, route))
}

/// Whether a route, given as its template, has this method.
pub(super) fn has(route: &str, method: &Method) -> bool {
    let wanted = match *method {
        Method::HEAD => &Method::GET,
        _ => method,
    };
    ROUTES
        .iter()
        .any(|(method, template)| method == wanted && template == route)
}

/// Whether a path is one of a route, whose parameters stand in braces and are one segment each.
fn fits(path: &str, route: &str) -> bool {
    let mut segments = path.split('/');
    let fit = route.split('/').all(|wanted| {
        let is_parameter = wanted.starts_with('{');
        let segment = segments.next();
        segment.is_some_and(|segment| segment == wanted || is_parameter && !segment.is_empty())
    });
    fit && segments.next().is_none() && path != "/"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_routes_is_found_without_its_trailing_slash() {
        for (method, path) in routes() {
            let filled = path.replace("{key}", "db").replace("{file}", "x.js");
            assert_eq!(is_route(&filled), path != "/", "{method} {path}");
        }
        for path in [
            "/",
            "",
            "/config",
            "/configs/",
            "/configs/a/b",
            "//configs",
            "/docs/a/b",
        ] {
            assert!(!is_route(path), "{path}");
        }
    }
}
