//! A server at a peer's address without the cluster key: it receives no key, redirects no request, and costs no memory.

use std::{
    fs,
    net::TcpListener as FreePort,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::process::Process;

const CLUSTER_KEY: &str = "the cluster key of the tests";
/// Far more than the node reads of an answer, and than the kernel buffers on the way.
const WITHOUT_END: usize = 64 << 20;

/// The impostor's answer to a request.
#[derive(Clone)]
enum Answers {
    /// This, and then the connection ends.
    With(String),
    /// This, and then bytes without end.
    WithoutEnd(String),
}

/// A listener that keeps everything it gets.
struct Impostor {
    address: String,
    heard: Arc<Mutex<Vec<u8>>>,
    /// How many bytes of endless answers the node read, for each connection that ended.
    taken: Arc<Mutex<Vec<usize>>>,
}

impl Impostor {
    async fn listen(answers: impl Fn(&str) -> Answers + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (heard, taken) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::default());
        let impostor = Self {
            address,
            heard: Arc::clone(&heard),
            taken: Arc::clone(&taken),
        };
        let answers = Arc::new(answers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, heard, taken) =
                    (Arc::clone(&answers), Arc::clone(&heard), Arc::clone(&taken));
                tokio::spawn(serve(stream, answers, heard, taken));
            }
        });
        impostor
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }

    /// Waits until it has heard so many requests.
    async fn requests(&self, count: usize) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let heard = self.heard();
            if heard.matches("POST ").count() >= count {
                return heard;
            }
            assert!(Instant::now() < deadline, "{heard}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<impl Fn(&str) -> Answers>,
    heard: Arc<Mutex<Vec<u8>>>,
    taken: Arc<Mutex<Vec<usize>>>,
) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(count @ 1..) => request.extend_from_slice(&part[..count]),
            _ => break,
        }
    }
    heard.lock().unwrap().extend_from_slice(&request);
    match answers(&String::from_utf8_lossy(&request)) {
        Answers::With(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Answers::WithoutEnd(head) => {
            let _ = stream.write_all(head.as_bytes()).await;
            let (part, mut count) = (vec![b' '; 64 << 10], 0);
            while count < WITHOUT_END && stream.write_all(&part).await.is_ok() {
                count += part.len();
            }
            taken.lock().unwrap().push(count);
        }
    }
}

/// Whether head and body of a request have arrived.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .split_once("content-length: ")
        .and_then(|(_, rest)| rest.lines().next()?.parse::<usize>().ok());
    body.len() >= length.unwrap_or_default()
}

/// A node of a cluster that lists these addresses beside its own.
fn node(folder: &TempDir, others: &[&str], more: &[(&str, &str)]) -> Process {
    let free = FreePort::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let own = format!("127.0.0.1:{port}");
    let list = [&[own.as_str()], others].concat().join(",");
    let settings = [
        ("OSC_HOST_PORT", port.as_str()),
        ("OSC_CLUSTER_ENABLED", "true"),
        ("OSC_CLUSTER_KEY", CLUSTER_KEY),
        ("OSC_CLUSTER_NODES", &list),
    ];
    Process::start(folder.path(), &[&settings, more].concat())
}

const OLDER_RELEASE: &str =
    "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A challenge that no node made.
