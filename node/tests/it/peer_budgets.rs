//! The memory for answers between nodes is reserved before they are made, and kept until the other node has them.

use std::time::{Duration, Instant};

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{
    free_port::free_port,
    node::{API_KEY, USER_KEY, client, environment},
    process::{Process, osc_node},
    raw_http::RawHttp,
};

const CLUSTER_KEY: &str = "the cluster key of the tests";
const EXCHANGE: &str = "/cluster/v1/exchange";
const MIB: usize = 1 << 20;

/// The only node of a cluster.
struct Lonely {
    _folder: TempDir,
    node: Process,
    client: Client,
}

impl Lonely {
    async fn bootstrapped(more: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port("127.0.0.1").to_string();
        let nodes = format!("127.0.0.1:{port}");
        let settings = [
            ("OSC_HOST_PORT", port.as_str()),
            ("OSC_CLUSTER_ENABLED", "true"),
            ("OSC_CLUSTER_NODE_ID", "one"),
            ("OSC_CLUSTER_KEY", CLUSTER_KEY),
            ("OSC_CLUSTER_NODES", &nodes),
        ];
        let settings = || {
            environment(folder.path())
                .into_iter()
                .chain(settings.map(|(name, value)| (name.to_owned(), value.to_owned())))
        };
        let mut command = osc_node(folder.path());
        command.envs(settings()).envs(more.iter().copied());
        let node = Process::start_command(&mut command);
        let told = osc_node(folder.path())
            .envs(settings())
            .arg("bootstrap")
            .output()
            .unwrap();
        assert!(told.status.success(), "{told:?}");
        let lonely = Self {
            _folder: folder,
            node,
            client: client(),
        };
        let is_ready = async {
            let url = format!("{}/ready", lonely.node.url);
            while lonely.client.get(&url).send().await.unwrap().status() != StatusCode::OK {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_mins(1), is_ready).await.unwrap();
        lonely
    }

    async fn create(&self, key: &str, value: &str) {
        let request = self.client.post(format!("{}/configs", self.node.url));
        let request = request
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY)
            .json(&json!({"key": key, "value": value}));
        assert_eq!(request.send().await.unwrap().status(), 201);
    }

    async fn ask(&self, hello: &Value, body: Value) -> Response {
        let request = self.client.post(format!("{}{EXCHANGE}", self.node.url));
        let request = request.header("X-Cluster-Key", CLUSTER_KEY);
        let message = json!({"hello": hello, "body": body});
        request.json(&message).send().await.unwrap()
    }

    async fn told(&self, hello: &Value, body: Value) -> (usize, Value) {
        let answer = self.ask(hello, body).await;
        assert_eq!(answer.status(), 200);
        let text = answer.bytes().await.unwrap();
        (text.len(), serde_json::from_slice(&text).unwrap())
    }

    /// The greeting of a node of this cluster that no member knows.
    async fn greeting(&self) -> Value {
        let mut hello = json!({
            "protocol": { "major": 1, "minor": 2 }, "release": "none", "cluster": "", "mode": "replica",
            "name": "nobody", "incarnation": 4711, "process_epoch": 4712, "turn": 1, "heard": null, "epoch_began": 0,
            "address": null, "cluster_uid": null, "salt": null, "ready": false, "source": false,
            "acknowledges": false, "fenced": false, "has_rows": false, "head": 0, "purged": 0,
            "origin": null, "received": null, "roster": 0, "entries": 0, "time": 0,
        });
        let (_, answer) = self.told(&hello, json!("heartbeat")).await;
        hello["cluster_uid"] = answer["hello"]["cluster_uid"].clone();
        hello
    }

    async fn reserved(&self) -> usize {
        let metrics = self.client.get(format!("{}/metrics", self.node.url));
        let metrics = metrics.send().await.unwrap().text().await.unwrap();
        let names = ["peers", "small_peers"]
            .map(|share| format!("osc_memory_reserved_bytes{{share=\"{share}\"}} "));
        let figures = metrics.lines().filter_map(|line| {
            let figure = names.iter().find_map(|name| line.strip_prefix(name))?;
            Some(figure.parse::<usize>().unwrap())
        });
        figures.sum()
    }

