//! Federated: rules about values, which only their home nodes have.

use opensecureconf_node::{
    cluster::Mode,
    domain::{Content, Identity, Row, Version},
};

use crate::{
    disk::Contents,
    world::{NodeId, World},
};

/// A value of an earlier life may become a row's value only where it is that value, or the same writer's later one.
pub(crate) fn may_be_taken_back(
    held: Version,
    token: &str,
    stood: Option<&Row>,
) -> Result<(), String> {
    let stood = stood.ok_or_else(|| format!("the value {held} comes back to an unknown entry"))?;
    let key = stood.identity.key.as_str();
    let is_later = stood.version.incarnation == held.incarnation && stood.version < held;
    match &stood.content {
        None => Err(format!("{key} is deleted, and its value {held} is back")),
        Some(content) if content.is_of(token) || is_later => Ok(()),
        Some(_) => Err(format!(
            "the value {held} of {key} passes for that of {}",
            stood.version
        )),
    }
}

/// A value is given up where the entry went on without it, or where it is kept as the loser of a conflict.
pub(crate) fn may_be_dropped(
    contents: &Contents,
    identity: &Identity,
    held: Version,
) -> Result<(), String> {
    let stands = contents.version(identity);
    let is_kept = || {
        let mut conflicts = contents.conflicts.iter();
        conflicts.any(|row| row.identity == *identity && row.version == held)
    };
    // An entry that the directory does not know is deleted and purged, or was kept when a snapshot came.
    let went_on = stands.is_none_or(|stands| stands > held);
    let is_held = contents
        .values
        .get(identity)
        .is_some_and(|(version, _)| Some(*version) == stands);
    if went_on || is_held || is_kept() {
        return Ok(());
    }
    Err(format!(
        "the value {held} of {} is given up where {stands:?} stands",
        identity.key.as_str()
    ))
}

impl World {
    /// A federated node holds the values of its own versions that stand, and no others except those of an earlier life.
    pub(crate) fn check_values(&mut self, id: NodeId) {
        let contents = self.nodes[id].disk.durable().clone();
        let mine = contents.incarnation;
        // A node that went back learns of versions that it wrote and lost.
        if self.mode != Mode::Federated || self.history.void.contains_key(&mine) {
            return;
        }
        let stands = |identity: &Identity| contents.rows.get(identity).map(|row| &row.row);
        let stray = contents.values.iter().find(|(identity, (held, _))| {
            held.incarnation == mine && stands(identity).map(|row| row.version) != Some(*held)
        });
        let lacking = contents.rows.values().find(|row| {
            let elsewhere = matches!(row.row.content, Some(Content::Fingerprint(_)));
            let held = contents.values.get(&row.row.identity);
            elsewhere
                && row.row.version.incarnation == mine
                && held.is_none_or(|(held, _)| *held != row.row.version)
        });
        if let Some((identity, (held, _))) = stray {
            let key = identity.key.as_str();
            self.break_off(format!(
                "node {id} holds {held} of {key}, which does not stand"
            ));
        } else if let Some(row) = lacking {
            let key = row.row.identity.key.as_str();
            self.break_off(format!("node {id} owns {key} and has no value of it"));
        }
    }

    /// A disk is lost or goes back, and with it values that it alone had, or deletions that the others do not know.
    pub(crate) fn lose_values(&mut self, before: &Contents, after: &Contents) {
        let held = |contents: &Contents, identity: &Identity| {
            contents.values.get(identity).map(|(version, _)| *version)
        };
        for identity in before.rows.keys().chain(before.values.keys()) {
            let was_held = held(before, identity);
            if was_held.is_none() || was_held != held(after, identity) {
                let writers = was_held.map(|version| version.incarnation);
                let writers = writers.into_iter().chain([before.incarnation]);
                let lost = writers.map(|writer| (identity.clone(), writer));
                self.history.lost_values.extend(lost);
                // All others may name its version of an earlier life. It is lost with the last disk that has it, under any version.
                if let Some((_, token)) = before.values.get(identity)
                    && !self.is_held_elsewhere(identity, token, before, after)
                {
                    self.history
                        .value_is_gone(identity.clone(), token.clone(), before.incarnation);
                }
            }
        }
    }

    /// Whether another disk, or this one after it changed, has a value.
    fn is_held_elsewhere(
        &self,
        identity: &Identity,
        token: &str,
        before: &Contents,
        after: &Contents,
    ) -> bool {
        let present = self.present().into_iter();
        let disks = present.map(|node| &**self.nodes[node].disk.durable());
        disks
            .filter(|contents| contents.incarnation != before.incarnation)
            .chain([after])
            .any(|contents| {
                let held = contents.values.get(identity);
                held.is_some_and(|(_, held)| held == token)
            })
    }

    /// Whether a node has still to judge values of an earlier life.
    pub(crate) fn holds_earlier(&self, node: NodeId) -> Option<String> {
        let contents = self.nodes[node].disk.durable();
        let (identity, (held, _)) = contents
            .values
            .iter()
            .find(|(_, (held, _))| held.incarnation != contents.incarnation)?;
        let key = identity.key.as_str();
        Some(format!(
            "node {node} holds {held} of {key} from an earlier life"
        ))
    }

    /// Each entry has exactly one home node, which has its value, unless that was lost with a disk.
    pub(crate) fn check_owners(&mut self) {
        if self.mode != Mode::Federated {
            return;
        }
        let present = self.present();
        let databases: Vec<_> = present
            .iter()
            .map(|node| self.nodes[*node].disk.durable().clone())
            .collect();
        let Some(first) = databases.first() else {
            return;
        };
        for found in first.rows.values() {
            let row = &found.row;
            let (identity, key) = (&row.identity, row.identity.key.as_str());
            let held: Vec<_> = databases
                .iter()
                .filter_map(|contents| Some((contents, contents.values.get(identity)?)))
                .collect();
            let stray = held.iter().find(|(contents, (version, token))| {
                let is_right = row
                    .content
                    .as_ref()
                    .is_some_and(|content| content.is_of(token));
                *version != row.version || contents.incarnation != version.incarnation || !is_right
            });
            if let Some((contents, (version, _))) = stray {
                let me = contents.incarnation;
                let stands = row.version;
                self.break_off(format!(
                    "the database {me} holds {version} of {key}, where {stands} stands"
                ));
                return;
            }
            let lost = (identity.clone(), row.version.incarnation);
            // The next life of its owner wrote over it, and was lost before any node heard of that.
            let mut conflicts = databases.iter().flat_map(|contents| &contents.conflicts);
            let is_later_kept =
                conflicts.any(|kept| kept.identity == *identity && kept.version > row.version);
            let excused = self.history.lost_values.contains(&lost)
                || is_later_kept
                || self.history.was_given_up(row);
            if held.is_empty() && !row.is_tombstone() && !excused {
                let version = row.version;
                self.break_off(format!(
                    "nobody has the value of {key} ({version}), and no disk was lost"
                ));
                return;
            }
            if let Some(later) = self.history.overruled(row) {
                self.break_off(format!("an earlier value of {key} stands over {later}"));
                return;
            }
        }
        let strays = databases.iter().find_map(|contents| {
            let mut held = contents.values.keys();
            held.find(|identity| !first.rows.contains_key(*identity))
        });
        if let Some(identity) = strays {
            let key = identity.key.as_str().to_owned();
            self.break_off(format!("a value of {key} is held, which does not exist"));
        }
    }
}
