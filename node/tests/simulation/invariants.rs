//! Rules that hold after every step, and rules that hold once all faults have ended.

use std::collections::BTreeMap;

use opensecureconf_node::{
    cluster::{FenceReason, State},
    domain::{Content, Identity, Incarnation, Version},
};

use crate::{
    disk::Contents,
    world::{NodeId, World},
};

/// Stands for all members of a cluster where each of them alone answers for nothing.
const ALL_OF_THEM: Incarnation = Incarnation::from_raw(1);

impl World {
    /// A cluster is bootstrapped once.
    pub(crate) fn check_bootstrap(&mut self, id: NodeId, before: &Contents) {
        let now = self.nodes[id].disk.durable().clone();
        let cluster_uid = |contents: &Contents| {
            contents
                .membership
                .as_ref()
                .and_then(|membership| membership.cluster_uid)
        };
        if cluster_uid(&now) == cluster_uid(before) && now.salt == before.salt {
            return;
        }
        self.cluster_uids.extend(cluster_uid(&now));
        self.salts
            .extend(now.salt.as_ref().map(|salt| salt.fingerprint().to_string()));
        if self.cluster_uids.len() > 1 {
            self.break_off(format!("two cluster uids: {:?}", self.cluster_uids));
        }
        if self.salts.len() > 1 {
            self.break_off(format!("two salts: {:?}", self.salts));
        }
    }

    /// In a calm world every node that serves holds every acknowledged write.
    pub(crate) fn check_what_ready_nodes_hold(&mut self) {
        if !self.profile.is_calm {
            return;
        }
        let ready: Vec<_> = self
            .present()
            .into_iter()
            .filter(|node| self.is_ready(*node))
            .collect();
        let stale = self.history.promised().find_map(|(write, version)| {
            let lacks = |node: &&NodeId| {
                let contents = self.nodes[**node].disk.durable();
                !self.history.covers(contents, write.identity(), version)
            };
            let local = write.level == opensecureconf_node::cluster::AckLevel::Local;
            let node = ready.iter().find(lacks).filter(|_| !local)?;
            Some(format!("node {node} serves without {}", write.words()))
        });
        if let Some(stale) = stale {
            self.break_off(stale);
        }
    }

    /// A fenced node was removed or went back, with three exceptions. Its clock was behind when it joined, and an earlier life of
    /// its name counts as the later one. Or it joined, and before the others heard of it its source was gone and another member
    /// purged. Its writes are kept as conflicts then. Or its snapshot rests on purges in vain, and all others hold its writes.
    pub(crate) fn check_fenced(&mut self, id: NodeId, reason: FenceReason) {
        let incarnation = self.nodes[id].disk.durable().incarnation;
        let is_void = self.history.void.contains_key(&incarnation);
        let unheard_of = self.history.unheard_of.contains(&incarnation);
        let stands_by_writes = self
            .history
            .promised()
            .any(|(write, _)| write.counted.contains(&incarnation));
        let excused = match reason {
            FenceReason::BelowPurgeMark => {
                unheard_of || !stands_by_writes || self.others_stand_in(id)
            }
            // A clock that ran ahead admitted an earlier life, where no node knew of this one.
            FenceReason::Superseded => !self.clocks_agree,
            _ => false,
        };
        if !is_void && !excused {
            self.break_off(format!(
                "node {id} is fenced without cause: {}",
                reason.text()
            ));
        }
        self.history.void(incarnation, "fenced");
    }

    /// Whether a node whose snapshot rests on purges in vain hands over what it acknowledged: all other members hold it, and stand
    /// by it from now on.
    fn others_stand_in(&mut self, id: NodeId) -> bool {
        let contents = self.nodes[id].disk.durable().clone();
        let states = contents.roster.states(self.rules);
        let stands = |member: &Incarnation| {
            let state = states.get(member);
            state.is_some_and(|state| state.counts() || *state == State::Left)
        };
        // No write is lost and no fence is needless: no feed tells this node what a member has that stands, and was removed in vain.
        let mut membership = contents.membership.iter();
        if !membership.any(|membership| membership.joined_without.iter().any(stands)) {
            return false;
        }
        let members = states.iter().filter(|(who, state)| {
            **state == State::Member
                && **who != contents.incarnation
                && !self.history.went_back.contains(who)
        });
        let members: Vec<Incarnation> = members.map(|(who, _)| *who).collect();
        let mut heirs = members.clone();
        heirs.retain(|who| !self.history.void.contains_key(who));
        let holders = if heirs.is_empty() { &members } else { &heirs };
        let lacks = |identity: &Identity, version: Version| {
            let databases = self.nodes.iter().map(|node| node.disk.durable());
            let mut holders = databases.filter(|theirs| holders.contains(&theirs.incarnation));
            holders.any(|theirs| !self.history.covers(theirs, identity, version))
        };
        let are_held = self.history.promised().all(|(write, version)| {
            !write.counted.contains(&contents.incarnation) || !lacks(write.identity(), version)
        });
        if !are_held || members.is_empty() {
            return false;
        }
        // Members that an admin removed in vain answer for nothing else, so all of them together answer for this.
        if heirs.is_empty() {
            heirs.push(ALL_OF_THEM);
        }
        self.history.inherit(contents.incarnation, &heirs);
        true
    }