    async fn until_reserved(&self, is_so: impl Fn(usize) -> bool) {
        let wait = async {
            while !is_so(self.reserved().await) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_mins(1), wait).await.unwrap();
    }
}

fn keys(from: usize, to: usize) -> Value {
    let key = |n| json!({"environment": "", "key": format!("k{n:02}")});
    (from..to).map(key).collect()
}

/// The head of a message whose length is not said.
fn head_of_chunks() -> String {
    format!(
        "POST {EXCHANGE} HTTP/1.1\r\nHost: node\r\nX-Cluster-Key: {CLUSTER_KEY}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
}

fn chunk_of_blanks(length: usize) -> String {
    format!("{length:x}\r\n{}\r\n", " ".repeat(length))
}

#[tokio::test]
async fn messages_that_do_not_come_take_no_room() {
    let cluster = Lonely::bootstrapped(&[]).await;
    let hello = cluster.greeting().await;
    let announced =
        head_of_chunks().replace("Transfer-Encoding: chunked", "Content-Length: 4000000");
    let mut unsent = Vec::new();
    for n in 0..16 {
        let mut sender = RawHttp::connect_from(&cluster.node.url, "127.0.0.2").await;
        if n % 2 == 0 {
            sender.send(head_of_chunks()).await;
        } else {
            sender.send(&announced).await;
        }
        unsent.push(sender);
    }
    // Each is being read once its first bytes are.
    for (n, sender) in unsent.iter_mut().enumerate() {
        let first = chunk_of_blanks(1 << 10);
        sender
            .send(if n % 2 == 0 {
                first
            } else {
                " ".repeat(1 << 10)
            })
            .await;
    }
    cluster.until_reserved(|bytes| bytes > 0).await;
    assert!(cluster.reserved().await < 2 * MIB);
    let (_, answer) = cluster.told(&hello, json!({"pull": {"after": 0}})).await;
    assert!(!answer["body"]["changes"].is_null(), "{answer}");
    cluster.told(&hello, json!("heartbeat")).await;
    cluster.node.kill();
}

#[tokio::test]
async fn one_address_leaves_room_for_the_messages_of_others() {
    let share = (16 * MIB).to_string();
    let cluster = Lonely::bootstrapped(&[("OSC_PEER_MEMORY_BYTES", &share)]).await;
    let hello = cluster.greeting().await;
    let mut senders = Vec::new();
    for _ in 0..4 {
        let mut sender = RawHttp::connect_from(&cluster.node.url, "127.0.0.2").await;
        sender.send(head_of_chunks()).await;
        senders.push(tokio::spawn(async move {
            for _ in 0..48 {
                sender.send(chunk_of_blanks(64 << 10)).await;
            }
            // The rest never comes.
            sender.answer().await.map(|answer| answer.status)
        }));
    }
    cluster.until_reserved(|bytes| bytes >= 7 * MIB).await;
    for _ in 0..8 {
        cluster.told(&hello, json!({"pull": {"after": 0}})).await;
        cluster.told(&hello, json!("heartbeat")).await;
    }
    senders.iter().for_each(tokio::task::JoinHandle::abort);
    cluster.node.kill();
}

#[tokio::test]
async fn a_message_that_stops_is_given_up_as_a_clients_body_is() {
    let cluster = Lonely::bootstrapped(&[]).await;
    let mut sender = RawHttp::connect(&cluster.node.url).await;
    sender.send(head_of_chunks()).await;
    sender.send(chunk_of_blanks(1)).await;
    let began = Instant::now();
    sender.answer().await.unwrap().assert_refusal(408);
    // Five seconds, and not the thirty that a message may take as a whole.
    assert!(began.elapsed() < Duration::from_secs(20));
    cluster.node.kill();
}

#[tokio::test]
async fn entries_that_a_member_asks_for_come_as_many_as_fit() {
    let cluster = Lonely::bootstrapped(&[]).await;
    let value = "x".repeat(300_000);
    for n in 0..12 {
        cluster.create(&format!("k{n:02}"), &value).await;
    }
    let hello = cluster.greeting().await;
    let mut come = 0;
    while come < 12 {
        let wanted = json!({"entries": keys(come, 12)});
        let (length, answer) = cluster.told(&hello, wanted).await;
        assert!(length < 2 * MIB, "{length}");
        let rows = answer["body"]["entries"].as_array().unwrap();
        assert!(!rows.is_empty());
        for (row, n) in rows.iter().zip(come..) {
            assert_eq!(row["key"], format!("k{n:02}"));
        }
        come += rows.len();
    }
    cluster.node.kill();
}

#[tokio::test]
async fn an_answer_is_not_made_where_there_is_no_room_for_it() {
    let share = (16 * MIB).to_string();
    let cluster = Lonely::bootstrapped(&[("OSC_PEER_MEMORY_BYTES", &share)]).await;
    cluster.create("k", "a value").await;
    let hello = cluster.greeting().await;
    // Two slow messages that take nearly all of the room together: each is held as a text and as its parsed form.
    let mut sends = Vec::new();
    for (source, length) in [("127.0.0.2", 4 * MIB), ("127.0.0.3", MIB + (256 << 10))] {
        let mut slow = RawHttp::connect_from(&cluster.node.url, source).await;
        slow.send(head_of_chunks()).await;
        slow.send(chunk_of_blanks(length)).await;
        sends.push(tokio::spawn(async move {
            loop {
                slow.send(chunk_of_blanks(4 << 10)).await;
                sleep(Duration::from_millis(200)).await;
            }
        }));
    }
    cluster.until_reserved(|bytes| bytes >= 10 * MIB).await;
    for asked in [
        json!({"pull": {"after": 0}}),
        json!({"snapshot": {"after": null}}),
        json!({"entries": keys(0, 1)}),
    ] {
        let answer = cluster.ask(&hello, asked.clone()).await;
        assert_eq!(answer.status(), 503, "{asked}");
        assert!(answer.headers().contains_key("retry-after"));
        // A node that only sends a heartbeat waits for nothing.
        cluster.told(&hello, json!("heartbeat")).await;
    }
    sends.iter().for_each(tokio::task::JoinHandle::abort);
    cluster.until_reserved(|bytes| bytes == 0).await;
    let (_, answer) = cluster.told(&hello, json!({"pull": {"after": 0}})).await;
    assert_eq!(answer["body"]["changes"]["rows"][0]["key"], "k");
    cluster.node.kill();
}

#[tokio::test]
async fn an_answer_keeps_its_room_until_the_other_node_has_it() {
    let more = [
        ("OSC_MAX_BODY_BYTES", "6000000"),
        ("OSC_MEMORY_BYTES", "335544320"),
    ];
    let cluster = Lonely::bootstrapped(&more).await;
    // More bytes than the system buffers by itself.
    cluster.create("k", &"x".repeat(5_500_000)).await;
    let hello = cluster.greeting().await;
    let message = json!({"hello": hello, "body": {"pull": {"after": 0}}}).to_string();
    let mut taker = RawHttp::connect(&cluster.node.url).await;
    taker
        .send(format!(
            "POST {EXCHANGE} HTTP/1.1\r\nHost: node\r\nX-Cluster-Key: {CLUSTER_KEY}\r\nContent-Length: {}\r\n\r\n{message}",
            message.len()
        ))
        .await;
    assert!(taker.more().await);
    // Only the text counts: the rows from which it was made are gone.
    cluster
        .until_reserved(|bytes| (7_000_000..8_000_000).contains(&bytes))
        .await;
    let answer = taker.answer().await.unwrap();
    assert_eq!(answer.status, 200);
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer["body"]["changes"]["rows"][0]["key"], "k");
    cluster.until_reserved(|bytes| bytes == 0).await;
    cluster.node.kill();
}

