//! The network between nodes. All nodes list one address of each node, and the proxy behind it knows the caller. The test cuts,
//! delays or swallows traffic in each direction by itself.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What the proxy does with traffic from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Way {
    #[default]
    Open,
    Delayed(Duration),
    /// The bytes vanish, and neither end gets an error.
    Swallowed,
    /// Connections end.
    Cut,
}

/// The bytes from one node to another, both as caller and as callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes: usize,
    pub(crate) requests: usize,
    pub(crate) pushes: usize,
    /// Questions to the owners of values.
    pub(crate) questions: usize,
}

type Direction = (usize, usize);

#[derive(Debug)]
struct Shared {
    ways: watch::Sender<HashMap<Direction, Way>>,
    /// Where the nodes really listen, while they run.
    places: Mutex<Vec<Option<SocketAddr>>>,
    traffic: Mutex<HashMap<Direction, Traffic>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Shared>);

impl Places {
    /// Where a node listens, past all faults; `None` while it does not run.
    pub(crate) fn of(&self, node: usize) -> Option<SocketAddr> {
        self.0.places.lock().unwrap()[node]
    }

    pub(crate) fn set(&self, node: usize, place: Option<SocketAddr>) {
        self.0.places.lock().unwrap()[node] = place;
    }
}

#[derive(Debug)]
pub(crate) struct Network {
    shared: Arc<Shared>,
    /// The addresses by which the nodes know each other.
    pub(crate) addresses: Vec<SocketAddr>,
    _proxies: JoinSet<()>,
}

impl Network {
    pub(crate) async fn of(nodes: usize) -> Self {
        let shared = Arc::new(Shared {
            ways: watch::Sender::default(),
            places: Mutex::new(vec![None; nodes]),
            traffic: Mutex::default(),
        });
        let (mut addresses, mut proxies) = (Vec::new(), JoinSet::new());
        for node in 0..nodes {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            proxies.spawn(accept(listener, node, Arc::clone(&shared)));
        }
        Self {
            shared,
            addresses,
            _proxies: proxies,
        }
    }

    pub(crate) fn places(&self) -> Places {
        Places(Arc::clone(&self.shared))
    }

    /// Sets the behaviour from one node to another.
    pub(crate) fn one_way(&self, from: usize, to: usize, way: Way) {
        self.shared.ways.send_modify(|ways| {
            ways.insert((from, to), way);
        });
    }

    /// Sets the behaviour between two nodes, in both directions.
    pub(crate) fn both_ways(&self, one: usize, other: usize, way: Way) {
        self.one_way(one, other, way);
        self.one_way(other, one, way);
    }

    /// Sets the behaviour between these nodes and all others.
    pub(crate) fn around(&self, nodes: &[usize], way: Way) {
        for &node in nodes {
            for other in (0..self.addresses.len()).filter(|other| !nodes.contains(other)) {
                self.both_ways(node, other, way);
            }
        }
    }

    pub(crate) fn heal(&self) {
        self.shared.ways.send_modify(HashMap::clear);
    }

    /// The traffic from one node to another so far, whether it arrived or not.
    pub(crate) fn sent(&self, from: usize, to: usize) -> Traffic {
        let traffic = self.shared.traffic.lock().unwrap();
        traffic.get(&(from, to)).copied().unwrap_or_default()
    }

    /// The traffic of all directions together so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let traffic = self.shared.traffic.lock().unwrap();
        traffic
            .values()
            .fold(Traffic::default(), |sum, one| Traffic {
                bytes: sum.bytes + one.bytes,
                requests: sum.requests + one.requests,
                pushes: sum.pushes + one.pushes,
                questions: sum.questions + one.questions,
            })
    }
}

