//! Federated: the work of the API and the cluster link beside the engine. They send writes to home nodes, and hand over the
//! values of a leaving node.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{AckLevel, Address, Change, Expected, MemberState, Mode, ValueLocation, Write},
    domain::{Identity, Row},
};
use rand::seq::IndexedRandom;

use crate::world::{NodeId, SimulationEvent, World};

/// How often a leaving node hands values over.
const PAUSE: Duration = Duration::from_secs(1);

impl World {
    /// The node that a write is sent on to, and the version that it expects: live entries are changed at their home nodes.
    /// `None` where the API refuses.
    pub(crate) fn as_the_api_does(
        &mut self,
        node: NodeId,
        row: Option<&Row>,
        mut write: Write,
    ) -> Option<(NodeId, Write)> {
        let Some(row) = row.filter(|row| !row.is_tombstone()) else {
            return Some((node, write));
        };
        if self.mode != Mode::Federated {
            return Some((node, write));
        }
        match self.view(node)?.holder(row.version.incarnation) {
            ValueLocation::Here => Some((node, write)),
            ValueLocation::At(place) => {
                let owner = self.node_at(&place.address)?;
                self.passes(node, owner).then_some((owner, write))
            }
            ValueLocation::Gone if write.change == Change::Delete => None,
            ValueLocation::Gone => {
                write.seen = Expected::Lost(row.version);
                Some((node, write))
            }
            ValueLocation::Silent { .. } | ValueLocation::Unclear { .. } => None,
        }
    }

    /// Leaving nodes hand over their values, some at a time to some member.
    pub(crate) fn hand_over(&mut self) {
        self.later(PAUSE, SimulationEvent::HandOver);
        for node in self.present() {
            let Some(view) = self
                .view(node)
                .filter(|view| view.state == MemberState::Leaving)
            else {
                continue;
            };
            let ready = view.members.iter().filter(|member| {
                member.state == MemberState::Member && member.ready && member.reachable
            });
            let ready: Vec<_> = ready.filter_map(|member| member.address.clone()).collect();
            let Some(address) = ready.choose(&mut self.random) else {
                continue;
            };
            let Some(receiver) = self.node_at(address) else {
                continue;
            };
            for (identity, seen, token) in self.owned(node) {
                if self.passes(node, receiver) {
                    let after = self.network.delay(&mut self.random);
                    let write = Write {
                        identity,
                        seen,
                        named: None,
                        change: Change::Adopt { token },
                    };
                    self.write_after(after, receiver, write, AckLevel::Local);
                }
            }
        }
    }

    /// Values of entries as they stand, as many as a message has.
    fn owned(&self, node: NodeId) -> Vec<(Identity, Expected, String)> {
        let contents = self.nodes[node].disk.durable();
        let owned = contents
            .values
            .iter()
            .filter(|(identity, (version, _))| contents.version(identity) == Some(*version));
        owned
            .take(self.profile.page)
            .map(|(identity, (version, token))| {
                (identity.clone(), Expected::Version(*version), token.clone())
            })
            .collect()
    }

    fn node_at(&self, address: &Address) -> Option<NodeId> {
        let mut nodes = self.present().into_iter();
        nodes.find(|node| self.nodes[*node].address == *address)
    }

    fn passes(&mut self, from: NodeId, to: NodeId) -> bool {
        self.network.passes(from, to, &mut self.random)
    }
}
