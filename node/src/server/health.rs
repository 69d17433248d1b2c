//! `/health` and `/ready` on a port and a thread of their own: whatever clients do to the other port, probes are answered.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::TcpListener,
    pin::Pin,
    task::{Context, Poll, ready},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::refusal::{Refusal, SERVER};
use crate::api::{Node, vital_signs};

/// Connections at most; a new one ends the oldest.
const CONNECTIONS: usize = 64;
/// How long one probe may take, whoever is slow.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the loop rests where it cannot take a connection.
const REST: Duration = Duration::from_millis(50);

/// The port for probes.
#[derive(Debug)]
pub(crate) struct HealthPort {
    /// Where probes come.
    pub(crate) listener: TcpListener,
    /// Whose health it is.
    pub(crate) node: Node,
}

impl HealthPort {
    /// Answers probes from a thread of its own until told to stop.
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
        let mut order: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    while probes.try_join_next().is_some() {}
                    order.retain(|probe| !probe.is_finished());
                    if order.len() >= CONNECTIONS
                        && let Some(oldest) = order.pop_front()
                    {
                        oldest.abort();
                    }
                    order.push_back(probes.spawn(answer_one(stream, self.node.clone())));
                }
                Err(_) => tokio::time::sleep(REST).await,
            }
        }
    }
}

/// One request for each connection: nothing that a prober leaves behind takes room.
async fn answer_one(stream: TcpStream, node: Node) {
    let service = service_fn(move |request: Request<Incoming>| {
        let node = node.clone();
        async move { Ok::<_, Infallible>(answer(&request, &node)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(Prober::new(stream)), service);
    // A prober that goes away, or takes too long, has nobody to be told.
    let _ = timeout(PATIENCE, connection).await;
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

/// A prober's stream. An answer is held until it is whole, so that a refusal of hyper's own, which has no body, becomes ours.
struct Prober {
    stream: TcpStream,
    answer: Vec<u8>,
    sent: usize,
}

impl Prober {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            answer: Vec::new(),
            sent: 0,
        }
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.sent == 0
            && let Some((begin, refusal)) = Refusal::of_hyper(&self.answer)
        {
            self.answer.truncate(begin);
            self.answer.extend(refusal.to_bytes());
        }
        while let Some(rest) = self.answer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let more = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if more == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += more;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Prober {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Prober {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
