//! Clients: they read an entry at some node, think, and write there over the version that they saw.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{AckLevel, Change, Expected, Write, WriteRefusal, Written},
    domain::{Category, Clock, ConfigKey, Environment, Identity},
};
use rand::RngExt;

use crate::{
    history::{ClientWrite, WriteId},
    world::{Job, NodeId, SimulationEvent, World},
};

impl World {
    /// Sends one request of a client, and schedules the next.
    pub(crate) fn client_acts(&mut self) {
        let pause = self.profile.client_pause.as_micros().max(2);
        let pause = self
            .random
            .random_range(1..u64::try_from(pause).unwrap() * 2);
        self.later(Duration::from_micros(pause), SimulationEvent::Client);
        let nodes: Vec<_> = self.present();
        let node = nodes[self.random.random_range(0..nodes.len())];
        // The API serves no entries before its node is ready.
        if !self.is_ready(node) {
            return;
        }
        let identity = self.any_identity();
        let known = self.last_heard(&identity);
        let named = known.filter(|_| self.random.random_bool(0.3));
        let row = self.nodes[node]
            .disk
            .durable()
            .rows
            .get(&identity)
            .map(|row| row.row.clone());
        let is_live = row.as_ref().is_some_and(|row| !row.is_tombstone());
        let seen = match &row {
            None | Some(_) if !is_live && self.random.random_bool(0.5) => Expected::NothingLive,
            row => Expected::of(row.as_ref()),
        };
        let change = if is_live && self.random.random_bool(0.4) {
            Change::Delete
        } else {
            self.any_put()
        };
        let level = match self.random.random_range(0..4) {
            0 => AckLevel::Local,
            1 => AckLevel::All,
            _ => AckLevel::Healthy,
        };
        let write = Write {
            identity,
            seen,
            named,
            change,
        };
        let Some((node, write)) = self.as_the_api_does(node, row.as_ref(), write) else {
            return;
        };
        let think = match self.random.random_range(0..10) {
            0 => self.random.random_range(0..2_000_000),
            _ => self.random.random_range(0..3_000),
        };
        self.write_after(Duration::from_micros(think), node, write, level);
    }

    /// Sends a write to a node.
    pub(crate) fn write_after(
        &mut self,
        after: Duration,
        node: NodeId,
        write: Write,
        level: AckLevel,
    ) -> WriteId {
        let id = self.client_writes(node, write, level);
        let life = self.nodes[node].life;
        self.later(
            after,
            SimulationEvent::Arrive {
                node,
                life,
                job: Job::Write(id),
            },
        );
        id
    }

    /// Sends writes of different entries to a node, which carries out all of them or none.
    pub(crate) fn write_all(
        &mut self,
        node: NodeId,
        writes: Vec<Write>,
        level: AckLevel,
    ) -> Vec<WriteId> {
        let ids: Vec<_> = writes
            .into_iter()
            .map(|write| self.client_writes(node, write, level))
            .collect();
        let life = self.nodes[node].life;
        let job = Job::WriteAll(ids.clone());
        self.later(Duration::ZERO, SimulationEvent::Arrive { node, life, job });
        ids
    }

    fn client_writes(&mut self, node: NodeId, write: Write, level: AckLevel) -> WriteId {
        let id = self.history.writes.len();
        self.history.writes.push(ClientWrite {
            node,
            write,
            level,
            outcome: None,
            counted: std::collections::BTreeSet::new(),
        });
        id
    }

    /// A client is answered.
    pub(crate) fn client_hears(&mut self, id: WriteId, result: Result<Written, WriteRefusal>) {
        let written = match result {
            Ok(written) => written,
            Err(refusal) => {
                let write = &mut self.history.writes[id];
                self.story.tell(self.time, || {
                    format!("{} is refused: {refusal}", write.words())
                });
                write.outcome = Some(Err(refusal));
                return;
            }
        };
        let databases: Vec<_> = self
            .nodes
            .iter()
            .map(|node| &**node.disk.durable())
            .collect();
        let checked = self.history.answered(id, written, &databases);
        let write = &self.history.writes[id];
        self.story.tell(self.time, || {
            format!(
                "{} stands, held by {}/{}",
                write.words(),
                written.held_by,
                written.wanted
            )
        });
        if let Err(broken) = checked {
            self.break_off(broken);
        }
        self.check_what_ready_nodes_hold();
    }

    /// The clock of the last version of an entry that any client heard of.
    fn last_heard(&self, identity: &Identity) -> Option<Clock> {
        let writes = self.history.writes.iter().rev().take(50);
        writes
            .filter(|write| write.identity() == identity)
            .find_map(|write| Some(write.written()?.version.clock))
    }

    fn any_identity(&mut self) -> Identity {
        let number = self.random.random_range(0..self.profile.keys);
        let environment = if number % 3 == 0 { "staging" } else { "" };
        Identity {
            environment: Environment::new(environment.to_owned()).unwrap(),
            key: ConfigKey::new(format!("k{number}")).unwrap(),
        }
    }

    fn any_put(&mut self) -> Change {
        let category = self
            .random
            .random_bool(0.3)
            .then(|| Category::new("some".to_owned()).unwrap());
        Change::Put {
            category,
            token: format!("value {}", self.history.writes.len()),
            seal: None,
        }
    }
}
