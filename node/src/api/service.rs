//! What answers the requests of one port. The router's boxes, clones and extensions cost each request (docs/performance.md), so
//! those that come most often go past it, to the same handlers.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::HttpBody,
    extract::Request,
    http::{Method, header},
    response::Response,
    routing::future::RouteFuture,
};
use futures::future::Either;

use super::{
    Node,
    kept_box::InKeptBox,
    observe::{ENTRIES, ENTRY, observe},
    ports::Served,
    router::{metrics_router, router},
    routes::past_router,
};

/// What is served at one port. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct ApiService {
    routes: Router,
    /// For requests that go past the router; `None` where all of them need it.
    straight: Option<(Node, Served)>,
}

/// An answer on its way.
pub type Answer = Either<Straight, RouteFuture<Infallible>>;

/// The answer to a request that goes past the router. Its box is taken with the first poll: a client may send many requests
/// before one of them is looked at.
#[derive(Debug)]
pub struct Straight {
    start: Option<(Frequent, Request, Node, Served)>,
    running: Option<InKeptBox>,
}

impl Future for Straight {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some((route, request, node, served)) = self.start.take() {
            self.running = Some(InKeptBox::new(past_router(route, request, node, served)));
        }
        match &mut self.running {
            Some(running) => Pin::new(running).poll(context),
            None => Poll::Pending,
        }
    }
}

async fn past_router(
    route: Frequent,
    request: Request,
    node: Node,
    served: Served,
) -> Result<Response, Infallible> {
    let handle = |request| route.handle(request, Arc::clone(&node));
    let template = route.template();
    let mut answer = observe(&node, served, template, request, handle).await;
    // As the router adds it; hyper leaves it out of answers that have no body on HTTP/2.
    if let Some(length) = answer.body().size_hint().exact() {
        let headers = answer.headers_mut();
        headers
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
    Ok(answer)
}

impl ApiService {
    /// What a node serves at one of its ports.
    pub fn new(node: Node, served: Served) -> Self {
        Self {
            // The headers for browsers are added by a layer of the router.
            straight: node.cors.is_none().then(|| (Arc::clone(&node), served)),
            routes: router(node, served),
        }
    }

    /// What is served at a port that has nothing but `/metrics`.
    pub fn of_metrics(node: Node) -> Self {
        Self {
            straight: None,
            routes: metrics_router(node),
        }
    }

    /// Answers a request.
    pub fn answer(&self, request: Request) -> Answer {
        if let Some((node, served)) = &self.straight
            && let Some(route) = Frequent::of(&request)
        {
            return Either::Left(Straight {
                start: Some((route, request, Arc::clone(node), *served)),
                running: None,
            });
        }
        // It is always ready, and its clone is another handle to the same routes.
        Either::Right(tower::Service::call(&mut self.routes.clone(), request))
    }
}

/// The requests that come most often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frequent {
    Create,
    Read,
    Update,
    Delete,
}

impl Frequent {
    /// Which one a request is; the router finds the same handler for it.
    fn of(request: &Request) -> Option<Self> {
        let rest = request.uri().path().strip_prefix(ENTRIES)?;
        let method = request.method();
        if rest.is_empty() {
            return (*method == Method::POST).then_some(Self::Create);
        }
        rest.strip_prefix('/')
            .filter(|key| !key.is_empty() && !key.contains('/'))?;
        match *method {
            Method::GET => Some(Self::Read),
            Method::PUT => Some(Self::Update),
            Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Create => ENTRIES,
            Self::Read | Self::Update | Self::Delete => ENTRY,
        }
    }

    /// Without the box that axum puts around each handler.
    async fn handle(self, request: Request, node: Node) -> Response {
        match self {
            Self::Create => past_router::create(request, node).await,
            Self::Read => past_router::read(request, node).await,
            Self::Update => past_router::update(request, node).await,
            Self::Delete => past_router::delete(request, node).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn found(method: &str, uri: &str) -> Option<Frequent> {
        let request = Request::builder().method(method).uri(uri);
        Frequent::of(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn requests_of_one_entry_go_past_the_router_and_others_do_not() {
        for (method, uri, route) in [
            ("POST", "/configs", Frequent::Create),
            ("POST", "/configs?environment=e", Frequent::Create),
            ("GET", "/configs/k", Frequent::Read),
            ("GET", "/configs/batch?mode=full", Frequent::Read),
            ("PUT", "/configs/a%2Fb", Frequent::Update),
            ("DELETE", "/configs/%FF", Frequent::Delete),
        ] {
            assert_eq!(found(method, uri), Some(route), "{method} {uri}");
        }
        for (method, uri) in [
            ("GET", "/configs"),
            ("POST", "/configs/"),
            ("POST", "/configs/batch"),
            ("POST", "/configs/k"),
            ("GET", "/configs/"),
            ("GET", "/configs/a/b"),
            ("GET", "/configs/a/"),
            ("GET", "/configs//a"),
            ("GET", "/configsx"),
            ("HEAD", "/configs/k"),
            ("OPTIONS", "/configs/k"),
            ("GET", "/cluster/configs"),
        ] {
            assert_eq!(found(method, uri), None, "{method} {uri}");
        }
    }
}
