//! Small steps from which scenarios are written.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{
        AckLevel, AdminOrder, AdminOutcome, AdminRefusal, Change, Expected, LocalStatus,
        MemberName, Mode, Rules, Write, WriteRefusal, Written,
    },
    domain::{Clock, ConfigKey, Environment, Identity, Incarnation},
};

use crate::{
    chaos::Profile,
    history::WriteId,
    world::{NodeId, World},
};

/// The end of a scenario: the broken rule, if one was.
pub(crate) type Outcome = Result<(), String>;

/// The longest time that any step of a scenario may take.
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// An entry of the default environment.
pub(crate) fn entry(key: &str) -> Identity {
    Identity {
        environment: Environment::default(),
        key: ConfigKey::new(key.to_owned()).unwrap(),
    }
}

/// A condition that a scenario demands.
pub(crate) fn ensure(is_so: bool, otherwise: impl Into<String>) -> Outcome {
    if is_so { Ok(()) } else { Err(otherwise.into()) }
}

impl World {
    /// Nodes of these names that list each other, with empty disks; none is started.
    pub(crate) fn with_nodes(rules: Rules, names: &[&str]) -> Self {
        let told = std::env::var_os("SIMULATION_STORY").is_some();
        let mut world = Self::new(7, rules, told);
        for name in names {
            world.add_node(name);
        }
        let list = world.addresses(&world.present());
        for node in world.present() {
            world.nodes[node].list.clone_from(&list);
        }
        world
    }

    /// A bootstrapped cluster in which each node serves.
    pub(crate) fn with_cluster(rules: Rules, count: usize) -> Result<Self, String> {
        Self::with_cluster_like(rules, count, Profile::calm())
    }

