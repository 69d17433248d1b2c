//! Joining: a complete snapshot of one ready member, staged beside the rows and put in force in one durable step.

use super::{Engine, Event, Now, Output, feed::arrived};
use crate::{
    cluster::{
        Address, Cursor, LocalStatus, PeerInfo, Phase, Request, RosterEntry, Rule, Seq,
        SnapshotHead, SnapshotOrigin, State, Tables, Takeover, WireIdentity, WireRow,
    },
    crypto::Salt,
    domain::{Identity, Incarnation, Version},
};

/// A snapshot that is being taken.
#[derive(Debug)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct Join {
    source: Incarnation,
    address: Address,
    /// The last entry of the pages so far.
    after: Option<Identity>,
    /// The head of the first page: the node follows feeds from there.
    head: Option<SnapshotHead>,
    /// The incarnation under which the source admits this node; `None` where that is of a release in which each node admits
    /// itself.
    life: Option<Incarnation>,
}

impl Engine {
    /// Whether a node needs a snapshot to go on.
    fn wants_snapshot(&self) -> bool {
        match self.membership.status {
            LocalStatus::Blank => !self.has_rows,
            LocalStatus::Fenced(_) => true,
            LocalStatus::Member => false,
        }
    }

    /// Whether nodes of different clusters answer. One of them may be the lost bootstrap node of a cluster, whose messages come
    /// late.
    pub(super) fn hears_two_clusters(&self, now: Now) -> bool {
        let mut cluster_uids = self
            .peers
            .known
            .values()
            .filter(|contact| contact.is_alive(now.elapsed))
            .filter_map(|contact| contact.hello.cluster_uid);
        let first = cluster_uids.next();
        cluster_uids.any(|other| first.is_some_and(|first| first != other))
    }

    fn joins_none(&self, now: Now) -> bool {
        self.membership.status == LocalStatus::Blank
            && self.setup.rules.hold(Rule::BlankJoinsNoneOfTwo)
            && self.hears_two_clusters(now)
    }

