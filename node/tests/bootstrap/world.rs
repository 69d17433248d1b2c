//! The nodes, the messages between them, and the admin.

use std::{collections::BTreeSet, rc::Rc};

use opensecureconf_node::{
    cluster::{Address, AdminOutcome, ClusterUid, Output},
    domain::Incarnation,
};

use crate::{
    air::{Body, Content, Delivery, Message},
    beginning::InitialState,
    disk::Disk,
    node::{Birth, Node, scatter},
    owner::Owner,
    process::{BEHIND, Event, Second},
};

/// Everything.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) beginning: Rc<InitialState>,
    pub(crate) second: Second,
    pub(crate) nodes: Vec<Node>,
    pub(crate) air: Vec<Message>,
    pub(crate) owner: Owner,
    /// Every cluster uid and every salt that ever came into force somewhere.
    pub(crate) cluster_uids: BTreeSet<ClusterUid>,
    pub(crate) salts: BTreeSet<String>,
    /// The rule that the world broke.
    pub(crate) wrong: Option<String>,
    /// Whether all nodes are in the same state.
    pub(crate) is_symmetrical: bool,
    drawn: u64,
}

impl World {
    /// All nodes up for the first time, on empty disks.
    pub(crate) fn new(beginning: InitialState) -> Self {
        let mut world = Self {
            second: 100,
            nodes: Vec::new(),
            air: Vec::new(),
            owner: Owner::default(),
            cluster_uids: BTreeSet::new(),
            salts: BTreeSet::new(),
            wrong: None,
            is_symmetrical: beginning.are_nodes_alike(),
            drawn: 0,
            beginning: Rc::new(beginning),
        };
        for node in 0..world.beginning.names.len() {
            let mut disk = Disk::empty(world.fresh_incarnation());
            if let (0, true, Some(salt)) = (node, world.beginning.rows, &world.beginning.mounted) {
                disk = disk.with_rows(salt);
            }
            world.nodes.push(Node::down(disk));
        }
        for node in 0..world.nodes.len() {
            world.start(node, true);
        }
        world
    }

    /// The numbers of all nodes.
    pub(crate) fn all(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    pub(crate) fn address(node: usize) -> Address {
        Address::new(format!("n{node}:9000"))
    }

    fn fresh_incarnation(&mut self) -> Incarnation {
        self.drawn += 1;
        Incarnation::from_random(scatter(self.drawn, 0))
    }

    /// Starts a node with the full address list, or with the old list that names only the node itself.
    pub(crate) fn start(&mut self, node: usize, full_list: bool) {
        let mut disk = Disk::clone(&self.nodes[node].disk);
        let salt = match disk.settle_salt(self.beginning.mounted.clone()) {
            Ok(salt) => salt,
            Err(error) => {
                self.wrong = Some(format!("node {node} cannot start: {error}"));
                return;
            }
        };
        self.drawn += 1;
        let birth = Birth {
            name: self.beginning.names[node],
            number: self.drawn,
            salt,
            may_make_salt: self.beginning.mounted.is_none(),
            rules: self.beginning.rules,
        };
        self.nodes[node].disk = Rc::new(disk);
        self.nodes[node].start(self.second, birth);
        self.list(node, full_list);
        // It finds itself.
        if let Some(message) = self.take_request(node, node) {
            self.exchange(message, Delivery::Arrives);
        }
    }

    /// Gives a node its address list.
    pub(crate) fn list(&mut self, node: usize, full: bool) {
        let addresses = if full {
            self.all().map(Self::address).collect()
        } else {
            vec![Self::address(node)]
        };
        self.nodes[node].knows_full_list = full;
        self.live(node, Event::Listed(addresses));
    }

    pub(crate) fn crash(&mut self, node: usize) {
        self.nodes[node].crash();
        self.forget_exchanges_of(node);
    }

    /// The node's connections are gone: no request waits on them, though a sent message may still arrive.
    pub(crate) fn forget_exchanges_of(&mut self, node: usize) {
        for message in self.air.iter_mut().filter(|message| message.asker == node) {
            message.until = None;
        }
        self.air
            .retain(|message| message.asker != node || message.is_late_request());
    }

    pub(crate) fn wipe(&mut self, node: usize) {
        self.crash(node);
        let disk = Disk::empty(self.fresh_incarnation());
        self.nodes[node] = Node::down(disk);
        self.nodes[node].behind = BEHIND;
    }

    /// One step of a node. Gives its answers to the caller.
    pub(crate) fn live(&mut self, node: usize, event: Event) -> Vec<Output> {
        let outputs = self.nodes[node].live(self.second, event);
        let (sent, rest): (Vec<_>, Vec<_>) = outputs
            .into_iter()
            .partition(|output| matches!(output, Output::Send { .. }));
        for output in sent {
            let (
                Output::Send {
                    to,
                    exchange,
                    message,
                    timeout,
                },
                Some(process_epoch),
            ) = (output, self.nodes[node].process_epoch())
            else {
                continue;
            };
            let asked = (self.all()).find(|other| Self::address(*other) == to);
            let timeout = Second::try_from(timeout.as_secs()).unwrap();
            self.air.extend(asked.map(|asked| Message {
                asker: node,
                process_epoch,
                asked,
                exchange,
                content: Rc::new(Content::new(Body::Request(*message), asked)),
                late: false,
                until: Some(self.second + timeout),
            }));
        }
        rest
    }

    /// A commit fails: the request of that moment is lost, and the engine is loaded anew.
    pub(crate) fn fail_commit(&mut self, node: usize) {
        self.live(node, Event::CommitFailed);
    }

    pub(crate) fn tick(&mut self, node: usize) {
        self.live(node, Event::Tick);
    }

    /// The owner's order to bootstrap arrives at a node.
    pub(crate) fn told_to_bootstrap(
        &mut self,
        node: usize,
        incarnation: Incarnation,
        crashes: bool,
    ) {
        let order = Event::ToldToBootstrap(incarnation);
        if crashes {
            self.nodes[node].die_of(self.second, &order);
            return self.forget_exchanges_of(node);
        }
        for output in self.live(node, order) {
            if let Output::Done {
                result: Ok(AdminOutcome::Bootstrapped(cluster_uid)),
                ..
            } = output
            {
                self.cluster_uids.insert(cluster_uid);
            }
        }
    }
}