    /// A bootstrapped cluster whose values stay with the nodes that wrote them.
    pub(crate) fn with_federated_cluster(rules: Rules, count: usize) -> Result<Self, String> {
        let names: Vec<_> = (0..count).map(|number| format!("node-{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut world = Self::with_nodes(rules, &names);
        world.mode = Mode::Federated;
        for node in 0..count {
            world.start(node);
        }
        world.bootstrap(0)?;
        world.all_serve()?;
        Ok(world)
    }

    /// A cluster that purges tombstones as soon as no node can need them.
    pub(crate) fn with_forgetful_cluster(rules: Rules, count: usize) -> Result<Self, String> {
        let mut profile = Profile::calm();
        profile.grace = Duration::ZERO;
        Self::with_cluster_like(rules, count, profile)
    }

    /// A bootstrapped cluster in a world of its own kind.
    pub(crate) fn with_cluster_like(
        rules: Rules,
        count: usize,
        profile: Profile,
    ) -> Result<Self, String> {
        let names: Vec<_> = (0..count).map(|number| format!("node-{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut world = Self::with_nodes(rules, &names);
        world.profile = profile;
        for node in 0..count {
            world.start(node);
        }
        world.bootstrap(0)?;
        world.all_serve()?;
        Ok(world)
    }

    /// Instructs a node to bootstrap the cluster.
    pub(crate) fn bootstrap(&mut self, node: NodeId) -> Outcome {
        self.pass(Duration::from_secs(1));
        let incarnation = self.incarnation(node);
        match self.told(
            node,
            AdminOrder::Bootstrap {
                incarnation,
                mounted: None,
            },
        ) {
            Some(Ok(AdminOutcome::Bootstrapped(_))) => {
                self.owner.bootstrapped = true;
                Ok(())
            }
            other => Err(format!("node {node} does not found: {other:?}")),
        }
    }

    /// Waits until all nodes serve the same rows.
    pub(crate) fn all_serve(&mut self) -> Outcome {
        let settled = self.until(LONG, |world| world.unsettled().is_none());
        self.whole()?;
        ensure(settled, self.unsettled().unwrap_or_default())
    }

    /// Ends all faults and checks the result.
    pub(crate) fn ends_well(&mut self) -> Outcome {
        self.heal();
        self.all_serve()?;
        self.pass(Duration::from_secs(11));
        self.check_the_end();
        self.whole()
    }

    /// Whether no invariant is broken so far.
    pub(crate) fn whole(&self) -> Outcome {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// The database of a node.
    pub(crate) fn incarnation(&self, node: NodeId) -> Incarnation {
        self.nodes[node].disk.durable().incarnation
    }

    /// Whether a node is fenced.
    pub(crate) fn is_fenced(&self, node: NodeId) -> bool {
        let membership = self.nodes[node].disk.durable().membership.as_ref();
        membership.is_some_and(|membership| matches!(membership.status, LocalStatus::Fenced(_)))
    }

    /// Gives an order and waits for its outcome.
    pub(crate) fn told(
        &mut self,
        node: NodeId,
        order: AdminOrder,
    ) -> Option<Result<AdminOutcome, AdminRefusal>> {
        let id = self.order(node, order);
        self.until(Duration::from_secs(5), |world| world.orders[id].is_some());
        self.orders[id].clone()
    }

    /// Removes a member at a node, dead or not.
    pub(crate) fn removed(&mut self, at: NodeId, member: NodeId) -> Outcome {
        let incarnation = self.incarnation(member);
        let name = MemberName::new(self.nodes[member].name.as_str());
        self.history.void(incarnation, "removed");
        let order = AdminOrder::Remove {
            name,
            incarnation,
            force: true,
        };
        match self.told(at, order) {
            Some(Ok(AdminOutcome::Removed)) => Ok(()),
            other => Err(format!(
                "node {at} does not remove node {member}: {other:?}"
            )),
        }
    }

    /// Clients that never pause: one writes at some node each millisecond, until `is_so` holds. Gives whether it did.
    pub(crate) fn written_to_without_pause(
        &mut self,
        nodes: &[NodeId],
        limit: Duration,
        is_so: impl Fn(&Self) -> bool,
    ) -> bool {
        let end = self.time + limit;
        for node in nodes.iter().cycle() {
            if is_so(self) || self.time >= end || self.broken.is_some() {
                break;
            }
            let value = put(&format!("at {:?}", self.time));
            self.sent(*node, &format!("of-{node}"), value, AckLevel::Local, None);
            self.pass(Duration::from_millis(1));
        }
        is_so(self)
    }

    /// A client reads an entry at a node and writes over it; waits for the answer.
    pub(crate) fn change(
        &mut self,
        node: NodeId,
        key: &str,
        change: Change,
        level: AckLevel,
        named: Option<Clock>,
    ) -> WriteId {
        let id = self.sent(node, key, change, level, named);
        self.until(Duration::from_secs(3), |world| {
            world.history.writes[id].outcome.is_some()
        });
        id
    }

    fn sent(
        &mut self,
        node: NodeId,
        key: &str,
        change: Change,
        level: AckLevel,
        named: Option<Clock>,
    ) -> WriteId {
        let identity = entry(key);
        let seen = Expected::of(
            self.nodes[node]
                .disk
                .durable()
                .rows
                .get(&identity)
                .map(|row| &row.row),
        );
        let write = Write {
            identity,
            seen,
            named,
            change,
        };
        self.write_after(Duration::from_micros(100), node, write, level)
    }

    /// Puts a value at a node and waits for the answer.
    pub(crate) fn put(&mut self, node: NodeId, key: &str, value: &str) -> Result<Written, String> {
        let id = self.change(node, key, put(value), AckLevel::Healthy, None);
        self.stands(id)
    }

    /// Deletes at a node and waits for the answer.
    pub(crate) fn delete(&mut self, node: NodeId, key: &str) -> Result<Written, String> {
        let id = self.change(node, key, Change::Delete, AckLevel::Healthy, None);
        self.stands(id)
    }

    /// The outcome of a write that must have one.
    pub(crate) fn stands(&self, id: WriteId) -> Result<Written, String> {
        self.whole()?;
        match &self.history.writes[id].outcome {
            Some(Ok(written)) => Ok(*written),
            other => Err(format!("{}: {other:?}", self.history.writes[id].words())),
        }
    }

    /// Whether a write was refused because its node accepts none.
    pub(crate) fn is_refused(&self, id: WriteId) -> bool {
        matches!(
            self.history.writes[id].outcome,
            Some(Err(WriteRefusal::NotServing(_)))
        )
    }

    /// The value of an entry at a node; `None` when it is deleted or never was.
    pub(crate) fn value(&self, node: NodeId, key: &str) -> Option<String> {
        self.nodes[node]
            .disk
            .durable()
            .rows
            .get(&entry(key))?
            .row
            .content
            .as_ref()
            .map(|content| content.as_str().to_owned())
    }

    /// Whether a tombstone of an entry is there.
    pub(crate) fn holds_tombstone(&self, node: NodeId, key: &str) -> bool {
        let rows = &self.nodes[node].disk.durable().rows;
        rows.get(&entry(key))
            .is_some_and(|row| row.row.is_tombstone())
    }

    /// Cuts a node off from all others.
    pub(crate) fn isolate(&mut self, node: NodeId) {
        for other in 0..self.nodes.len() {
            self.network.part(node, other);
        }
    }

    /// Reconnects a node with all others.
    pub(crate) fn reconnect(&mut self, node: NodeId) {
        for other in 0..self.nodes.len() {
            self.network.join(node, other);
        }
    }

    /// Adds a node that lists all nodes, and starts it.
    pub(crate) fn join(&mut self, name: &str) -> NodeId {
        let node = self.add_node(name);
        let list = self.addresses(&self.present());
        self.list(node, list);
        self.start(node);
        node
    }
}

/// A new value.
pub(crate) fn put(value: &str) -> Change {
    Change::Put {
        category: None,
        token: value.to_owned(),
        seal: None,
    }
}
