//! Messages between nodes, changed in every place: none moves a node's clock, none fences it, none is a fault of the node.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::{sleep, spawn},
    time::{Duration, Instant, SystemTime},
};

use opensecureconf_node::domain::{Clock, Timestamp, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    corpus::{Share, files, inputs, judge},
    node::{API_KEY, CLUSTER_KEY, Node, USER_KEY},
    random::Random,
};

const TIMEOUT: Duration = Duration::from_mins(1);
/// Messages between two checks of the node.
const ROUND: usize = 100;
/// How far ahead a clock may be after all.
const HOUR_MICROS: u128 = 3_600_000_000;

const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    1 << 20,
    1 << 40,
    1 << 52,
    (1 << 53) + 1,
    4_000_000_000_000_000,
    7_258_118_400_000_000,
    i64::MAX,
    i64::MIN,
];
const TEXTS: &[&str] = &[
    "",
    "n0",
    "n1",
    "n2",
    "é",
    "\u{0}",
    "a b",
    "user@host:1",
    "127.0.0.1:1/x",
    "127.0.0.1:1#x",
    "gAAAAAB",
    "0000000000000000",
    "ffffffffffffffff",
];

/// The messages that went through on their way to a node.
type Recorded = Arc<Mutex<Vec<Vec<u8>>>>;

/// A proxy between the nodes that records their messages.
struct Proxy {
    address: SocketAddr,
    to: Arc<Mutex<Option<SocketAddr>>>,
    recorded: Recorded,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (to, recorded) = (
            Arc::<Mutex<Option<SocketAddr>>>::default(),
            Recorded::default(),
        );
        spawn({
            let (to, recorded) = (Arc::clone(&to), Arc::clone(&recorded));
            move || {
                for connection in listener.incoming().map_while(Result::ok) {
                    let target = *to.lock().unwrap();
                    if let Some(target) = target {
                        // A side that went away ends its connection, not the proxy.
                        let _ = forward(connection, target, &recorded);
                    }
                }
            }
        });
        Self {
            address,
            to,
            recorded,
        }
    }
}

fn forward(client: TcpStream, to: SocketAddr, recorded: &Recorded) -> std::io::Result<()> {
    let server = TcpStream::connect(to)?;
    let number = {
        let mut recorded = recorded.lock().unwrap();
        recorded.push(Vec::new());
        recorded.len() - 1
    };
    let recorded = Arc::clone(recorded);
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    spawn(move || {
        let mut buffer = vec![0; 0x10000];
        while let Ok(read @ 1..) = from_client.read(&mut buffer) {
            recorded.lock().unwrap()[number].extend(&buffer[..read]);
            if to_server.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    Ok(())
}

/// The messages in the bytes of a connection.
fn messages(bytes: &[u8]) -> Vec<Value> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(4).position(|part| part == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length
            .and_then(|length| length.trim().parse().ok())
            .unwrap_or_default();
        let body = &rest[end + 4..];
        let body = &body[..length.min(body.len())];
        found.extend(
            serde_json::from_slice(body)
                .ok()
                .filter(|message: &Value| message["hello"].is_object()),
        );
        rest = &rest[end + 4 + body.len()..];
    }
    found
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

fn call(to: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Answer, String> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: {}\r\nX-API-Key: {API_KEY}\r\n\
         X-User-Key: {USER_KEY}\r\nX-Cluster-Key: {CLUSTER_KEY}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let text = |error: std::io::Error| error.to_string();
    let mut connection = TcpStream::connect(to).map_err(text)?;
    connection.set_read_timeout(Some(TIMEOUT)).map_err(text)?;
    connection.write_all(request.as_bytes()).map_err(text)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).map_err(text)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or("no status")?,
        head: head.to_ascii_lowercase(),
        body: serde_json::from_str(body).unwrap_or_default(),
    })
}

fn until_ready(to: SocketAddr) -> Result<(), String> {
    let end = Instant::now() + TIMEOUT;
    loop {
        let ready = call(to, "GET", "/ready", &Value::Null)?;
        if ready.status == 200 {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("it is not ready any more: {}", ready.body));
        }
        sleep(Duration::from_millis(100));
    }
}

/// It is ready, and a write gets a stamp of about now.
fn is_untouched(node: &mut Node) -> Result<(), String> {
    node.is_sound()?;
    until_ready(node.address)?;
    let written = call(
        node.address,
        "PUT",
        "/configs/k?upsert=true",
        &json!({"value": 1}),
    )?;
    if written.status >= 300 {
        return Err(format!(
            "a write is answered with {}: {}",
            written.status, written.body
        ));
    }
    let version = written
        .head
        .lines()
        .find_map(|line| line.strip_prefix("x-osc-version:"));
    let version: Version = version.unwrap().trim().parse().unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() + HOUR_MICROS;
    let bound = Clock::at(Timestamp::from_micros(i64::try_from(now).unwrap()));
    if version.clock > bound {
        return Err(format!("its clock has moved to {version}"));
    }
    Ok(())
}

