//! Ways to a server that do not work well: a host that accepts connections and says nothing, and one whose answers come late.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixListener, UnixStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::server::{Server, url_at};

/// A host that accepts every connection and says nothing on it.
pub(crate) struct SilentHost {
    port: u16,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl SilentHost {
    pub(crate) async fn new() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub(crate) async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&accepted);
        let accepting = tokio::spawn(async move {
            let mut accepted = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                accepted.push(connection);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            port,
            accepted,
            accepting,
        }
    }

    /// How many connections it has accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The address of a server with this host before it.
    pub(crate) fn before(&self, url: &str) -> String {
        url.replacen('@', &format!("@localhost:{},", self.port), 1)
    }
}

impl Drop for SilentHost {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A way to a server whose answers come so much later.
pub(crate) struct SlowWay {
    folder: TempDir,
    delay: watch::Sender<Duration>,
    accepting: JoinHandle<()>,
}

impl SlowWay {
    /// A way without a delay.
    pub(crate) fn to(server: &Server) -> Self {
        const SOCKET: &str = ".s.PGSQL.5432";
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (delay, told) = watch::channel(Duration::ZERO);
        let there = server.folder().join(SOCKET);
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = UnixStream::connect(&there).await else {
                    continue;
                };
                tokio::spawn(carry(near, far, told.clone()));
            }
        });
        Self {
            folder,
            delay,
            accepting,
        }
    }

    /// Its address, as a node's settings name it.
    pub(crate) fn url(&self) -> String {
        url_at(self.folder.path())
    }

    /// From now on answers come so much later.
    pub(crate) fn delay_answers(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }
}

impl Drop for SlowWay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries one connection. Parts of an answer that come together stay together.
async fn carry(near: UnixStream, far: UnixStream, delay: watch::Receiver<Duration>) {
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let (answers, mut due) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let requests = async move {
        let _ = tokio::io::copy(&mut from_near, &mut to_far).await;
        let _ = to_far.shutdown().await;
    };
    let answered = async move {
        let mut part = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_far.read(&mut part).await {
            let at = Instant::now() + *delay.borrow();
            let part = part.get(..length).unwrap_or_default();
            let _ = answers.send((at, part.to_vec()));
        }
    };
    let told = async move {
        while let Some((at, part)) = due.recv().await {
            sleep_until(at).await;
            if to_near.write_all(&part).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(requests, answered, told);
}