async fn accept(listener: TcpListener, node: usize, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((caller, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(connect(caller, node, Arc::clone(&shared)));
    }
}

/// Serves one connection until an end or a fault closes it.
async fn connect(mut caller: TcpStream, callee: usize, shared: Arc<Shared>) -> Option<()> {
    let mut first = Vec::new();
    let from = loop {
        if caller.read_buf(&mut first).await.ok()? == 0 {
            return None;
        }
        if let Some(from) = who_calls(&first) {
            break from;
        }
    };
    shared.count((from, callee), &first);
    let mut called = if shared.way((from, callee)).await {
        let place = shared.places.lock().unwrap()[callee]?;
        TcpStream::connect(place).await.ok()?
    } else {
        return None;
    };
    caller.set_nodelay(true).ok()?;
    called.set_nodelay(true).ok()?;
    called.write_all(&first).await.ok()?;
    let (caller_reads, caller_writes) = caller.split();
    let (called_reads, called_writes) = called.split();
    tokio::select! {
        () = shared.carry((from, callee), caller_reads, called_writes) => {}
        () = shared.carry((callee, from), called_reads, caller_writes) => {}
    }
    None
}

/// The number of the node that sent this request; node names are n and the number, and every request carries its sender's name.
fn who_calls(first: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(first);
    let (_, program) = text.split_once("user-agent: osc-node/")?;
    let (_, name) = program.split_once("(n")?;
    let (number, _) = name.split_once(')')?;
    number.parse().ok()
}

impl Shared {
    /// Waits as the direction demands; gives whether bytes get through afterwards.
    async fn way(&self, direction: Direction) -> bool {
        let mut ways = self.ways.subscribe();
        let way = ways.borrow().get(&direction).copied().unwrap_or_default();
        match way {
            Way::Open => true,
            Way::Delayed(time) => {
                tokio::time::sleep(time).await;
                true
            }
            Way::Swallowed => {
                // Bytes that were lost on the way make the rest of the connection useless.
                let _ = ways
                    .wait_for(|ways| ways.get(&direction) != Some(&Way::Swallowed))
                    .await;
                false
            }
            Way::Cut => false,
        }
    }

    async fn carry(
        &self,
        direction: Direction,
        mut from: tokio::net::tcp::ReadHalf<'_>,
        mut to: tokio::net::tcp::WriteHalf<'_>,
    ) {
        let mut ways = self.ways.subscribe();
        let mut bytes = vec![0; 64 << 10];
        loop {
            let cut = ways.wait_for(|ways| ways.get(&direction) == Some(&Way::Cut));
            let read = tokio::select! {
                _ = cut => return,
                read = from.read(&mut bytes) => read,
            };
            let Ok(count @ 1..) = read else {
                return;
            };
            self.count(direction, &bytes[..count]);
            if !self.way(direction).await {
                return;
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }

    fn count(&self, direction: Direction, bytes: &[u8]) {
        let times = |text: &str| {
            let text = text.as_bytes();
            bytes
                .windows(text.len())
                .filter(|part| *part == text)
                .count()
        };
        let mut traffic = self.traffic.lock().unwrap();
        let traffic = traffic.entry(direction).or_default();
        traffic.bytes += bytes.len();
        traffic.requests += times("POST /cluster/v1/exchange");
        traffic.pushes += times(r#""push":{"#);
        traffic.questions += questions(bytes);
    }
}

/// Questions to home nodes that begin in these bytes. A request for a challenge, which a node sends where another request has
/// used the one that it held, is no question.
fn questions(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let requests = text.split("POST /cluster/v1/values").skip(1);
    requests
        .filter(|request| {
            let head = request.split("\r\n\r\n").next().unwrap_or_default();
            !head.lines().any(|line| line == "x-osc-proof: ask")
        })
        .count()
}

#[test]
fn who_asks_for_a_challenge_asks_no_owner_yet() {
    let ask = "POST /cluster/v1/values HTTP/1.1\r\nx-osc-proof: ask\r\nhost: n0\r\n\r\n";
    let signed = "POST /cluster/v1/values HTTP/1.1\r\nhost: n0\r\nx-osc-proof: v1 AAAA\r\n\r\n{}";
    assert_eq!(questions(format!("{ask}{signed}{signed}").as_bytes()), 2);
}
