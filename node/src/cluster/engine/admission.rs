//! What a ready member does for a node that joins: it gives a snapshot page by page, and admits the node with the last one.

use super::{Engine, Now};
use crate::{
    cluster::{
        Answer, ENTRIES_BYTES, PeerInfo, Phase, Refusal, RosterEntry, Rule, Seq, SnapshotHead,
        State, Tables, WireIdentity, WireRow, WireSalt,
        limits::{
            joining::ROWS,
            roster::{INCARNATIONS, MEMBERS},
        },
    },
    domain::{Incarnation, Version},
};

impl Engine {
    /// Gives a page to a node that joins.
    pub(super) fn snapshot_page<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &PeerInfo,
        after: Option<WireIdentity>,
        life: Option<Incarnation>,
    ) -> Result<Answer, T::Error> {
        let (Some(cluster_uid), Some(salt), true) =
            (self.membership.cluster_uid, &self.salt, self.is_source())
        else {
            return Ok(Answer::Refused(Refusal::NotServing));
        };
        let salt = salt.clone();
        let namesake = self
            .peers
            .living_namesake(&hello.name, hello.incarnation, now.elapsed);
        let is_current = namesake.is_some_and(|other| {
            self.roster.current(&hello.name) == Some(other)
                && self.states.get(&other).is_some_and(|state| state.counts())
        });
        if is_current || hello.name == self.setup.name {
            return Ok(Answer::Refused(Refusal::NameTaken));
        }
        if life.is_some_and(|life| self.roster.entry(life).is_none()) && !self.has_place() {
            return Ok(Answer::Refused(Refusal::RosterFull));
        }
        let after = after.and_then(WireIdentity::into_identity);
        let page = tables.page(after.as_ref(), ROWS, ENTRIES_BYTES)?;
        let last = page.last().map(|row| row.row.identity.clone());
        let more = match &last {
            Some(last) => !tables.page(Some(last), 1, 0)?.is_empty(),
            None => false,
        };
        if let Some(life) = life.filter(|_| !more && self.setup.rules.hold(Rule::SourcesAdmit))
            && !self.admit(tables, now, hello, life)?
        {
            return Ok(Answer::Refused(Refusal::NotServing));
        }
        let mut received: Vec<_> = self
            .cursors
            .iter()
            .filter(|(member, _)| self.is_lasting(**member))
            .map(|(member, cursor)| (*member, cursor.received, cursor.process_epoch))
            .collect();
        received.push((self.incarnation, self.last, self.setup.process_epoch));
        let mut purge_marks = self.membership.inherited.clone();
        if self.membership.purged > Seq::START {
            purge_marks.push((self.incarnation, self.membership.purged));
        }
        let head = SnapshotHead {
            cluster_uid,
            salt: WireSalt::new(&salt),
            roster: self.roster.clone(),
            clock: self.clock.high_water(),
            purged_clock: self.membership.purged_clock,
            purge_marks,
            forgiven: self.membership.forgiven.clone(),
            received,
        };
        Ok(Answer::Page {
            head: Box::new(head),
            rows: page
                .into_iter()
                .filter(|row| row.row.hash() == row.hash)
                .map(|row| WireRow::new(&row.row, row.hash))
                .collect(),
            more,
            last: last.as_ref().map(WireIdentity::from),
        })
    }

    /// Whether the roster has a place for another incarnation. None is ever taken out of it, and any caller with the cluster key
    /// can ask for one.
    fn has_place(&self) -> bool {
        let counting = self.states.values().filter(|state| state.counts());
        counting.count() < MEMBERS && self.states.len() < INCARNATIONS
    }

    /// Admits a node that holds all of a snapshot but its last page: from now on purges wait for it. Returns whether it belongs
    /// under that incarnation.
    fn admit<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &PeerInfo,
        life: Incarnation,
    ) -> Result<bool, T::Error> {
        if let Some(entry) = self.roster.entry(life) {
            // The page was lost, and the node asks again.
            let is_it = entry.name == hello.name && entry.phase == Phase::Joining;
            return Ok(is_it && self.states.get(&life) == Some(&State::Joining));
        }
        if !self.is_latest_of_its_name(hello)
            && self.setup.rules.hold(Rule::LateRequestsAdmitNobody)
        {
            return Ok(false);
        }
        let clock = self.clock.following(now.wall, Some(self.roster.latest()));
        if !clock.is_plausible() {
            return Ok(false);
        }
        self.clock.merge(clock);
        self.changed.counters = true;
        self.roster.admit(
            life,
            RosterEntry {
                name: hello.name.clone(),
                admitted: Version {
                    clock,
                    incarnation: self.incarnation,
                },
                phase: Phase::Joining,
            },
        );
        self.put_roster(tables)?;
        Ok(true)
    }

    /// Whether a request was made after this node learned of the latest life and of the latest process of that name. A late one
    /// is of a process that is gone: its admission would end the life that the node has by now.
    fn is_latest_of_its_name(&self, hello: &PeerInfo) -> bool {
        let life = self.lives.get(&hello.name).map(|(_, turn)| *turn);
        let process = self.peers.latest_process_heard_at(&hello.name);
        let learned = process.max(life.unwrap_or_default());
        self.is_fresh(hello) && hello.heard.is_some_and(|(_, turn)| turn > learned)
    }
}
