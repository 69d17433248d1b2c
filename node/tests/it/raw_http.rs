//! HTTP/1.1 byte by byte, for requests that no client library sends, and the frames of HTTP/2.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Longer than anything that a test waits for.
const TIMEOUT: Duration = Duration::from_mins(1);

/// One connection.
pub(crate) struct RawHttp {
    stream: TcpStream,
    /// Bytes that have arrived and that no method has consumed.
    read: Vec<u8>,
}

/// An answer that came as a whole.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A frame of HTTP/2.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl RawAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (other, value) = line.split_once(": ")?;
            other.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }

    /// A refusal, as every refusal must be.
    pub(crate) fn assert_refusal(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()));
        assert_eq!(self.header("retry-after").is_some(), status == 503);
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let body: Value = serde_json::from_str(&self.body).unwrap();
        assert!(!body["detail"].is_null(), "{self:?}");
    }
}

impl RawHttp {
    pub(crate) async fn connect(url: &str) -> Self {
        Self::connect_from(url, "127.0.0.1").await
    }

    /// A connection of another client.
    pub(crate) async fn connect_from(url: &str, source: &str) -> Self {
        let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// A connection with a small receive buffer.
    pub(crate) async fn connect_narrow(url: &str) -> Self {
        let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self {
            stream: socket.connect(address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// Sends some bytes. Where the node has closed the connection, the write fails, and the answer shows it.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// The next answer; `None` where the connection ends before.
    pub(crate) async fn answer(&mut self) -> Option<RawAnswer> {
        timeout(TIMEOUT, self.read_answer()).await.unwrap()
    }

    async fn read_answer(&mut self) -> Option<RawAnswer> {
        let end = loop {
            let found = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            match found {
                Some(end) => break end + 4,
                None if self.more().await => {}
                None => return None,
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = RawAnswer {
            status,
            head,
            body: String::new(),
        };
        let length = match answer.header("content-length") {
            Some(length) => length.parse().unwrap(),
            None => 0,
        };
        while self.read.len() < length {
            if !self.more().await {
                return None;
            }
        }
        answer.body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        Some(answer)
    }

    /// The next frame of HTTP/2; `None` where the connection ends before.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        timeout(TIMEOUT, self.read_frame()).await.unwrap()
    }

    async fn read_frame(&mut self) -> Option<Frame> {
        const HEAD: usize = 9;
        loop {
            if let [high, middle, low, kind, flags, a, b, c, d, ..] = *self.read {
                let length = u32::from_be_bytes([0, high, middle, low]) as usize;
                if self.read.len() >= HEAD + length {
                    let payload = self.read.drain(..HEAD + length).skip(HEAD).collect();
                    return Some(Frame {
                        kind,
                        flags,
                        stream: u32::from_be_bytes([a, b, c, d]),
                        payload,
                    });
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Whether these bytes came, and no method has consumed them.
    pub(crate) fn came(&self, bytes: &[u8]) -> bool {
        self.read.windows(bytes.len()).any(|part| part == bytes)
    }

    /// Reads the next bytes; false where the connection has ended.
    pub(crate) async fn more(&mut self) -> bool {
        let mut space = vec![0; 16 << 10];
        match self.stream.read(&mut space).await {
            Ok(read) if read > 0 => {
                self.read.extend(&space[..read]);
                true
            }
            // A connection that is reset ends too.
            _ => false,
        }
    }

    /// Waits until the node closes the connection; gives the bytes that came before.
    pub(crate) async fn rest(&mut self) -> String {
        let all = async { while self.more().await {} };
        timeout(TIMEOUT, all).await.unwrap();
        String::from_utf8_lossy(&self.read).into_owned()
    }
}
