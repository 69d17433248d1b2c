//! One node, driven as the writer thread of a real one drives its engine: a batch of inputs, one commit, then the outputs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use opensecureconf_node::{
    cluster::{
        AckLevel, Address, Change, Engine, Envelope, Event, ExchangeId, Input, LoadError,
        MemberName, Now, Output, PeerInfo, ProcessEpoch, Refusal, ReplyId, Request, Setup, View,
    },
    domain::Timestamp,
};
use rand::{Rng, RngExt};

use crate::{
    disk::{Disk, Failure},
    impostor::NO_LIFE,
    world::{Asker, Job, NodeId, Peer, SimulationEvent, World},
};

/// The interval of an engine's clock ticks.
const TICK: Duration = Duration::from_millis(100);

/// How much room a disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Everything,
    Deletes,
    Nothing,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: Address,
    /// `OSC_CLUSTER_ID`.
    pub(crate) cluster: String,
    pub(crate) disk: Disk,
    /// Earlier states of its volume.
    pub(crate) snapshots: Vec<std::sync::Arc<crate::disk::Contents>>,
    /// Whether it was taken away for good.
    pub(crate) retired: bool,
    /// How far its wall clock is ahead, in microseconds.
    pub(crate) skew: i64,
    pub(crate) list: Vec<Address>,
    pub(crate) room: Room,
    /// How long a commit takes.
    pub(crate) commit_time: Duration,
    pub(crate) engine: Option<Engine>,
    setup: Option<Setup>,
    /// Counts its processes.
    pub(crate) life: u64,
    started: Duration,
    inbox: Vec<Job>,
    replies: BTreeMap<ReplyId, Asker>,
    next_reply: u64,
    committing: Option<Batch>,
    /// Why it and other nodes did not talk.
    pub(crate) refusals: Vec<Refusal>,
    /// Stamps from the future that the engine reported.
    pub(crate) future_stamps: u64,
    /// Greetings that made the engine suspect its own state.
    pub(crate) suspicions: u64,
    /// Requests that were sent and not answered.
    pub(crate) open: BTreeMap<ExchangeId, Address>,
    /// Where it ever sent a request.
    pub(crate) dialled: BTreeSet<Address>,
}

/// The outputs that wait for a commit.
#[derive(Debug)]
struct Batch {
    outputs: Vec<Output>,
    /// Requests whose outcome is in doubt until the commit.
    replies: Vec<ReplyId>,
}

impl Node {
    pub(crate) fn new(name: &str, address: Address, disk: Disk) -> Self {
        Self {
            name: name.to_owned(),
            address,
            cluster: String::new(),
            disk,
            snapshots: Vec::new(),
            retired: false,
            skew: 0,
            list: Vec::new(),
            room: Room::Everything,
            commit_time: Duration::ZERO,
            engine: None,
            setup: None,
            life: 0,
            started: Duration::ZERO,
            inbox: Vec::new(),
            replies: BTreeMap::new(),
            next_reply: 0,
            committing: None,
            refusals: Vec::new(),
            future_stamps: 0,
            suspicions: 0,
            open: BTreeMap::new(),
            dialled: BTreeSet::new(),
        }
    }

    fn now(&self, time: Duration, wall: Timestamp) -> Now {
        Now {
            wall: Timestamp::from_micros(wall.as_micros() + self.skew),
            elapsed: time.saturating_sub(self.started),
        }
    }
}

impl World {
    /// The node as its own engine sees it; `None` while it is down.
    pub(crate) fn view(&self, id: NodeId) -> Option<View> {
        let node = &self.nodes[id];
        Some(node.engine.as_ref()?.view(node.now(self.time, self.wall())))
    }

    /// Whether a node serves.
    pub(crate) fn is_ready(&self, id: NodeId) -> bool {
        self.view(id).is_some_and(|view| view.not_ready.is_none())
    }

