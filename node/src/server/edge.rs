//! One request: it is told of its connection, and its answer gets what only a connection knows.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use axum::{Router, body::Body};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, EXPECT},
};
use hyper::{body::Incoming, service::Service};
use tower::ServiceExt;

use super::{
    activity::Activity,
    answer_body::AnswerBody,
    head_room::HeadRoom,
    request_body::{Progress, RequestBody, RestLimits},
};
use crate::api::HeadTooLarge;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What all connections of a port share.
#[derive(Debug, Clone)]
pub(super) struct EdgeParts {
    pub(super) router: Router,
    pub(super) room: HeadRoom,
    pub(super) rest: RestLimits,
    /// `timeout=75`
    pub(super) keep_alive: HeaderValue,
}

/// The service of one connection.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) parts: Arc<EdgeParts>,
    pub(super) activity: Arc<Activity>,
}

impl Service<Request<Incoming>> for Edge {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Self { parts, activity } = self.clone();
        // At once: what is read from now on is no head any more.
        let busy = activity.begin();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let version = head.version;
            let path = head.uri.path_and_query().map_or("", |path| path.as_str());
            let permit = parts
                .room
                .for_head(activity.mark.peer.ip(), path, &head.headers);
            let mark = &activity.mark;
            head.extensions.insert(Arc::clone(mark));
            head.extensions.insert(activity.cut_off.clone());
            if permit.is_err() {
                head.extensions.insert(HeadTooLarge);
            }
            let awaits_continue = version == Version::HTTP_11 && head.headers.contains_key(EXPECT);
            let client_closes = version < Version::HTTP_11 || closes(&head.headers);
            let (body, progress) = RequestBody::new(body, awaits_continue, &parts.rest, &busy);
            let request = Request::from_parts(head, Body::new(body));
            let mut answer = parts.router.clone().oneshot(request).await?;
            if version < Version::HTTP_2 {
                let ends = activity.is_retiring()
                    || permit.is_err()
                    || answer.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
                    || progress
                        .is_some_and(|progress| Progress::ends_connection(&progress, &parts.rest));
                let headers = answer.headers_mut();
                if ends {
                    headers.insert(CONNECTION, HeaderValue::from_static("close"));
                } else if !client_closes && !headers.contains_key(CONNECTION) {
                    headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
                    headers.insert(KEEP_ALIVE, parts.keep_alive.clone());
                }
            }
            let permit = permit.ok().flatten();
            Ok(answer.map(|body| AnswerBody::new(body, busy, permit)))
        })
    }
}

/// Whether the client says that this request is its last.
fn closes(headers: &HeaderMap) -> bool {
    let mut words = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("close"))
}
