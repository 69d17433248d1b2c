//! The network between the nodes: slow, lossy, cut in one direction or in both.

use std::{collections::BTreeSet, time::Duration};

use opensecureconf_node::cluster::Protocol;
use rand::{RngExt, rngs::StdRng};

use crate::world::NodeId;

/// How the network behaves just now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    /// Ways that are cut: (from, to).
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Nodes that do not accept each other's certificates: (from, to).
    pub(crate) strangers: BTreeSet<(NodeId, NodeId)>,
    /// Nodes whose names do not resolve yet: no node can call them, but they can call others.
    pub(crate) unnamed: BTreeSet<NodeId>,
    /// A node that speaks the protocol's version before digests.
    pub(crate) older_release: Option<NodeId>,
    /// The part of messages that are lost.
    pub(crate) loss: f64,
    /// The part of requests that arrive a second time.
    pub(crate) duplicates: f64,
    /// The share of messages that take up to some seconds.
    pub(crate) slow: f64,
    /// The share of messages that take up to two minutes, longer than any node waits for an answer.
    pub(crate) late: f64,
}

impl Network {
    /// A message in the format of its sender's release.
    pub(crate) fn said_by(&self, sender: NodeId, text: &str) -> String {
        if self.older_release == Some(sender) {
            let Protocol { major, minor } = Protocol::CURRENT;
            let said = |minor| format!(r#""major":{major},"minor":{minor}"#);
            text.replacen(&said(minor), &said(0), 1)
        } else {
            text.to_owned()
        }
    }

    /// Cuts one direction.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    /// Cuts both directions between two nodes.
    pub(crate) fn part(&mut self, one: NodeId, other: NodeId) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Restores both directions between two nodes.
    pub(crate) fn join(&mut self, one: NodeId, other: NodeId) {
        self.cut.remove(&(one, other));
        self.cut.remove(&(other, one));
    }

    /// Restores everything; certificates are as they were.
    pub(crate) fn heal(&mut self) {
        *self = Self {
            strangers: std::mem::take(&mut self.strangers),
            ..Self::default()
        };
    }

    /// Whether a message gets through.
    pub(crate) fn passes(&self, from: NodeId, to: NodeId, random: &mut StdRng) -> bool {
        let lost = self.loss > 0.0 && random.random_bool(self.loss);
        let way = (from, to);
        !lost && !self.cut.contains(&way) && !self.strangers.contains(&way)
    }

    /// Whether a request arrives twice.
    pub(crate) fn repeats(&self, random: &mut StdRng) -> bool {
        self.duplicates > 0.0 && random.random_bool(self.duplicates)
    }

    /// The delay of one message.
    pub(crate) fn delay(&self, random: &mut StdRng) -> Duration {
        let whim: f64 = random.random();
        let micros = if whim < self.late {
            random.random_range(5_000_000..120_000_000)
        } else if whim < self.late + self.slow {
            random.random_range(50_000..4_000_000)
        } else {
            random.random_range(200..4_000)
        };
        Duration::from_micros(micros)
    }
}