#[tokio::test]
async fn of_greetings_under_any_number_of_names_the_last_are_remembered() {
    let lonely = Lonely::bootstrapped(&[]).await;
    let mut hello = lonely.greeting().await;
    for number in 0..600 {
        hello["name"] = format!("stranger-{number}").into();
        hello["incarnation"] = (10_000 + number).into();
        hello["process_epoch"] = (20_000 + number).into();
        lonely.told(&hello, json!("heartbeat")).await;
    }
    let url = format!("{}/cluster/status?details=true", lonely.node.url);
    let status = lonely.client.get(url).header("X-Cluster-Key", CLUSTER_KEY);
    let status = status.header("X-API-Key", API_KEY);
    let status: Value = status.send().await.unwrap().json().await.unwrap();
    let members = status["details"]["members"].as_array().unwrap();
    assert!(members.len() <= 256, "{} are known", members.len());
    let last = members
        .iter()
        .any(|member| member["name"] == "stranger-599");
    assert!(last, "{members:?}");
}

#[tokio::test]
async fn a_greeting_with_longer_texts_than_any_nodes_is_refused() {
    let lonely = Lonely::bootstrapped(&[]).await;
    let hello = lonely.greeting().await;
    for (field, length) in [
        ("name", 257),
        ("release", 257),
        ("salt", 257),
        ("address", 321),
    ] {
        let mut long = hello.clone();
        long[field] = "n".repeat(length).into();
        let answer = lonely.ask(&long, json!("heartbeat")).await;
        assert_eq!(answer.status(), 400, "{field}");
    }
    let mut marks = hello.clone();
    marks["inherited"] = (0..5_000).map(|n| json!([n, 1])).collect();
    let answer = lonely.ask(&marks, json!("heartbeat")).await;
    assert_eq!(answer.status(), 400);
}