    /// Begins to join where that is wanted and a ready member is there.
    pub(super) fn choose_source<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if let Some(join) = &self.join {
            let asked = self
                .peers
                .routes
                .get(&join.address)
                .is_some_and(|route| route.in_flight.is_some());
            let alive = self
                .peers
                .known
                .get(&join.source)
                .is_some_and(|source| source.is_alive(now.elapsed) && source.hello.source);
            if asked || alive {
                return Ok(());
            }
            self.abort_join(tables)?;
        }
        if self.joins_none(now) {
            return Ok(());
        }
        let sources = self
            .peers
            .known
            .iter()
            .filter_map(|(incarnation, contact)| {
                let hello = &contact.hello;
                let usable = hello.source
                    && hello.cluster_uid.is_some()
                    && contact.is_alive(now.elapsed)
                    && self
                        .membership
                        .cluster_uid
                        .is_none_or(|mine| hello.cluster_uid == Some(mine))
                    && !matches!(
                        self.states.get(incarnation),
                        Some(State::Removed | State::Superseded)
                    );
                let address = self.peers.route_to(*incarnation)?;
                let refused = self
                    .peers
                    .routes
                    .get(address)
                    .is_some_and(|route| route.refusal.is_some());
                (usable && !refused).then(|| {
                    let admits = hello.protocol.sources_admit();
                    (*incarnation, address.clone(), hello.name.clone(), admits)
                })
            });
        // A source of an earlier release admits no node: other members have to believe that its joining node belongs.
        let Some((source, address, name, admits)) = sources.max_by_key(|(_, _, _, admits)| *admits)
        else {
            return Ok(());
        };
        if !self.wants_snapshot() {
            if self.membership.status == LocalStatus::Blank && !self.told_of_rows {
                self.told_of_rows = true;
                out.push(Output::Event(Event::RowsOutsideTheCluster { name }));
            }
            return Ok(());
        }
        tables.clear_staged()?;
        self.changed.rows = true;
        // A new life: reports of others on an earlier one must not count for it.
        let life =
            (admits && self.setup.rules.hold(Rule::SourcesAdmit)).then(|| self.fresh_incarnation());
        self.join = Some(Join {
            source,
            address,
            after: None,
            head: None,
            life,
        });
        out.push(Output::Event(Event::JoinBegun { source: name }));
        Ok(())
    }

    /// The request for the next page at an address.
    pub(super) fn page_wanted(&self, address: &Address) -> Option<Request> {
        let join = self.join.as_ref().filter(|join| join.address == *address)?;
        Some(Request::Snapshot {
            after: join.after.as_ref().map(WireIdentity::from),
            incarnation: join.life,
        })
    }

    /// Gives a snapshot up; the next one clears the staged rows.
    pub(super) fn abort_join<T: Tables>(&mut self, tables: &mut T) -> Result<(), T::Error> {
        if self.join.take().is_some() {
            self.changed.rows = true;
            tables.clear_staged()?;
        }
        Ok(())
    }

    /// Handles a page; after the last one, puts the whole snapshot in force.
    pub(super) fn take_page<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &PeerInfo,
        page: Page,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let Page {
            head,
            rows,
            more,
            last,
        } = page;
        let Some(join) = self
            .join
            .as_mut()
            .filter(|join| join.source == hello.incarnation)
        else {
            return Ok(());
        };
        let salt = head.salt.to_salt();
        let last = last.and_then(WireIdentity::into_identity);
        let Some(rows) = arrived(hello, rows, out) else {
            return self.abort_join(tables);
        };
        let is_sound = head.is_plausible() || !self.setup.rules.hold(Rule::StampsHaveAnEnd);
        if salt.is_none() || (more && last.is_none()) || !is_sound {
            out.push(Output::Event(Event::DamagedArrival {
                name: hello.name.clone(),
            }));
            return self.abort_join(tables);
        }
        let (roster, received) = (head.roster.clone(), head.received.clone());
        let begun = join.head.get_or_insert(head);
        if begun.is_outlived(hello)
            && self.setup.rules.hold(Rule::PurgesEndSnapshots)
            && self.setup.rules.hold(Rule::HonourPurgeMarks)
        {
            return self.abort_join(tables);
        }
        join.after = last.or(join.after.take());
        self.changed.rows = true;
        tables.stage(&rows)?;
        if more {
            return Ok(());
        }
        if self.joins_none(now) {
            return self.abort_join(tables);
        }
        let life = self.join.as_ref().and_then(|join| join.life);
        if life.is_some_and(|life| roster.entry(life).is_none()) {
            // It did not admit this node.
            return self.abort_join(tables);
        }
        match (self.join.take().and_then(|join| join.head), salt) {
            (Some(mut head), Some(salt)) => {
                head.roster.merge(&roster);
                self.membership.source_received = received;
                self.take_snapshot(tables, now, hello, head, (life, salt), out)
            }
            _ => Ok(()),
        }
    }

    /// The members that a purger behind this snapshot had removed, as its source sees it: this node may know more.
    fn removed_by_purgers(&self, head: &SnapshotHead) -> Vec<Incarnation> {
        let states = head.roster.states(self.setup.rules);
        let removed = states
            .into_iter()
            .filter(|(_, state)| *state == State::Removed)
            .map(|(member, _)| member);
        let by_a_purger = |member: &Incarnation| {
            let mut purgers = head.purge_marks.iter();
            purgers.any(|(purger, _)| head.roster.is_removed_by(*member, *purger))
        };
        removed.filter(by_a_purger).collect()
    }

    /// Makes the staged snapshot the node's state, in this one transaction.
    fn take_snapshot<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        source: &PeerInfo,
        head: SnapshotHead,
        (life, salt): (Option<Incarnation>, Salt),
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if let Some(life) = life {
            self.incarnation = life;
        } else if self.membership.status != LocalStatus::Blank
            || head.roster.entry(self.incarnation).is_some()
        {
            // A fenced life is over, and so is one that went back to before it joined; reports of others on it must not count
            // for the new one.
            self.incarnation = self.fresh_incarnation();
        }
        let before = self.last;
        self.last = tables.take_over(Takeover {
            incarnation: self.incarnation,
            last: before,
            seen_at: now.wall,
            reissue: !self.setup.rules.hold(Rule::OwnStamps),
        })?;
        self.last_made = self.last;
        self.has_rows = self.last > before || tables.has_rows()?;
        self.membership.joined_without = self.removed_by_purgers(&head);
        // Its rows are those of the source: without the same deletes, which no snapshot could bring.
        self.membership.forgiven = if self.setup.rules.hold(Rule::ForgivenessIsInherited) {
            head.forgiven
        } else {
            Vec::new()
        };
        let old_roster = std::mem::replace(&mut self.roster, head.roster);
        if self.membership.cluster_uid == Some(head.cluster_uid) {
            self.roster.merge(&old_roster);
        }
        let latest = head.clock.max(self.roster.latest());
        if latest > self.clock.high_water() && latest.is_far_ahead_of(now.wall) {
            self.tell_of_future(now, source, latest, out);
        }
        // A later admission makes the later life, also on a machine whose clock is behind its predecessor's.
        self.clock.merge(latest);
        if life.is_none() {
            let admitted = Version {
                clock: self.clock.tick(now.wall, None),
                incarnation: self.incarnation,
            };
            self.roster.admit(
                self.incarnation,
                RosterEntry {
                    name: self.setup.name.clone(),
                    admitted,
                    phase: Phase::Joining,
                },
            );
        }
        self.membership.cluster_uid = Some(head.cluster_uid);
        self.membership.status = LocalStatus::Member;
        self.membership.purged = Seq::START;
        self.membership.inherited = head.purge_marks;
        self.membership.purged_clock = self.membership.purged_clock.max(head.purged_clock);
        self.membership.process_epoch = (self.setup.process_epoch, self.last);
        self.membership.origin = Some(SnapshotOrigin {
            source: source.incarnation,
            source_head: source.head,
            last: self.last,
        });
        self.read_up = head
            .received
            .iter()
            .filter(|(member, _, _)| *member == source.incarnation)
            .map(|(member, received, _)| (*member, *received))
            .collect();
        self.cursors = head
            .received
            .into_iter()
            .filter(|(member, _, _)| *member != self.incarnation)
            .map(|(member, received, process_epoch)| {
                let cursor = Cursor {
                    received,
                    process_epoch,
                    acknowledged: Seq::START,
                };
                (member, cursor)
            })
            .collect();
        self.changed.cursors = self.cursors.keys().copied().collect();
        self.changed.counters = true;
        self.damaged.clear();
        self.put_roster(tables)?;
        self.put_membership(tables)?;
        self.hold_what_the_source_held(tables)?;
        if self.salt.is_none() {
            tables.put_salt(&salt)?;
            self.salt = Some(salt.clone());
            out.push(Output::SaltSettled(salt));
        }
        self.look_for_earlier_values(tables)?;
        self.settled.clear();
        // The order was one for the life before.
        self.leaving = None;
        self.forget_suspicions();
        self.began_at_turn = self.turn;
        self.peers.start_over();
        self.readiness.restart();
        self.rounds.restart();
        out.push(Output::Event(Event::Joined {
            source: source.name.clone(),
            rows: self.last.since(before),
        }));
        Ok(())
    }

    fn fresh_incarnation(&mut self) -> Incarnation {
        use rand::Rng;
        Incarnation::from_random(self.random.next_u64())
    }
}

/// A page of a snapshot as it arrived.
pub(super) struct Page {
    pub(super) head: SnapshotHead,
    pub(super) rows: Vec<WireRow>,
    pub(super) more: bool,
    pub(super) last: Option<WireIdentity>,
}
