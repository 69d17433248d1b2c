//! A program that answers every request like a healthy node, and remembers what it was sent.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use opensecureconf_operator::{
    names::PEERS_PORT,
    pki::{Certificate, Leaf},
};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream,
    pki_types::{PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// How long an impostor waits for what never comes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How an impostor speaks.
pub(super) enum Speaks {
    /// TLS with this certificate, and takes every caller.
    Tls(Box<Leaf>),
    /// The same, with this status of its own.
    Node(Box<Leaf>, Box<Says>),
    /// TLS with this certificate, and takes callers of this authority alone.
    MutualTls(Box<Leaf>, Box<Certificate>),
    /// HTTP without TLS: it answers before it is asked.
    Http,
    /// It repeats what it gets.
    Echo,
    /// It reads, and never answers.
    Nothing,
    /// It closes each connection.
    HangsUp,
}

/// The node that an impostor says it is.
#[derive(Clone)]
pub(super) struct Says {
    pub(super) name: Option<&'static str>,
    pub(super) incarnation: &'static str,
    pub(super) cluster_uid: Option<&'static str>,
}

impl Says {
    /// A healthy member.
    pub(super) const MEMBER: Self = Self {
        name: Some("demo-0"),
        incarnation: "0123456789abcdef",
        cluster_uid: Some("f"),
    };

    /// Its answer to everything.
    fn answer(&self) -> String {
        let status = serde_json::json!({
            "enabled": true, "mode": "replica", "node_id": self.name, "total_nodes": 1, "healthy_nodes": 1,
            "details": {
                "version": "1.0.0", "incarnation": self.incarnation,
                "state": if self.cluster_uid.is_some() { "member" } else { "blank" },
                "cluster_uid": self.cluster_uid, "ready": self.cluster_uid.is_some(),
                "reasons": [], "salt_fingerprint": null, "entries": 7, "members": [],
            },
        })
        .to_string();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{status}",
            status.len()
        )
    }
}

/// What an impostor was sent.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    /// As it came over the network.
    pub(super) outside: Vec<u8>,
    /// Inside TLS.
    pub(super) inside: Vec<u8>,
}

/// A running impostor at the port of peers.
pub(super) struct Impostor {
    address: (String, u16),
    is_over: Arc<AtomicBool>,
    served: JoinHandle<Seen>,
}

impl Impostor {
    pub(super) fn start(host: &str, speaks: Speaks) -> Self {
        let address = (host.to_owned(), PEERS_PORT);
        let listener = TcpListener::bind(&address).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let served = std::thread::spawn(move || {
            let mut seen = Seen::default();
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                seen.connections += 1;
                let mut tap = Tap {
                    stream: stream.unwrap(),
                    read: Vec::new(),
                };
                tap.stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                // A connection that its caller ends is a failure for the impostor.
                let _ = speaks.serve(&mut tap, &mut seen.inside);
                seen.outside.extend(tap.read);
            }
            seen
        });
        Self {
            address,
            is_over,
            served,
        }
    }

    /// Ends it.
    pub(super) fn stop(self) -> Seen {
        self.is_over.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).unwrap();
        self.served.join().unwrap()
    }
}

/// A connection that remembers what was read from it.
struct Tap {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.read.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

impl Write for Tap {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Speaks {
    fn serve(&self, tap: &mut Tap, inside: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Tls(leaf) => tls(leaf, None, &Says::MEMBER, tap, inside),
            Self::Node(leaf, says) => tls(leaf, None, says, tap, inside),
            Self::MutualTls(leaf, authority) => {
                let refused = tls(leaf, Some(authority), &Says::MEMBER, tap, inside);
                // What is left unread when a connection closes may take its last words with it.
                tap.stream.shutdown(Shutdown::Write)?;
                io::copy(tap, &mut io::sink())?;
                refused
            }
            Self::Http => {
                tap.write_all(Says::MEMBER.answer().as_bytes())?;
                io::copy(tap, &mut io::sink()).map(|_| ())
            }
            Self::Echo => {
                let mut part = [0; 4096];
                loop {
                    let count = tap.read(&mut part)?;
                    if count == 0 {
                        return Ok(());
                    }
                    tap.write_all(&part[..count])?;
                }
            }
            Self::Nothing => io::copy(tap, &mut io::sink()).map(|_| ()),
            Self::HangsUp => Ok(()),
        }
    }
}

fn tls(
    leaf: &Leaf,
    callers: Option<&Certificate>,
    says: &Says,
    tap: &mut Tap,
    inside: &mut Vec<u8>,
) -> io::Result<()> {
    let builder = ServerConfig::builder();
    let builder = match callers {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(leaf.key.pem().as_bytes()).unwrap();
    let config = builder
        .with_single_cert(vec![leaf.certificate.der.clone()], key)
        .unwrap();
    let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
    let mut stream = Stream::new(&mut connection, tap);
    let mut part = [0; 4096];
    let begin = inside.len();
    while !inside.get(begin..).is_some_and(is_whole) {
        let count = stream.read(&mut part)?;
        if count == 0 {
            return Ok(());
        }
        inside.extend_from_slice(&part[..count]);
    }
    stream.write_all(says.answer().as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Whether a request has come to its end.
fn is_whole(request: &[u8]) -> bool {
    let request = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
