//! The attackers' protocols: HTTP/1.1 as bytes, HTTP/2 frame by frame, from any loopback address.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::timeout,
};

use crate::node::API_KEY;

/// Until a connection is there, or an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The address of one attacker: 127.0.0.2 and on.
pub(crate) fn attacker(number: usize) -> Ipv4Addr {
    let number = u16::try_from(number).unwrap() + 2;
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 0, high, low)
}

/// A client that connects from one attacker's address.
pub(crate) fn client(number: usize) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .local_address(IpAddr::from(attacker(number)))
        .build()
        .unwrap()
}

/// Adds up the attackers' counts: requests that succeeded, and requests that were refused.
pub(crate) async fn total(
    attackers: impl IntoIterator<Item = JoinHandle<(usize, usize)>>,
) -> (usize, usize) {
    let counts = futures::future::join_all(attackers).await;
    counts
        .into_iter()
        .map(Result::unwrap)
        .fold((0, 0), |(done, refused), (more, others)| {
            (done + more, refused + others)
        })
}

/// A connection from this address.
pub(crate) async fn connect(to: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    timeout(TIMEOUT, socket.connect(to)).await?
}

/// Connects with a small receive buffer.
pub(crate) async fn connect_narrow(to: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.bind((from, 0).into())?;
    timeout(TIMEOUT, socket.connect(to)).await?
}

/// The head of a request with the API key and this user key.
pub(crate) fn head(method: &str, path: &str, user_key: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: node\r\nX-API-Key: {API_KEY}\r\nX-User-Key: {user_key}\r\n{more}\r\n"
    )
}

/// An answer with a length.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether the answer announces that the node closes the connection.
    pub(crate) closes: bool,
}

/// Sends a request and reads its answer, on a connection that may be used again.
pub(crate) async fn exchange(connection: &mut TcpStream, request: &[u8]) -> io::Result<Answer> {
    timeout(TIMEOUT, async {
        connection.write_all(request).await?;
        read_answer(connection).await
    })
    .await?
}

async fn read_answer(connection: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::with_capacity(1024);
    let end = loop {
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let chunked = header("transfer-encoding:").is_some();
    let length: usize = header("content-length:")
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or_default();
    let mut body = bytes.split_off(end);
    let whole = |body: &[u8]| {
        if chunked {
            body.ends_with(b"0\r\n\r\n")
        } else {
            body.len() >= length
        }
    };
    while !whole(&body) {
        if connection.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Answer {
        status,
        body,
        closes: header("connection:").is_some_and(|value| value.contains("close")),
    })
}

/// One HTTP/2 connection, which answers pings by itself.
pub(crate) struct Http2 {
    pub(crate) send: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Http2 {
    /// A connection on which the node may send this many bytes of each answer.
    pub(crate) async fn connect(to: SocketAddr, from: Ipv4Addr, window: u32) -> io::Result<Self> {
        let stream = connect(to, from).await?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        let (send, connection) = timeout(TIMEOUT, builder.handshake(stream))
            .await?
            .map_err(io::Error::other)?;
        let connection = tokio::spawn(async move {
            // How it ends is the node's business.
            let _ = connection.await;
        });
        Ok(Self { send, connection })
    }

    /// Whether the node still keeps it.
    pub(crate) fn is_open(&self) -> bool {
        !self.connection.is_finished()
    }

    /// Sends a GET without waiting for the answer; `None` where the node accepts no more streams.
    pub(crate) async fn get(
        &mut self,
        path: &str,
        user_key: &str,
    ) -> Option<h2::client::ResponseFuture> {
        let request = http::Request::get(format!("http://node{path}"))
            .header("x-api-key", API_KEY)
            .header("x-user-key", user_key)
            .body(())
            .unwrap();
        let ready = self.send.clone().ready();
        let mut ready = timeout(Duration::from_secs(1), ready).await.ok()?.ok()?;
        let (answer, _) = ready.send_request(request, true).ok()?;
        Some(answer)
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