fn made_up(status: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nX-OSC-Challenge: 2.00000000000000aa.AAAA\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_never_hears_the_cluster_key_whatever_it_answers() {
    let elsewhere = Impostor::listen(|_| Answers::With(OLDER_RELEASE.to_owned())).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{}/cluster/v1/exchange\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        elsewhere.address
    );
    let older = Impostor::listen(|_| Answers::With(OLDER_RELEASE.to_owned())).await;
    let redirecting = Impostor::listen(move |_| Answers::With(redirect.clone())).await;
    let challenging = Impostor::listen(|_| Answers::With(made_up("401 Unauthorized"))).await;
    let lying = Impostor::listen(|request| {
        Answers::With(if request.to_lowercase().contains("x-osc-proof: ask") {
            made_up("401 Unauthorized")
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".to_owned()
        })
    })
    .await;
    let folder = TempDir::new().unwrap();
    let all = [&older, &redirecting, &challenging, &lying];
    let addresses = all.map(|impostor| impostor.address.as_str());
    let node = node(&folder, &addresses, &[]);
    for impostor in all {
        let heard = impostor.requests(6).await;
        assert!(!heard.contains(CLUSTER_KEY), "{heard}");
        assert!(!heard.to_lowercase().contains("x-cluster-key"), "{heard}");
    }
    assert_eq!(elsewhere.heard(), "", "no redirect is followed");
    // The request that the impostor does receive is signed.
    assert!(
        lying.heard().contains("x-osc-proof: 2."),
        "{}",
        lying.heard()
    );
    assert!(!node.log().contains(CLUSTER_KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plain_http_only_the_operator_of_a_node_lets_the_key_out() {
    let older = Impostor::listen(|_| Answers::With(OLDER_RELEASE.to_owned())).await;
    let folder = TempDir::new().unwrap();
    let allowed = [("OSC_PEER_KEY_IN_CLEAR", "true")];
    let allowing = node(&folder, &[&older.address], &allowed);
    assert!(allowing.log().contains("OSC_PEER_KEY_IN_CLEAR is true"));
    let deadline = Instant::now() + Duration::from_mins(1);
    while !older.heard().contains(CLUSTER_KEY) {
        assert!(Instant::now() < deadline, "{}", older.heard());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(allowing);
    // Where all nodes sign, not even then.
    let older = Impostor::listen(|_| Answers::With(OLDER_RELEASE.to_owned())).await;
    let folder = TempDir::new().unwrap();
    let required = [
        ("OSC_PEER_KEY_IN_CLEAR", "true"),
        ("OSC_PEER_PROOF", "require"),
    ];
    let _requiring = node(&folder, &[&older.address], &required);
    assert!(!older.requests(6).await.contains(CLUSTER_KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_left_alone_and_named() {
    let to_all = |_: &str| Answers::WithoutEnd("HTTP/1.1 200 OK\r\n\r\n".to_owned());
    let to_signed = |request: &str| {
        if request.to_lowercase().contains("x-osc-proof: ask") {
            Answers::With(made_up("401 Unauthorized"))
        } else {
            Answers::WithoutEnd("HTTP/1.1 200 OK\r\n\r\n{\"hello\":".to_owned())
        }
    };
    let (one, other) = (
        Impostor::listen(to_all).await,
        Impostor::listen(to_signed).await,
    );
    let folder = TempDir::new().unwrap();
    let mut node = node(&folder, &[&one.address, &other.address], &[]);
    for impostor in [&one, &other] {
        let deadline = Instant::now() + Duration::from_mins(1);
        while impostor.taken.lock().unwrap().len() < 3 {
            assert!(Instant::now() < deadline, "{}", impostor.heard());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let taken = impostor.taken.lock().unwrap().clone();
        assert!(taken.iter().all(|taken| *taken < WITHOUT_END), "{taken:?}");
    }
    let (mut first, mut second) = (
        node.event("peer_unreachable"),
        node.event("peer_unreachable"),
    );
    if first["peer"] != *one.address {
        std::mem::swap(&mut first, &mut second);
    }
    assert_eq!(
        (&first["peer"], &second["peer"]),
        (&one.address.into(), &other.address.into())
    );
    assert!(
        first["error"]
            .as_str()
            .unwrap()
            .contains("longer than 65536 bytes"),
        "{first}"
    );
    assert!(
        second["error"].as_str().unwrap().contains("not signed"),
        "{second}"
    );
    let status = fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    assert!(kilobytes < 160 << 10, "{peak}");
}