    /// Records the databases that had joined before a purge of a member that did not know of them.
    pub(crate) fn note_unheard_of(&mut self, id: NodeId) {
        let roster = &self.nodes[id].disk.durable().roster;
        let joined = self.nodes.iter().map(|node| node.disk.durable());
        let unheard_of: Vec<_> = joined
            .filter(|contents| contents.state(self.rules).is_some())
            .map(|contents| contents.incarnation)
            .filter(|incarnation| roster.entry(*incarnation).is_none())
            .collect();
        self.history.unheard_of.extend(unheard_of);
    }

    /// A member that has left takes no row with it that others lack.
    pub(crate) fn check_left(&mut self, id: NodeId) {
        let contents = self.nodes[id].disk.durable().clone();
        let states = contents.roster.states(self.rules);
        let heirs: Vec<Incarnation> = states
            .iter()
            .filter(|(who, state)| **state == State::Member && !self.history.void.contains_key(who))
            .map(|(who, _)| *who)
            .collect();
        let left_behind = self.history.promised().find_map(|(write, version)| {
            let counted = write.counted.contains(&contents.incarnation);
            let lacks = self.nodes.iter().find(|node| {
                let theirs = node.disk.durable();
                heirs.contains(&theirs.incarnation)
                    && !self.history.covers(theirs, write.identity(), version)
            });
            let lacks = lacks.filter(|_| counted)?;
            Some(format!(
                "node {id} leaves although node {} lacks {}",
                lacks.name,
                write.words()
            ))
        });
        if let Some(left_behind) = left_behind {
            self.break_off(left_behind);
        }
        if !contents.values.is_empty() {
            self.break_off(format!("node {id} leaves with values that only it has"));
        }
        self.history.inherit(contents.incarnation, &heirs);
    }

    /// Whether all nodes serve the same; a reason where they do not.
    pub(crate) fn unsettled(&self) -> Option<String> {
        let present = self.present();
        for node in &present {
            let Some(view) = self.view(*node) else {
                return Some(format!("node {node} is down"));
            };
            if let Some(reason) = view.not_ready {
                return Some(format!(
                    "node {node} ({}) does not serve: {reason}",
                    self.nodes[*node].name
                ));
            }
        }
        let live: Vec<_> = present
            .iter()
            .map(|node| live_rows(self.nodes[*node].disk.durable()))
            .collect();
        for (node, rows) in present.iter().zip(&live) {
            let first = live.first()?;
            if rows != first {
                let differs = rows
                    .iter()
                    .find(|(identity, row)| first.get(*identity) != Some(*row));
                let missing = first
                    .iter()
                    .find(|(identity, _)| !rows.contains_key(*identity));
                return Some(format!(
                    "node {node} differs from node {}: has {differs:?}, lacks {missing:?}",
                    present[0]
                ));
            }
        }
        present.iter().find_map(|node| self.holds_earlier(*node))
    }

    /// The state of each node, and its view of the others.
    pub(crate) fn dump(&self) -> String {
        let line = |node: NodeId| {
            let contents = self.nodes[node].disk.durable();
            let view = self.view(node);
            let states: Vec<_> = contents
                .roster
                .states(self.rules)
                .into_iter()
                .filter(|(_, state)| !matches!(state, State::Removed | State::Superseded))
                .map(|(who, state)| format!("{who} {}", state.text()))
                .collect();
            format!(
                "node {node} ({}, database {}): {}; knows {}",
                self.nodes[node].name,
                contents.incarnation,
                view.map_or("down".to_owned(), |view| view
                    .not_ready
                    .unwrap_or("serves".to_owned())),
                states.join(", ")
            )
        };
        let lines: Vec<_> = self.present().into_iter().map(line).collect();
        lines.join("\n")
    }

    /// Checks the rules at the end, when all faults have ended and every node had time.
    pub(crate) fn check_the_end(&mut self) {
        if let Some(unsettled) = self.unsettled() {
            self.break_off(format!("still unsettled: {unsettled}"));
            return;
        }
        for node in self.present() {
            let contents = self.nodes[node].disk.durable().clone();
            let lost = self
                .history
                .promised()
                .find(|(write, version)| {
                    !self.history.covers(&contents, write.identity(), *version)
                })
                .map(|(write, _)| write.words());
            if let Some(lost) = lost {
                let stored = self
                    .history
                    .writes
                    .iter()
                    .find(|write| write.words() == lost);
                let stored = stored.and_then(|write| contents.version(write.identity()));
                self.break_off(format!(
                    "lost at node {node}, where {stored:?} stands: {lost}"
                ));
                return;
            }
            let believed = |by: &Incarnation| !self.history.void.contains_key(by);
            let risen = live_rows(&contents)
                .into_iter()
                .find(|(identity, (version, _))| {
                    self.history.was_purged(identity, *version, believed)
                });
            if let Some((identity, (version, _))) = risen {
                self.break_off(format!(
                    "{} is back as {version} at node {node}",
                    identity.key.as_str()
                ));
                return;
            }
        }
        self.check_owners();
    }
}

/// The rows that reads of a node find.
fn live_rows(contents: &Contents) -> BTreeMap<Identity, (Version, Option<Content>)> {
    contents
        .rows
        .iter()
        .filter(|(_, row)| !row.row.is_tombstone())
        .map(|(identity, row)| (identity.clone(), (row.row.version, row.row.content.clone())))
        .collect()
}
