//! An attacker answers at an address that the node dials: redirects, answers without end, and what the node reveals there.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    Attack,
    free_port::free_port,
    http::attacker,
    node::CLUSTER_KEY,
    report::{Caller, Figures, Learned},
    scene::{Scale, Scene, Spoils},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "a peer's address answers with a redirect",
        caller: Caller::Peer,
        run: |scale| answered(scale, Answers::Redirect).boxed(),
    },
    Attack {
        name: "a peer's address answers without end",
        caller: Caller::Peer,
        run: |scale| answered(scale, Answers::Endless).boxed(),
    },
    Attack {
        name: "a peer's address refuses without end",
        caller: Caller::Peer,
        run: |scale| answered(scale, Answers::EndlessRefusal).boxed(),
    },
];

#[derive(Debug, Clone, Copy)]
enum Answers {
    Redirect,
    Endless,
    EndlessRefusal,
}

/// The attacker's counters.
#[derive(Debug, Default)]
struct Counts {
    dialled: AtomicUsize,
    redirected: AtomicUsize,
    keys: AtomicUsize,
}

async fn answered(scale: Scale, answers: Answers) -> Figures {
    // Both addresses listen before the node knows them; neither answers while the node bootstraps.
    let peer = TcpListener::bind((attacker(0), 0)).await.unwrap();
    let elsewhere = TcpListener::bind((attacker(1), 0)).await.unwrap();
    let (peer_at, elsewhere_at) = (peer.local_addr().unwrap(), elsewhere.local_addr().unwrap());
    drop(peer);
    let own = free_port("127.0.0.1");
    let scene = bootstrapped(scale, own, peer_at).await;
    let Ok(peer) = TcpListener::bind(peer_at).await else {
        return Figures {
            fault: Some("the peer's address was taken by another program".to_owned()),
            ..Figures::default()
        };
    };
    let counts = Arc::new(Counts::default());
    scene
        .measure({
            let counts = Arc::clone(&counts);
            async move {
                let serving = [
                    tokio::spawn(serve(
                        peer,
                        answers,
                        elsewhere_at,
                        Arc::clone(&counts),
                        false,
                    )),
                    tokio::spawn(serve(
                        elsewhere,
                        answers,
                        elsewhere_at,
                        Arc::clone(&counts),
                        true,
                    )),
                ];
                sleep(Duration::from_secs(scale.of(6, 30))).await;
                // A slow node has not dialled yet.
                let dialled = async {
                    while counts.dialled.load(Ordering::Relaxed) == 0 {
                        sleep(Duration::from_millis(100)).await;
                    }
                };
                let _ = timeout(Duration::from_mins(1), dialled).await;
                serving.iter().for_each(tokio::task::JoinHandle::abort);
                let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
                let dialled = count(&counts.dialled);
                Spoils {
                    learned: Some(Learned {
                        count: count(&counts.keys),
                        bound: 0,
                    }),
                    note: format!(
                        "dialled {dialled} times, {} elsewhere",
                        count(&counts.redirected)
                    ),
                    fault: (dialled == 0).then(|| "the node never dialled its peer".to_owned()),
                    ..Spoils::default()
                }
            }
        })
        .await
}

/// A bootstrapped cluster of one node whose list names a second address, where no process listens yet.
pub(crate) async fn bootstrapped(scale: Scale, own: u16, peer: SocketAddr) -> Scene {
    let nodes = format!("127.0.0.1:{own},{peer}");
    let own = own.to_string();
    let settings = [
        ("OSC_HOST_PORT", own.as_str()),
        ("OSC_CLUSTER_ENABLED", "true"),
        ("OSC_CLUSTER_KEY", CLUSTER_KEY),
        ("OSC_CLUSTER_NODES", nodes.as_str()),
    ];
    Scene::start_after(scale, &settings, |node| {
        assert!(
            node.run(&["bootstrap", "--force"]),
            "it is not bootstrapped"
        );
    })
    .await
}

async fn serve(
    listener: TcpListener,
    answers: Answers,
    elsewhere: SocketAddr,
    counts: Arc<Counts>,
    is_elsewhere: bool,
) {
    while let Ok((connection, _)) = listener.accept().await {
        let counter = if is_elsewhere {
            &counts.redirected
        } else {
            &counts.dialled
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(answer(connection, answers, elsewhere, Arc::clone(&counts)));
    }
}

async fn answer(
    mut connection: TcpStream,
    answers: Answers,
    elsewhere: SocketAddr,
    counts: Arc<Counts>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|part| part == b"\r\n\r\n") {
        if connection.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let shows_key = request
        .windows(CLUSTER_KEY.len())
        .any(|part| part == CLUSTER_KEY.as_bytes());
    counts
        .keys
        .fetch_add(usize::from(shows_key), Ordering::Relaxed);
    let status = match answers {
        Answers::Redirect => {
            let head = format!(
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{elsewhere}/cluster/v1/exchange\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return connection.write_all(head.as_bytes()).await;
        }
        Answers::Endless => "200 OK",
        Answers::EndlessRefusal => "400 Bad Request",
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await?;
    let chunk = [b"10000\r\n".as_slice(), &vec![b'['; 0x10000], b"\r\n"].concat();
    // As much as four pods have; a node that reads on is long dead by then.
    for _ in 0..(1 << 30) / 0x10000 {
        connection.write_all(&chunk).await?;
    }
    Ok(())
}
