//! Messages of a caller with the cluster key that is no member: few bytes that become many in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    Attack,
    free_port::free_port,
    http::{attacker, connect},
    node::CLUSTER_KEY,
    peers::bootstrapped,
    report::{Caller, Figures},
    scene::{Scale, Spoils},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "messages with purge marks without end, with the cluster key",
        caller: Caller::ClusterKey,
        run: |scale| sent(scale, Message::Marks).boxed(),
    },
    Attack {
        name: "messages with clocks without end, with the cluster key",
        caller: Caller::ClusterKey,
        run: |scale| sent(scale, Message::Clocks).boxed(),
    },
    Attack {
        name: "bodies of messages that do not come, with the cluster key",
        caller: Caller::ClusterKey,
        run: |scale| unsent(scale).boxed(),
    },
];

#[derive(Debug, Clone, Copy)]
enum Message {
    Marks,
    Clocks,
}

/// The longest message between nodes.
const LONGEST: usize = 64 << 20;

/// The greeting of a node that no member knows.
fn greeting() -> Value {
    json!({
        "protocol": { "major": 1, "minor": 2 }, "release": "none", "cluster": "", "mode": "replica",
        "name": "stranger", "incarnation": 4711, "process_epoch": 4712, "turn": 1, "heard": null, "epoch_began": 0,
        "address": null, "cluster_uid": null, "salt": null, "ready": false, "source": false,
        "acknowledges": false, "fenced": false, "has_rows": false, "head": 0, "purged": 0,
        "origin": null, "received": null, "roster": 0, "entries": 0, "time": 0,
    })
}

impl Message {
    /// A message of about this many bytes, and of as many pairs of numbers as these hold.
    fn of(self, bytes: usize) -> String {
        let mut hello = greeting();
        let row = |clocks: Value| {
            json!({
                "environment": "", "key": "k", "created_at": 0, "updated_at": 0,
                "version": { "clock": 1, "incarnation": 1 }, "clocks": clocks, "hash": "",
            })
        };
        let place = "PAIRS";
        let body = match self {
            Self::Marks => {
                hello["inherited"] = place.into();
                json!("heartbeat")
            }
            Self::Clocks => json!({"push": {"from": 0, "to": 1, "rows": [row(place.into())]}}),
        };
        let pairs = format!("[{}[0,0]]", "[0,0],".repeat(bytes / 6));
        let message = json!({"hello": hello, "body": body}).to_string();
        message.replace(r#""PAIRS""#, &pairs)
    }
}

async fn sent(scale: Scale, message: Message) -> Figures {
    // The second address of its list, where no process listens.
    let scene = bootstrapped(
        scale,
        free_port("127.0.0.1"),
        ([127, 0, 0, 1], free_port("127.0.0.1")).into(),
    )
    .await;
    let url = format!("{}/cluster/v1/exchange", scene.node.url);
    // From what is longer than any share to what many of them may be at a time.
    let lengths = [LONGEST - (1 << 20), 22 << 20, 11 << 20, 3 << 20, 1 << 20];
    let messages = lengths.map(|bytes| bytes::Bytes::from(message.of(bytes)));
    scene
        .measure(async move {
            let (sent, taken) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
            let end = Instant::now() + scale.lasts();
            let senders = (0..8).map(|number| {
                let (url, messages) = (url.clone(), messages.clone());
                let (sent, taken) = (Arc::clone(&sent), Arc::clone(&taken));
                tokio::spawn(async move {
                    let client = Client::builder().no_proxy().build().unwrap();
                    let mut turns = messages.iter().cycle().skip(number);
                    while let Some(message) = turns.next().filter(|_| Instant::now() < end) {
                        let request = client.post(&url).header("X-Cluster-Key", CLUSTER_KEY);
                        let answer = request.body(message.clone()).send();
                        let answer = timeout(Duration::from_secs(30), answer).await;
                        sent.fetch_add(1, Ordering::Relaxed);
                        let is_taken =
                            matches!(answer, Ok(Ok(answer)) if answer.status().is_success());
                        taken.fetch_add(usize::from(is_taken), Ordering::Relaxed);
                    }
                })
            });
            futures::future::join_all(senders).await;
            let [sent, taken] = [sent, taken].map(|count| count.load(Ordering::Relaxed));
            Spoils {
                fault: (taken > 0).then(|| format!("{taken} were taken")),
                ..Spoils::note(format!("{sent} sent, {taken} taken"))
            }
        })
        .await
}

/// Begins messages from four addresses, of which nothing or only a part comes, and begins anew where the node gives one up. A
/// member greets meanwhile.
async fn unsent(scale: Scale) -> Figures {
    let scene = bootstrapped(
        scale,
        free_port("127.0.0.1"),
        ([127, 0, 0, 1], free_port("127.0.0.1")).into(),
    )
    .await;
    let (to, url) = (
        scene.node.address,
        format!("{}/cluster/v1/exchange", scene.node.url),
    );
    scene
        .measure(async move {
            let end = Instant::now() + scale.lasts();
            let senders = (0..64_usize).map(|number| {
                tokio::spawn(async move {
                    let mut begun = 0_usize;
                    while Instant::now() < end {
                        if let Ok(connection) = connect(to, attacker(number % 4)).await {
                            begun += 1;
                            let _ = timeout_at(end, begin(connection, number)).await;
                        }
                    }
                    begun
                })
            });
            let senders: Vec<_> = senders.collect();
            let (greeted, refused) = greet(&url, end).await;
            let begun = futures::future::join_all(senders).await;
            let begun: usize = begun.into_iter().map(Result::unwrap).sum();
            Spoils {
                fault: (refused > 0 || greeted == 0)
                    .then(|| format!("{refused} greetings of a member were refused")),
                ..Spoils::note(format!(
                    "{begun} begun, {} greetings of a member, {refused} refused",
                    greeted + refused
                ))
            }
        })
        .await
}

/// Sends the head of a message and perhaps a part of its body, then waits until the node ends it.
async fn begin(mut connection: TcpStream, number: usize) -> std::io::Result<()> {
    let length = match number / 4 % 2 {
        0 => "Transfer-Encoding: chunked".to_owned(),
        _ => format!("Content-Length: {}", 11 << 20),
    };
    let head = format!(
        "POST /cluster/v1/exchange HTTP/1.1\r\nHost: node\r\nX-Cluster-Key: {CLUSTER_KEY}\r\n{length}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await?;
    if number / 8 % 2 == 1 && length.starts_with("Content") {
        connection.write_all(&vec![b' '; 3 << 20]).await?;
    }
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    Ok(())
}

/// How long a node waits for the answer to its greeting.
const GREETING_TIMEOUT: Duration = Duration::from_millis(2500);

/// Greets until this moment; how often it was answered in time, and how often not or with a refusal.
async fn greet(url: &str, end: Instant) -> (usize, usize) {
    let client = Client::builder().no_proxy().build().unwrap();
    let message = json!({"hello": greeting(), "body": "heartbeat"});
    let (mut answered, mut refused) = (0, 0);
    while Instant::now() < end {
        let request = client.post(url).header("X-Cluster-Key", CLUSTER_KEY);
        let answer = timeout(GREETING_TIMEOUT, request.json(&message).send()).await;
        if matches!(answer, Ok(Ok(answer)) if answer.status().is_success()) {
            answered += 1;
        } else {
            refused += 1;
        }
        sleep(Duration::from_millis(200)).await;
    }
    (answered, refused)
}
