//! `/health` and `/ready` on a port and a thread of their own: probes get answers whatever clients do to the other port.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    task::{AbortHandle, JoinSet, yield_now},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{prober::Prober, refusal::SERVER};
use crate::api::{Node, vital_signs};

/// Connections at most; a new one ends the oldest that has sent nothing, otherwise the oldest.
const CONNECTIONS: usize = 64;
/// How long one probe may take, whichever side is slow.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the loop rests where it cannot accept a connection.
const REST: Duration = Duration::from_millis(50);

/// The port for probes.
#[derive(Debug)]
pub(crate) struct HealthPort {
    /// Where probes come.
    pub(crate) listener: TcpListener,
    /// The node whose health is shown.
    pub(crate) node: Node,
}

impl HealthPort {
    /// Answers probes from a thread of its own until it has to stop.
    pub(crate) fn start(self, stop: CancellationToken) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("health".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(self.serve(stop)) {
                    tracing::error!(error = %error, "health_server_ended");
                }
            })
    }

    async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let mut probes = JoinSet::new();
        let mut order = Order::default();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    while probes.try_join_next().is_some() {}
                    order.make_room();
                    let asked = Arc::new(AtomicBool::new(false));
                    let probe = answer_one(stream, Arc::clone(&asked), self.node.clone());
                    let probe = probes.spawn(probe);
                    order.0.push_back((probe, asked));
                    // A flood of connections is always ready: accepted ones get their turn before the next one.
                    yield_now().await;
                }
                Err(_) => tokio::time::sleep(REST).await,
            }
        }
    }
}

/// The connections, the oldest first, and whether any byte came on each.
#[derive(Debug, Default)]
struct Order(VecDeque<(AbortHandle, Arc<AtomicBool>)>);

impl Order {
    /// Ends a connection where their number has reached the limit.
    fn make_room(&mut self) {
        self.0.retain(|(probe, _)| !probe.is_finished());
        if self.0.len() < CONNECTIONS {
            return;
        }
        let mut all = self.0.iter();
        let silent = all.position(|(_, asked)| !asked.load(Ordering::Relaxed));
        if let Some((victim, _)) = self.0.remove(silent.unwrap_or_default()) {
            victim.abort();
        }
    }
}

/// One request for each connection, so that a prober leaves nothing behind that takes room.
async fn answer_one(stream: TcpStream, asked: Arc<AtomicBool>, node: Node) {
    match timeout(TIMEOUT, stream.peek(&mut [0])).await {
        Ok(Ok(1..)) => asked.store(true, Ordering::Relaxed),
        // The prober sent nothing, or went away.
        _ => return,
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let node = node.clone();
        async move { Ok::<_, Infallible>(answer(&request, &node)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(Prober::new(stream)), service);
    // A prober that goes away, or takes too long, gets no answer.
    let _ = timeout(TIMEOUT, connection).await;
}

fn answer(request: &Request<Incoming>, node: &Node) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, body) = match vital_signs(node, path) {
        Some(signs) if reads => signs,
        Some(_) => (
            StatusCode::METHOD_NOT_ALLOWED,
            serde_json::json!({ "detail": "Method Not Allowed" }),
        ),
        None => (
            StatusCode::NOT_FOUND,
            serde_json::json!({ "detail": "Not Found" }),
        ),
    };
    let mut answer = Response::new(Full::new(body.to_string().into()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let soon = HeaderValue::from_static("1");
        answer.headers_mut().insert(header::RETRY_AFTER, soon);
    }
    let headers = answer.headers_mut();
    headers.insert(header::SERVER, SERVER);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::try_from(format!("{:032x}", rand::random::<u128>())) {
        headers.insert("x-request-id", id);
    }
    answer
}