    /// Starts a node that is down.
    pub(crate) fn start(&mut self, id: NodeId) {
        if self.nodes[id].engine.is_some() || self.nodes[id].retired {
            return;
        }
        let mut entropy = [0; 32];
        self.random.fill_bytes(&mut entropy);
        let setup = Setup {
            clustered: true,
            name: MemberName::new(self.nodes[id].name.as_str()),
            process_epoch: ProcessEpoch::from_random(self.random.next_u64()),
            cluster: self.nodes[id].cluster.clone(),
            mode: self.mode,
            release: "simulated".to_owned(),
            salt: self
                .mounted
                .clone()
                .or(self.nodes[id].disk.durable().salt.clone()),
            may_make_salt: true,
            grace: self.profile.grace,
            sync_interval: self.profile.sync_interval,
            rules: self.rules,
            entropy,
        };
        let node = &mut self.nodes[id];
        node.setup = Some(setup);
        node.started = self.time;
        let (name, incarnation) = (node.name.clone(), node.disk.durable().incarnation);
        self.story.tell(self.time, || {
            format!("node {id} ({name}) starts with database {incarnation}")
        });
        self.load(id);
        let life = self.nodes[id].life;
        // As in a process, where the first tick may come before the address list.
        self.tick(id, life);
        let listed = Input::Listed(self.nodes[id].list.clone());
        self.arrive(id, life, Job::Plain(listed));
    }

    /// Loads the engine from the durable content.
    fn load(&mut self, id: NodeId) {
        let wall = self.wall();
        let node = &mut self.nodes[id];
        let now = node.now(self.time, wall);
        let Some(setup) = node.setup.clone() else {
            return;
        };
        match Engine::load(&mut node.disk, setup, now) {
            Ok(engine) => {
                let committed = node.disk.commit().is_ok();
                node.engine = committed.then_some(engine);
            }
            Err(LoadError::OtherName { stored, given }) => {
                node.disk.roll_back();
                self.story.tell(self.time, || {
                    format!(
                        "node {id} is '{given}', but its database is '{stored}': it does not start"
                    )
                });
            }
            Err(LoadError::OtherMode { .. } | LoadError::Storage(_)) => node.disk.roll_back(),
        }
    }

    /// Ends a node's process, wherever it is just now.
    pub(crate) fn crash(&mut self, id: NodeId) {
        if self.nodes[id].engine.is_none() {
            return;
        }
        // Power fails before the commit is durable, or after it but before any answer is sent.
        if self.nodes[id].committing.is_some() && self.random.random_bool(0.5) {
            self.make_durable(id);
        }
        let node = &mut self.nodes[id];
        node.disk.roll_back();
        node.disk.failure = None;
        node.engine = None;
        node.life += 1;
        node.committing = None;
        node.inbox.clear();
        node.open.clear();
        let replies = std::mem::take(&mut node.replies);
        self.story.tell(self.time, || format!("node {id} crashes"));
        for asker in replies.into_values() {
            self.leave_in_doubt(id, asker);
        }
    }

    /// The asker gets no answer.
    fn leave_in_doubt(&mut self, id: NodeId, asker: Asker) {
        if let Asker::Peer(peer) = asker
            && self.is_refused_at_once()
        {
            self.reply(id, peer, None);
        }
    }

    /// Whether the connection to a dead process is refused, or leads nowhere.
    pub(crate) fn is_refused_at_once(&mut self) -> bool {
        self.profile.is_calm || self.random.random_bool(0.5)
    }

    /// Changes a node's list of addresses.
    pub(crate) fn list(&mut self, id: NodeId, list: Vec<Address>) {
        let node = &mut self.nodes[id];
        node.list.clone_from(&list);
        let life = node.life;
        self.arrive(id, life, Job::Plain(Input::Listed(list)));
    }

    pub(crate) fn tick(&mut self, id: NodeId, life: u64) {
        if self.nodes[id].life == life && self.nodes[id].engine.is_some() {
            self.later(TICK, SimulationEvent::Tick { node: id, life });
            self.arrive(id, life, Job::Plain(Input::Tick));
        }
    }

    /// An event reaches a process, if that process still runs.
    pub(crate) fn arrive(&mut self, id: NodeId, life: u64, job: Job) {
        let node = &mut self.nodes[id];
        if node.life != life || node.engine.is_none() {
            return;
        }
        let ticks = matches!(job, Job::Plain(Input::Tick));
        if ticks && node.committing.is_some() {
            return;
        }
        node.inbox.push(job);
        self.work(id);
    }

