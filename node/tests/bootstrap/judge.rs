//! The rules that hold in every world, and how a world goes on once faults end.

use std::{collections::BTreeSet, fmt::Write};

use opensecureconf_node::cluster::{FenceReason, LocalStatus, Membership};

use crate::{air::Delivery, world::World};

impl World {
    /// Checks the rules that hold at any moment.
    pub(crate) fn check(&mut self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let disk = &node.disk;
            let cluster_uid = disk
                .tables
                .membership
                .as_ref()
                .and_then(|membership| membership.cluster_uid);
            self.cluster_uids.extend(cluster_uid);
            let salts = [&disk.tables.salt, &disk.salt_file].into_iter().flatten();
            self.salts
                .extend(salts.map(|salt| salt.fingerprint().to_string()));
            let made = self.beginning.mounted.is_none() && disk.tables.salt.is_some();
            if made && cluster_uid.is_none() {
                self.wrong = Some(format!("node {index} has a salt and no cluster uid"));
            }
        }
        if self.salts.len() > 1 {
            self.wrong = Some("two salts are used".to_owned());
        }
        if self.cluster_uids.len() > 1 {
            self.wrong = Some("two cluster uids are known".to_owned());
        }
    }

    /// One second without faults.
    pub(crate) fn goes_on(&mut self, first: bool) {
        for node in self.all() {
            if !self.nodes[node].is_up() {
                self.start(node, true);
            } else if !self.nodes[node].knows_full_list {
                self.list(node, true);
            }
        }
        while let Some(late) = self.air.iter().position(|message| first && message.late) {
            self.arrives(late);
        }
        self.owner_goes_on();
        for node in self.all() {
            self.tick(node);
        }
        for _ in 0..100 {
            let Some(index) = self.air.iter().position(|message| !message.late) else {
                break;
            };
            let message = self.air.remove(index);
            self.exchange(message, Delivery::Arrives);
        }
        self.pass(1);
    }

    /// Whether all nodes serve; of nodes that share a name, one must.
    pub(crate) fn is_well(&mut self) -> bool {
        let names = self.beginning.names;
        let ready: BTreeSet<_> = self
            .all()
            .filter(|node| self.why_not_ready(*node).is_none())
            .map(|node| names[node])
            .collect();
        names.iter().all(|name| ready.contains(name))
    }

    /// Whether all that is left belongs to a node that lost its name to a namesake, and its disk must be restored by hand.
    pub(crate) fn is_beyond_help(&self) -> bool {
        let status = |membership: &Membership| membership.status;
        let mut left = self
            .nodes
            .iter()
            .filter(|node| node.disk.is_bootstrapped())
            .peekable();
        self.beginning.has_namesakes()
            && left.peek().is_some()
            && left.all(|node| {
                let status = node.disk.tables.membership.as_ref().map(status);
                matches!(status, Some(LocalStatus::Fenced(FenceReason::Superseded)))
            })
    }

    fn why_not_ready(&mut self, node: usize) -> Option<String> {
        let now = crate::process::now(self.second, self.nodes[node].behind);
        match self.nodes[node].engine() {
            Some(engine) => engine.view(now).not_ready,
            None => Some("it is down".to_owned()),
        }
    }

    pub(crate) fn describe(&mut self) -> String {
        let mut text = String::new();
        for node in self.all() {
            let why = self.why_not_ready(node);
            write!(text, "node {node}: {why:?}; ").unwrap();
        }
        text
    }
}