/// A message whose body is this text.
fn written(hello: &Value, body: &str) -> String {
    format!(r#"{{"hello":{hello},"body":{body}}}"#)
}

impl Lonely {
    async fn status_of(&self, message: String) -> StatusCode {
        let request = self.client.post(format!("{}{EXCHANGE}", self.node.url));
        let request = request.header("X-Cluster-Key", CLUSTER_KEY);
        request.body(message).send().await.unwrap().status()
    }
}

#[tokio::test]
async fn a_message_that_takes_more_than_the_share_is_refused_before_it_is_read() {
    let share = 8 * MIB;
    let more = [("OSC_PEER_MEMORY_BYTES", share.to_string())];
    let more = more.each_ref().map(|(name, value)| (*name, value.as_str()));
    let lonely = Lonely::bootstrapped(&more).await;
    let hello = lonely.greeting().await;
    let pairs = |count: usize| format!("[{}[0,0]]", "[0,0],".repeat(count));
    let names = r#"{"environment":"","key":"k"},"#.repeat(40_000);
    let mut marked = hello.clone();
    marked["inherited"] = json!("MARKS");
    let marked = marked.to_string().replace(r#""MARKS""#, &pairs(200_000));
    let clocks = format!(
        r#"{{"push":{{"from":0,"to":1,"rows":[{{"environment":"","key":"k","created_at":0,"updated_at":0,"version":{{"clock":1,"incarnation":1}},"clocks":{},"hash":""}}]}}}}"#,
        pairs(200_000)
    );
    let long = format!(r#"{{"unknown":"{}"}}"#, "x".repeat(share));
    for (what, message) in [
        (
            "marks",
            format!(r#"{{"hello":{marked},"body":"heartbeat"}}"#),
        ),
        ("clocks", written(&hello, &clocks)),
        (
            "names",
            written(&hello, &format!(r#"{{"entries":[{names}{{}}]}}"#)),
        ),
        (
            "nothing that a node knows",
            written(&hello, &format!("[{}0]", "0,".repeat(200_000))),
        ),
        ("one long text", written(&hello, &long)),
    ] {
        let status = lonely.status_of(message).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{what}");
    }
    lonely.until_reserved(|bytes| bytes == 0).await;
    lonely.told(&hello, json!("heartbeat")).await;
    lonely.node.kill();
}

#[tokio::test]
async fn a_greeting_is_no_longer_than_any_nodes() {
    let lonely = Lonely::bootstrapped(&[]).await;
    let mut hello = lonely.greeting().await;
    hello["unknown"] = "x".repeat(60 << 10).into();
    lonely.told(&hello, json!("heartbeat")).await;
    hello["unknown"] = "x".repeat(64 << 10).into();
    let refused = lonely.ask(&hello, json!("heartbeat")).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    lonely.told(&hello, json!({"pull": {"after": 0}})).await;
    lonely.node.kill();
}