    /// Runs the waiting jobs through the engine, unless a commit is under way.
    fn work(&mut self, id: NodeId) {
        if self.nodes[id].committing.is_some() {
            return;
        }
        let jobs = std::mem::take(&mut self.nodes[id].inbox);
        let mut replies = Vec::new();
        let inputs: Vec<_> = jobs
            .into_iter()
            .filter_map(|job| self.input(id, job, &mut replies))
            .collect();
        let wall = self.wall();
        let node = &mut self.nodes[id];
        let now = node.now(self.time, wall);
        let Some(engine) = &mut node.engine else {
            return;
        };
        let entries = node.disk.durable().rows.len();
        engine.observe(
            u64::try_from(entries).unwrap(),
            node.room == Room::Everything,
        );
        let mut outputs = Vec::new();
        let transaction = || {
            for input in inputs {
                engine.step(&mut node.disk, now, input, &mut outputs)?;
            }
            engine.finish(&mut node.disk, now, &mut outputs)
        };
        let result = transaction();
        if result.is_err() {
            self.fail(id, &replies);
            return;
        }
        let dirty = node.disk.is_dirty();
        let commit_time = node.commit_time;
        node.committing = Some(Batch { outputs, replies });
        if !dirty || commit_time.is_zero() {
            self.end_commit(id);
        } else {
            let life = self.nodes[id].life;
            self.later(commit_time, SimulationEvent::Committed { node: id, life });
        }
    }

    /// The input that a job makes, where the disk has room for it.
    fn input(&mut self, id: NodeId, job: Job, replies: &mut Vec<ReplyId>) -> Option<Input> {
        let node = &mut self.nodes[id];
        let mut await_reply = |node: &mut Node, asker| {
            node.next_reply += 1;
            let reply = ReplyId(node.next_reply);
            node.replies.insert(reply, asker);
            replies.push(reply);
            reply
        };
        match job {
            Job::Plain(Input::Answered {
                from,
                exchange,
                answer,
            }) => {
                if let Some(answer) = &answer {
                    self.overhear(id, &answer.hello);
                }
                Some(Input::Answered {
                    from,
                    exchange,
                    answer,
                })
            }
            Job::Plain(input) => Some(input),
            Job::Write(write) => {
                let client = &self.history.writes[write];
                let fits = match node.room {
                    Room::Everything => true,
                    Room::Deletes => client.write.change == Change::Delete,
                    Room::Nothing => false,
                };
                fits.then(|| Input::Write {
                    write: client.write.clone(),
                    level: client.level,
                    reply: await_reply(node, Asker::Client(write)),
                })
            }
            Job::WriteAll(ids) => {
                let mut writes = Vec::new();
                let mut level = AckLevel::default();
                for write in ids {
                    let client = &self.history.writes[write];
                    level = client.level;
                    let reply = await_reply(node, Asker::Client(write));
                    writes.push((client.write.clone(), reply));
                }
                Some(Input::WriteAll { writes, level })
            }
            Job::Request(message, peer) => {
                if node.room == Room::Nothing && matches!(message.body, Request::Push { .. }) {
                    self.reply(id, peer, None);
                    return None;
                }
                let reply = await_reply(node, Asker::Peer(peer));
                if peer.life != NO_LIFE {
                    self.overhear(id, &message.hello);
                }
                Some(Input::Request { message, reply })
            }
            Job::Order(order, number) => Some(Input::Order {
                order,
                reply: await_reply(node, Asker::Owner(number)),
            }),
        }
    }

    /// Records how far others acknowledge a node's feed in their greetings.
    fn overhear(&mut self, id: NodeId, hello: &PeerInfo) {
        self.said.insert(hello.incarnation, hello.clone());
        if let Some((whose, up_to)) = hello.received
            && hello.acknowledges
            && whose == self.nodes[id].disk.durable().incarnation
        {
            self.history.heard(whose, hello.incarnation, up_to);
        }
    }

    /// Makes a transaction durable, and records its effects.
    fn make_durable(&mut self, id: NodeId) -> bool {
        let node = &mut self.nodes[id];
        let before = node.disk.durable().clone();
        match node.disk.commit() {
            Ok(traces) => {
                let contents = node.disk.durable().clone();
                if let Err(broken) = self.history.committed(&contents, traces) {
                    self.break_off(format!("node {id}: {broken}"));
                }
                self.check_bootstrap(id, &before);
                self.check_values(id);
                true
            }
            Err(_) => false,
        }
    }

    /// A commit ends: the outputs that waited for it are sent.
    pub(crate) fn end_commit(&mut self, id: NodeId) {
        let dirty = self.nodes[id].disk.is_dirty();
        if dirty
            && self.profile.crash_at_commit > 0.0
            && self.random.random_bool(self.profile.crash_at_commit)
        {
            self.crash(id);
            self.start_soon(id);
            return;
        }
        let durable = self.make_durable(id);
        let node = &mut self.nodes[id];
        let Some(batch) = node.committing.take() else {
            return;
        };
        let unheard = dirty && node.disk.failure == Some(Failure::AfterCommit);
        if !durable || unheard {
            node.disk.failure = None;
            self.fail(id, &batch.replies);
            return;
        }
        for output in batch.outputs {
            self.let_go(id, output);
        }
        if !self.nodes[id].inbox.is_empty() {
            self.work(id);
        }
    }

