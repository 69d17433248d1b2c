//! What is counted and logged of every request, and the headers that every answer has.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use futures::FutureExt;

use super::{
    Node,
    answer::{
        error::{ApiError, AuthRefusal, Failure},
        protective_headers::protect,
        untaken::Taker,
    },
    batch,
    extract::peer_proof,
    head_rules,
    ports::{self, Served},
    refusal_log::Refused,
    router::has,
};
use crate::metrics::Operation;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER: HeaderValue =
    HeaderValue::from_static(concat!("opensecureconf/", env!("CARGO_PKG_VERSION")));
/// The label of all paths that no route matches: raw paths would be unbounded and hold names of entries.
const UNMATCHED: &str = "unmatched";
/// The routes of one entry, and of all of them.
pub(super) const ENTRY: &str = "/configs/{key}";
pub(super) const ENTRIES: &str = "/configs";

/// The layer around all routes of the router.
pub(super) async fn observe_routed(
    State((node, served)): State<(Node, Served)>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = match &route {
        // An entry of that name.
        Some(path) if path.as_str() == batch::PATH && request.method() != Method::POST => ENTRY,
        Some(path) => path.as_str(),
        None => UNMATCHED,
    };
    let answer = |request| answer(&node, request, next);
    observe(&node, served, route, request, answer).await
}

/// Times and counts a request, logs it, and logs the cause where the answer hides it. `answer` is asked where nothing in its
/// head is against it.
pub(super) async fn observe<F: Future<Output = Response>>(
    node: &Node,
    served: Served,
    route: &str,
    request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let start = Instant::now();
    let (method, version) = (request.method().clone(), request.version());
    let request_id = request_id(&request);
    let taker = Taker::of(node, request.extensions(), request.headers());
    let client = taker.address;

    node.untrusted_forwarders
        .look_at(&request, &node.trusted_proxies);

    let judged = head_rules::judge(&request).and_then(|()| {
        let signed = peer_proof::is_signed(&request);
        ports::judge(request.uri().path(), signed, &node.ports, served)
    });
    let mut response = match judged {
        // What the route says of a panic, which must not end the connection.
        Ok(()) => match AssertUnwindSafe(answer(request)).catch_unwind().await {
            Ok(answer) => answer,
            Err(panic) => panicked(&*panic),
        },
        Err(refusal) => refusal.into_response(),
    };

    response = if route.starts_with("/cluster/v1/") {
        // What nodes send each other has a budget of its own, from which its room was taken.
        node.answers.keep_room(&taker, response)
    } else {
        node.answers.charge(&taker, response).await
    };
    let status = response.status().as_u16();
    if route != "/metrics" {
        node.metrics.request(
            route,
            method_label(&method, route, status),
            status,
            start.elapsed(),
        );
    }
    if let Some(operation) = operation(&method, route) {
        node.metrics.operation(operation, status);
    }
    if matches!(route, ENTRIES | ENTRY | batch::PATH | "/cluster/configs") {
        node.metrics.api_error(route, status);
    }
    let request_id_text = request_id.to_str().unwrap_or_default();
    if let Some(Failure { error_id, cause }) = response.extensions().get() {
        tracing::error!(error_id, cause = %cause, endpoint = route, method = %method, request_id = request_id_text, "request_failed");
    }
    if let Some(refusal) = response.extensions().get::<AuthRefusal>() {
        let refused = Refused {
            client,
            status,
            endpoint: route,
            method: method.as_str(),
            request_id: Some(request_id_text),
        };
        node.refusal_log.tell(*refusal, refused);
    }
    tracing::debug!(status, endpoint = route, method = %method, request_id = request_id_text, seconds = start.elapsed().as_secs_f64(), "request");
    protect(route, response.status(), response.headers_mut());
    response.headers_mut().insert(header::SERVER, SERVER);
    response.headers_mut().insert(REQUEST_ID, request_id);
    // Or a request may cross with the end of a connection that its client goes on using. HTTP/2 informs its clients itself.
    if version < Version::HTTP_2 && node.draining.load(Ordering::Relaxed) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// What the route answers.
async fn answer(node: &Node, request: Request, next: Next) -> Response {
    if peer_proof::concerns(&request) {
        // Boxed: most requests are no peer's, and need not carry its state.
        Box::pin(peer_proof::judge(Arc::clone(node), request, next)).await
    } else {
        next.run(request).await
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned());
    ApiError::Internal(message.into()).into_response()
}

/// The caller's own id where it is a short printable one, so that its logs and ours meet; else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let acceptable = |id: &&HeaderValue| {
        id.len() <= 64 && !id.is_empty() && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let own = request
        .headers()
        .get(REQUEST_ID)
        .filter(acceptable)
        .cloned();
    own.or_else(|| HeaderValue::from_bytes(&hex(rand::random())).ok())
        .unwrap_or_else(|| HeaderValue::from_static("none"))
}

/// Without the machinery of formats, of which each request would pay.
fn hex(bytes: [u8; 16]) -> [u8; 32] {
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            };
        }
    }
    text
}

/// Methods of one's own invention share a label, or a scanner could fill the memory; so do those that the route does not have:
/// each pair of a route and a method has a histogram for good, and any caller can ask for all of them.
fn method_label(method: &Method, route: &str, status: u16) -> &'static str {
    const KNOWN: &[&str] = &[
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
    ];
    const OTHER: &str = "OTHER";
    if status >= 400 && route != UNMATCHED && !has(route, method) {
        return OTHER;
    }
    KNOWN
        .iter()
        .find(|known| **known == method.as_str())
        .unwrap_or(&OTHER)
}

fn operation(method: &Method, route: &str) -> Option<Operation> {
    match (method.as_str(), route) {
        ("POST", ENTRIES) => Some(Operation::Create),
        ("GET" | "HEAD", ENTRIES) => Some(Operation::List),
        ("GET" | "HEAD", ENTRY) => Some(Operation::Read),
        ("PUT", ENTRY) => Some(Operation::Update),
        ("DELETE", ENTRY) => Some(Operation::Delete),
        _ => None,
    }
}
