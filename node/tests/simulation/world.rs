//! A world: nodes, the network between them, and everything that is going to happen, in the order of its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use opensecureconf_node::{
    cluster::{
        Address, AdminOutcome, AdminRefusal, Answer, ClusterUid, Envelope, ExchangeId, Input, Mode,
        PeerInfo, Rules,
    },
    crypto::Salt,
    domain::{Incarnation, Timestamp},
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::{
    chaos::Profile,
    disk::Disk,
    history::{History, WriteId},
    impostor::NO_LIFE,
    network::Network,
    node::Node,
    owner::Owner,
    story::Story,
};

/// A node, by its place in the world.
pub(crate) type NodeId = usize;

/// An order of the owner, by its place.
pub(crate) type OrderId = usize;

/// When the worlds begin, in microseconds since 1970.
const EPOCH: i64 = 1_750_000_000_000_000;

/// A scheduled event.
#[derive(Debug)]
pub(crate) enum SimulationEvent {
    /// Time passes for a process.
    Tick { node: NodeId, life: u64 },
    /// A job reaches a process.
    Arrive { node: NodeId, life: u64, job: Job },
    /// A request reaches an address.
    Request {
        to: NodeId,
        text: String,
        asker: Peer,
    },
    /// A commit comes to its end.
    Committed { node: NodeId, life: u64 },
    /// An answer comes, or the asker's timeout ends.
    Answer { asker: Peer, text: Option<String> },
    /// A client acts.
    Client,
    /// A fault occurs.
    Chaos,
    /// The admin looks after its cluster.
    Owner,
    /// Leaving nodes hand over their values.
    HandOver,
    /// A node starts again.
    Start(NodeId),
    /// The address of a node leads to it.
    Named(NodeId),
    /// The list of addresses of a node changes.
    List(NodeId, Vec<Address>),
}

impl SimulationEvent {
    fn is_snapshot_request_of(&self, node: NodeId) -> bool {
        matches!(self, Self::Request { asker, text, .. }
            if asker.node == node && text.contains("\"snapshot\":{"))
    }

    fn is_page_for(&self, node: NodeId) -> bool {
        matches!(self, Self::Answer { asker, text: Some(text) }
            if asker.node == node && text.contains("\"page\":{"))
    }
}

/// Work for an engine.
#[derive(Debug)]
pub(crate) enum Job {
    /// An input without a waiting asker.
    Plain(Input),
    /// A client's write.
    Write(WriteId),
    /// A client's writes, all or none.
    WriteAll(Vec<WriteId>),
    /// Another node's request.
    Request(Box<Envelope<opensecureconf_node::cluster::Request>>, Peer),
    /// An order of the owner.
    Order(opensecureconf_node::cluster::AdminOrder, OrderId),
}

/// The asker that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    Client(WriteId),
    Owner(OrderId),
    Peer(Peer),
}

/// A process that sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) life: u64,
    pub(crate) exchange: ExchangeId,
}

/// The outcome of an order: `None` while it is under way, and where no answer ever came.
pub(crate) type OrderResult = Option<Result<AdminOutcome, AdminRefusal>>;

/// The world.
pub(crate) struct World {
    pub(crate) time: Duration,
    queue: BTreeMap<(Duration, u64), SimulationEvent>,
    scheduled: u64,
    pub(crate) random: StdRng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) history: History,
    pub(crate) story: Story,
    pub(crate) owner: Owner,
    pub(crate) profile: Profile,
    pub(crate) rules: Rules,
    /// How entries are shared.
    pub(crate) mode: Mode,
    pub(crate) orders: Vec<OrderResult>,
    pub(crate) cluster_uids: BTreeSet<ClusterUid>,
    pub(crate) salts: BTreeSet<String>,
    /// The last greeting of each database that a node heard.
    pub(crate) said: BTreeMap<Incarnation, PeerInfo>,
    /// The greeting of the last answer to an impostor.
    pub(crate) said_to_impostor: Option<PeerInfo>,
    /// The salt that is mounted into every node.
    pub(crate) mounted: Option<Salt>,
    /// Whether all wall clocks have shown the same time so far.
    pub(crate) clocks_agree: bool,
    /// The rule that was broken.
    pub(crate) broken: Option<String>,
}

impl World {
    /// An empty world without faults.
    pub(crate) fn new(seed: u64, rules: Rules, told: bool) -> Self {
        Self {
            time: Duration::ZERO,
            queue: BTreeMap::new(),
            scheduled: 0,
            random: StdRng::seed_from_u64(seed),
            nodes: Vec::new(),
            network: Network::default(),
            history: History::default(),
            story: Story::new(told),
            owner: Owner::default(),
            profile: Profile::calm(),
            rules,
            mode: Mode::Replica,
            orders: Vec::new(),
            cluster_uids: BTreeSet::new(),
            salts: BTreeSet::new(),
            said: BTreeMap::new(),
            said_to_impostor: None,
            mounted: None,
            clocks_agree: true,
            broken: None,
        }
    }