    /// A transaction failed: no asker gets an acknowledgement, and a new engine loads the durable content.
    fn fail(&mut self, id: NodeId, in_doubt: &[ReplyId]) {
        self.story
            .tell(self.time, || format!("a commit of node {id} fails"));
        let node = &mut self.nodes[id];
        node.disk.roll_back();
        node.committing = None;
        let askers: Vec<_> = in_doubt
            .iter()
            .filter_map(|reply| node.replies.remove(reply))
            .collect();
        let abandoned = node.engine.take().map(|mut engine| engine.abandon());
        for asker in askers {
            if let Asker::Peer(peer) = asker {
                self.reply(id, peer, None);
            }
        }
        for output in abandoned.into_iter().flatten() {
            self.let_go(id, output);
        }
        self.load(id);
        let life = self.nodes[id].life;
        let listed = Input::Listed(self.nodes[id].list.clone());
        self.arrive(id, life, Job::Plain(listed));
    }

    fn let_go(&mut self, id: NodeId, output: Output) {
        match output {
            Output::Written { reply, result } => {
                if let Some(Asker::Client(write)) = self.nodes[id].replies.remove(&reply) {
                    self.client_hears(write, result);
                }
            }
            Output::Answer { reply, message } => {
                if let Some(Asker::Peer(peer)) = self.nodes[id].replies.remove(&reply) {
                    self.reply(id, peer, Some(&*message));
                }
            }
            Output::Done { reply, result } => {
                if let Some(Asker::Owner(order)) = self.nodes[id].replies.remove(&reply) {
                    self.story.tell(self.time, || {
                        format!("node {id} answers its owner: {result:?}")
                    });
                    self.orders[order] = Some(result);
                }
            }
            Output::Send {
                to,
                exchange,
                message,
                timeout,
            } => {
                self.let_message_go(id, &to, exchange, &message, timeout);
            }
            Output::Scan(scan) => {
                let id_of_scan = scan.id;
                let digest = self.nodes[id].disk.durable().digest(scan);
                let scanned = Input::Scanned {
                    id: id_of_scan,
                    digest: Some(Box::new(digest)),
                };
                let life = self.nodes[id].life;
                let job = Job::Plain(scanned);
                let took = Duration::from_millis(self.random.random_range(1..2000));
                self.later(
                    took,
                    SimulationEvent::Arrive {
                        node: id,
                        life,
                        job,
                    },
                );
            }
            Output::SaltSettled(salt) => {
                self.salts.insert(salt.fingerprint().to_string());
            }
            Output::Event(event) => self.happened(id, &event),
        }
    }

    fn let_message_go(
        &mut self,
        id: NodeId,
        to: &Address,
        exchange: ExchangeId,
        message: &Envelope<Request>,
        timeout: Duration,
    ) {
        let node = &mut self.nodes[id];
        let life = node.life;
        node.open.insert(exchange, to.clone());
        node.dialled.insert(to.clone());
        let asker = Peer {
            node: id,
            life,
            exchange,
        };
        self.send(asker, to, &serde_json::to_string(message).unwrap(), timeout);
    }

    fn happened(&mut self, id: NodeId, event: &Event) {
        self.story
            .tell(self.time, || format!("node {id}: {event:?}"));
        match event {
            Event::Left => self.check_left(id),
            Event::Ready => self.check_what_ready_nodes_hold(),
            Event::Fenced(reason) => self.check_fenced(id, *reason),
            Event::Purged { .. } => self.note_unheard_of(id),
            Event::FutureStamp { .. } => self.nodes[id].future_stamps += 1,
            Event::Suspected { .. } => self.nodes[id].suspicions += 1,
            Event::Mismatch { refusal, .. } => self.nodes[id].refusals.push(refusal.clone()),
            Event::DigestRepaired { .. } => self.history.repaired += 1,
            Event::HeldByOneOnly { .. } => self.history.held_by_one_only += 1,
            _ => {}
        }
    }

    /// Starts a node again after a moment.
    pub(crate) fn start_soon(&mut self, id: NodeId) {
        let after = Duration::from_millis(self.random.random_range(200..8000));
        self.later(after, SimulationEvent::Start(id));
    }
}
