//! One request: it gets the facts of its connection, and its answer gets the headers that only a connection knows.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, EXPECT},
};
use hyper::{body::Incoming, service::Service};
use pin_project_lite::pin_project;

use super::{
    activity::{Activity, Busy},
    answer_body::AnswerBody,
    head_room::HeadRoom,
    refusal,
    request_body::{self, Progress, RestLimits},
};
use crate::{
    api::{Answer, ApiService, CertificateWithdrawn, HeadTooLarge},
    budget::Reservation,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The parts that all connections of a port share.
#[derive(Debug, Clone)]
pub(super) struct EdgeParts {
    pub(super) service: ApiService,
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
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let Self { parts, activity } = self;
        // At once: later bytes belong to no head any more.
        let beside_others = activity.is_busy();
        let busy = activity.begin();
        activity.give_head_room_back();
        let (mut head, body) = request.into_parts();
        let version = head.version;
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        let address = activity.mark.peer.ip();
        let permit = parts.room.for_head(address, path, &head.headers);
        let mut beside = None;
        if beside_others && version == Version::HTTP_2 {
            beside = parts.room.for_another(address, path, &head.headers);
            if beside.is_none() || !activity.keep_room_for_requests(&parts.room) {
                // At once: the connection gives its memory back only with its end. That of a proxy carries other clients too.
                if !parts.room.is_of_proxy(address) {
                    activity.evict();
                    activity.mark.cut_off.cut();
                }
                let refused =
                    refusal::of_request().map(|body| AnswerBody::new(body, busy, [None, None]));
                return Answering::refused(refused, self);
            }
        }
        head.extensions.insert(Arc::clone(&activity.mark));
        if permit.is_err() {
            head.extensions.insert(HeadTooLarge);
        }
        if activity.is_withdrawn() {
            head.extensions.insert(CertificateWithdrawn);
            activity.retire();
        }
        let awaits_continue = version == Version::HTTP_11 && head.headers.contains_key(EXPECT);
        let client_closes = version < Version::HTTP_11 || closes(&head.headers);
        let rest = parts.rest.of(version);
        let (body, progress) = request_body::watch(body, awaits_continue, rest, &busy);
        let answer = parts.service.answer(Request::from_parts(head, body));
        Answering {
            answer: Some(answer),
            refused: None,
            edge: self.clone(),
            waiting: None,
            request: Some(Asked {
                version,
                client_closes,
                head_refused: permit.is_err(),
                permit: [permit.ok().flatten(), beside],
                progress,
                busy,
            }),
        }
    }
}

/// The state of a request until its answer exists.
#[derive(Debug)]
struct Asked {
    version: Version,
    client_closes: bool,
    head_refused: bool,
    permit: [Option<Reservation>; 2],
    /// `None` where there is no body.
    progress: Option<Arc<Progress>>,
    busy: Busy,
}

pin_project! {
    /// The answer of a request. A type of its own, without a box, because every request has one.
    pub(super) struct Answering {
        #[pin]
        answer: Option<Answer>,
        // Taken at once, where there is no request to answer.
        refused: Option<Response<AnswerBody>>,
        edge: Edge,
        // Taken when the answer is there.
        request: Option<Asked>,
        waiting: Option<Waiting>,
    }
}

impl Answering {
    fn refused(answer: Response<AnswerBody>, edge: &Edge) -> Self {
        Self {
            answer: None,
            refused: Some(answer),
            edge: edge.clone(),
            request: None,
            waiting: None,
        }
    }
}

impl Future for Answering {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(waiting) = this.waiting {
            return waiting.as_mut().poll(context).map(Ok);
        }
        if let Some(refused) = this.refused.take() {
            return Poll::Ready(Ok(refused));
        }
        let Some(answer) = this.answer.as_pin_mut() else {
            // Not polled again after its end.
            return Poll::Pending;
        };
        let answer = ready!(answer.poll(context))?;
        let Some(request) = this.request.take() else {
            // Not polled again after its end.
            return Poll::Pending;
        };
        let rest = rest_to_wait_for(&request, answer.status());
        let answer = this.edge.complete(request, answer);
        let Some(rest) = rest else {
            return Poll::Ready(Ok(answer));
        };
        let waiting = this.waiting.insert(Box::pin(async move {
            rest.over().await;
            answer
        }));
        waiting.as_mut().poll(context).map(Ok)
    }
}

/// An answer that is sent once no more of its request's body is read.
type Waiting = Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>;

/// The part of a request's body that the client must send before its answer. Clients stop sending when they are refused; some
/// of them (curl 7.88) hang where any other answer on HTTP/2 ends before their body does.
fn rest_to_wait_for(request: &Asked, status: StatusCode) -> Option<Arc<Progress>> {
    let refused = status.is_client_error() || status.is_server_error();
    let progress = request.progress.as_ref()?;
    let waits = request.version == Version::HTTP_2 && !refused && progress.is_being_dropped();
    waits.then(|| Arc::clone(progress))
}

impl Edge {
    /// Adds the headers to an answer that only its connection knows.
    fn complete(&self, request: Asked, mut answer: Response<Body>) -> Response<AnswerBody> {
        if request.version < Version::HTTP_2 {
            let ends = self.activity.is_retiring()
                || request.head_refused
                || answer.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
                || request
                    .progress
                    .is_some_and(|progress| progress.ends_connection(&self.parts.rest));
            let headers = answer.headers_mut();
            if ends {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            } else if !request.client_closes && !headers.contains_key(CONNECTION) {
                headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
                headers.insert(KEEP_ALIVE, self.parts.keep_alive.clone());
            }
        }
        let Asked { busy, permit, .. } = request;
        answer.map(|body| AnswerBody::new(body, busy, permit))
    }
}

/// Whether the client announces that this request is its last.
fn closes(headers: &HeaderMap) -> bool {
    let mut words = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("close"))
}