    /// Adds a node with an empty disk; it is not started.
    pub(crate) fn add_node(&mut self, name: &str) -> NodeId {
        let id = self.nodes.len();
        let incarnation = self.fresh_incarnation();
        let address = Address::new(format!("{name}.{id}:9000"));
        let disk = Disk::new(incarnation, self.profile.page);
        self.nodes.push(Node::new(name, address, disk));
        id
    }

    pub(crate) fn fresh_incarnation(&mut self) -> Incarnation {
        Incarnation::from_random(self.random.next_u64())
    }

    /// Wall-clock time without any node's skew.
    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp::from_micros(EPOCH + micros(self.time))
    }

    /// The addresses of some nodes.
    pub(crate) fn addresses(&self, nodes: &[NodeId]) -> Vec<Address> {
        nodes
            .iter()
            .map(|node| self.nodes[*node].address.clone())
            .collect()
    }

    /// The nodes that were not taken away for good.
    pub(crate) fn present(&self) -> Vec<NodeId> {
        (0..self.nodes.len())
            .filter(|node| !self.nodes[*node].retired)
            .collect()
    }

    /// Schedules an event.
    pub(crate) fn later(&mut self, after: Duration, happening: SimulationEvent) {
        self.scheduled += 1;
        self.queue
            .insert((self.time + after, self.scheduled), happening);
    }

    /// Lets time pass until a condition holds; gives whether it did.
    pub(crate) fn until(&mut self, limit: Duration, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        let end = self.time + limit;
        while self.broken.is_none() {
            if is_so(self) {
                return true;
            }
            match self.queue.first_key_value() {
                Some(((time, _), _)) if *time <= end => self.step(),
                _ => break,
            }
        }
        if self.broken.is_none() {
            self.time = end;
        }
        is_so(self)
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, duration: Duration) {
        self.until(duration, |_| false);
    }

    /// Lets the requests that are on their way to a node arrive later.
    pub(crate) fn hold_up_requests(&mut self, to: NodeId, by: Duration) {
        self.hold_up(
            by,
            |happening| matches!(happening, SimulationEvent::Request { to: target, .. } if *target == to),
        );
    }

    /// Lets the requests that a process made and that are on their way to a node arrive later.
    pub(crate) fn hold_up_requests_of(&mut self, from: NodeId, to: NodeId, by: Duration) {
        let life = self.nodes[from].life;
        self.hold_up(by, |happening| {
            matches!(happening, SimulationEvent::Request { to: target, asker, .. }
                if *target == to && asker.node == from && asker.life == life)
        });
    }

    /// Whether a node's request for a snapshot is on its way.
    pub(crate) fn snapshot_is_asked_for(&self, by: NodeId) -> bool {
        let mut queued = self.queue.values();
        queued.any(|happening| happening.is_snapshot_request_of(by))
    }

    /// Lets a node's request for a snapshot arrive later.
    pub(crate) fn hold_up_snapshot_request(&mut self, of: NodeId, by: Duration) {
        self.hold_up(by, |happening| happening.is_snapshot_request_of(of));
    }

    /// Lets the page of a snapshot that is on its way to a node arrive later.
    pub(crate) fn hold_up_page(&mut self, to: NodeId, by: Duration) {
        self.hold_up(by, |happening| happening.is_page_for(to));
    }

    /// Whether a page of a snapshot is on its way to a node.
    pub(crate) fn page_is_under_way(&self, to: NodeId) -> bool {
        self.queue
            .values()
            .any(|happening| happening.is_page_for(to))
    }

    fn hold_up(&mut self, by: Duration, is_held: impl Fn(&SimulationEvent) -> bool) {
        let (held, rest) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|(_, happening)| is_held(happening));
        self.queue = rest;
        let held: BTreeMap<_, _> = held;
        for ((time, number), happening) in held {
            self.queue.insert((time + by, number), happening);
        }
    }

    /// The requests of processes that are neither answered nor given up.
    pub(crate) fn under_way(&self) -> Vec<Peer> {
        let of = |node: NodeId| {
            let life = self.nodes[node].life;
            let open = self.nodes[node].open.keys();
            open.map(move |exchange| Peer {
                node,
                life,
                exchange: *exchange,
            })
        };
        self.present().into_iter().flat_map(of).collect()
    }

    /// Whether one of these requests still is, or a client's write.
    pub(crate) fn is_under_way(&self, requests: &[Peer]) -> bool {
        let is_open = |peer: &Peer| {
            let node = &self.nodes[peer.node];
            node.life == peer.life && node.open.contains_key(&peer.exchange)
        };
        let is_write = |happening: &SimulationEvent| {
            let job = match happening {
                SimulationEvent::Arrive { job, .. } => Some(job),
                _ => None,
            };
            matches!(job, Some(Job::Write(_) | Job::WriteAll(_)))
        };
        requests.iter().any(is_open) || self.queue.values().any(is_write)
    }

    /// Cancels all scheduled events of a kind.
    pub(crate) fn cancel(&mut self, which: impl Fn(&SimulationEvent) -> bool) {
        self.queue.retain(|_, happening| !which(happening));
    }

    fn step(&mut self) {
        let Some(((time, _), happening)) = self.queue.pop_first() else {
            return;
        };
        self.time = time;
        match happening {
            SimulationEvent::Tick { node, life } => self.tick(node, life),
            SimulationEvent::Arrive { node, life, job } => self.arrive(node, life, job),
            SimulationEvent::Request { to, text, asker } => self.request_arrives(to, &text, asker),
            SimulationEvent::Answer { asker, text } => self.answer_arrives(asker, text.as_deref()),
            SimulationEvent::Committed { node, life } => {
                if self.nodes[node].life == life {
                    self.end_commit(node);
                }
            }
            SimulationEvent::Client => self.client_acts(),
            SimulationEvent::Chaos => self.chaos_acts(),
            SimulationEvent::Owner => self.owner_acts(),
            SimulationEvent::HandOver => self.hand_over(),
            SimulationEvent::Start(node) => self.start(node),
            SimulationEvent::Named(node) => drop(self.network.unnamed.remove(&node)),
            SimulationEvent::List(node, list) => self.list(node, list),
        }
    }

    /// A rule was broken.
    pub(crate) fn break_off(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.story.tell(self.time, || format!("BROKEN: {what}"));
        self.broken.get_or_insert(what);
    }

    /// Sends a request on its way.
    pub(crate) fn send(&mut self, asker: Peer, to: &Address, text: &str, timeout: Duration) {
        let target = self.nodes.iter().position(|node| node.address == *to);
        let give_up = SimulationEvent::Answer { asker, text: None };
        let leads_there = |target: &NodeId| {
            !self.nodes[*target].retired && !self.network.unnamed.contains(target)
        };
        let Some(target) = target.filter(leads_there) else {
            self.later(Duration::from_millis(20), give_up);
            return;
        };
        let passes = self.network.passes(asker.node, target, &mut self.random);
        let reset = !passes && self.random.random_bool(0.5);
        self.later(
            if reset {
                Duration::from_millis(100)
            } else {
                timeout
            },
            give_up,
        );
        if !passes {
            return;
        }
        let mut copies = 1;
        if self.network.repeats(&mut self.random) {
            copies += 1;
        }
        for _ in 0..copies {
            let delay = self.network.delay(&mut self.random);
            let text = self.network.said_by(asker.node, text);
            self.later(
                delay,
                SimulationEvent::Request {
                    to: target,
                    text,
                    asker,
                },
            );
        }
    }

    /// Sends an answer back, or the news that there is none.
    pub(crate) fn reply(&mut self, from: NodeId, asker: Peer, answer: Option<&Envelope<Answer>>) {
        if asker.life == NO_LIFE {
            self.said_to_impostor = answer.map(|answer| answer.hello.clone());
        }
        if !self.network.passes(from, asker.node, &mut self.random) {
            return;
        }
        let delay = self.network.delay(&mut self.random);
        let text = answer.map(|answer| serde_json::to_string(answer).unwrap());
        let text = text.map(|text| self.network.said_by(from, &text));
        self.later(delay, SimulationEvent::Answer { asker, text });
    }

    fn request_arrives(&mut self, to: NodeId, text: &str, asker: Peer) {
        self.story.trace(self.time, || {
            format!("node {} asks node {to}: {text}", asker.node)
        });
        let node = &self.nodes[to];
        if node.engine.is_none() {
            if self.is_refused_at_once() {
                self.reply(to, asker, None);
            }
            return;
        }
        let life = node.life;
        let is_unknown = |text: &str| {
            text.contains(r#""body":{"digest":"#) || text.contains(r#""passed_over":"#)
        };
        if self.network.older_release == Some(to) && is_unknown(text) {
            self.break_off("an older release is asked what it does not know");
        }
        let message = Box::new(serde_json::from_str(text).unwrap());
        self.arrive(to, life, Job::Request(message, asker));
    }

    fn answer_arrives(&mut self, asker: Peer, text: Option<&str>) {
        let node = &mut self.nodes[asker.node];
        if node.life != asker.life {
            return;
        }
        // A second answer, or one after the timeout, finds no waiting node.
        if let Some(from) = node.open.remove(&asker.exchange) {
            let line = || {
                format!(
                    "node {} hears from {from}: {}",
                    asker.node,
                    text.unwrap_or("nothing")
                )
            };
            self.story.trace(self.time, line);
            let answered = Input::Answered {
                from,
                exchange: asker.exchange,
                answer: text.map(|text| Box::new(serde_json::from_str(text).unwrap())),
            };
            self.arrive(asker.node, asker.life, Job::Plain(answered));
        }
    }
}

/// Microseconds of a duration.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap()
}