/// Changes one place in a message.
fn change(random: &mut Random, value: &mut Value) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let names: Vec<_> = members.keys().cloned().collect();
            let name = random.of_these(&names);
            match random.below(20) {
                0 => drop(members.remove(name)),
                1 => {
                    let other = members[random.of_these(&names)].clone();
                    members[name] = other;
                }
                _ => change(random, &mut members[name]),
            }
        }
        Value::Array(items) if !items.is_empty() && random.below(8) > 0 => {
            let at = random.below(items.len());
            match random.below(8) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => change(random, &mut items[at]),
            }
        }
        Value::Bool(flag) => *flag = !*flag,
        Value::Number(number) if random.below(3) == 0 => {
            let near = number.as_i64().unwrap_or_default();
            *value = near.wrapping_add([-1, 1, 1000][random.below(3)]).into();
        }
        Value::String(text) if random.below(3) == 0 => {
            let at = random.below(text.len() + 1);
            if text.is_char_boundary(at) {
                text.insert(at, 'f');
            }
        }
        Value::String(_) => *value = (*random.of_these(TEXTS)).into(),
        _ => *value = (*random.of_these(NUMBERS)).into(),
    }
}

/// A cluster of two nodes, and the messages of the second to the first.
fn cluster(folder: &TempDir) -> ([Node; 2], Vec<Value>) {
    let proxies = [Proxy::start(), Proxy::start()];
    let list = format!("{},{}", proxies[0].address, proxies[1].address);
    let nodes = [0, 1].map(|number: usize| {
        let own = folder.path().join(format!("n{number}"));
        std::fs::create_dir(&own).unwrap();
        let name = format!("n{number}");
        let settings = [
            ("OSC_CLUSTER_ENABLED", "true"),
            ("OSC_CLUSTER_NODE_ID", name.as_str()),
            ("OSC_CLUSTER_NODES", list.as_str()),
        ];
        let node = Node::start(&own, &settings);
        *proxies[number].to.lock().unwrap() = Some(node.address);
        node
    });
    let status = call(
        nodes[0].address,
        "GET",
        "/cluster/status?details=true",
        &Value::Null,
    )
    .unwrap();
    let order = json!({"incarnation": status.body["details"]["incarnation"]});
    let bootstrapped = call(nodes[0].address, "POST", "/cluster/bootstrap", &order).unwrap();
    assert_eq!(bootstrapped.status, 200, "{}", bootstrapped.body);
    for node in &nodes {
        until_ready(node.address).unwrap();
    }
    for number in 0..5 {
        let body = json!({"key": format!("k{number}"), "value": number});
        let created = call(nodes[1].address, "POST", "/configs", &body).unwrap();
        assert_eq!(created.status, 201, "{}", created.body);
    }
    let recorded = proxies[0].recorded.lock().unwrap();
    let mut seen = BTreeSet::new();
    let said: Vec<_> = recorded.iter().flat_map(|bytes| messages(bytes)).collect();
    // The last message of each kind: earlier ones are from before the node was a member.
    let mut last: Vec<_> = said
        .into_iter()
        .rev()
        .filter(|message| seen.insert(kind(message)))
        .collect();
    last.reverse();
    drop(recorded);
    (nodes, last)
}

fn kind(message: &Value) -> String {
    match &message["body"] {
        Value::Object(body) => body.keys().next().cloned().unwrap_or_default(),
        body => body.to_string(),
    }
}

#[test]
fn no_message_of_a_peer_moves_a_clock_or_fences() {
    let folder = TempDir::new().unwrap();
    let ([mut node, _other], said) = cluster(&folder);
    assert!(!said.is_empty(), "no message was recorded");
    let bodies: Vec<Value> = files("peers")
        .iter()
        .map(|file| serde_json::from_slice(file).unwrap())
        .collect();
    let mut random = Random::of("peers");
    let mut understood = 0;
    let mut round = Vec::new();
    for number in 0..bodies.len() + inputs(Share(40)) {
        let mut message = random.of_these(&said).clone();
        if let Some(body) = bodies.get(number) {
            message["body"] = body.clone();
        } else {
            if random.below(3) == 0 {
                message["body"] = random.of_these(&bodies).clone();
            }
            for _ in 0..=random.below(3) {
                change(&mut random, &mut message);
            }
        }
        let text = message.to_string();
        let answer = call(node.address, "POST", "/cluster/v1/exchange", &message);
        judge("peers", text.as_bytes(), fine(&answer));
        understood += usize::from(answer.is_ok_and(|answer| answer.status == 200));
        round.push(text);
        if round.len() == ROUND {
            judge(
                "peers",
                round.join("\n").as_bytes(),
                is_untouched(&mut node),
            );
            round.clear();
        }
    }
    judge(
        "peers",
        round.join("\n").as_bytes(),
        is_untouched(&mut node),
    );
    eprintln!("peers: {understood} messages were understood");
    assert!(understood > 0, "no message reached the engine");
}

fn fine(answer: &Result<Answer, String>) -> Result<(), String> {
    match answer {
        Ok(answer) if answer.status < 500 || answer.status == 503 => Ok(()),
        Ok(answer) => Err(format!("answered {}: {}", answer.status, answer.body)),
        Err(fault) => Err(fault.clone()),
    }
}
