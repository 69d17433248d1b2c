//! Orders of the cluster admin: bootstrap, leaving, removing.

use std::{collections::BTreeMap, time::Duration};

use super::{AdminOrder, AdminOutcome, AdminRefusal, Engine, Event, Now, Output, ReplyId};
use crate::{
    cluster::{
        ClusterUid, FenceReason, LocalStatus, MemberName, Phase, RosterEntry, Rule, Seq, State,
        Tables, limits::heartbeats::SILENCE, peer_table::Exchange,
    },
    crypto::Salt,
    domain::{Incarnation, Version},
};

/// A node that is on its way out.
#[derive(Debug)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct Leaving {
    /// When that was stored here.
    pub(super) since: Duration,
    /// How far ready members held this node's feed, by their answers to later requests.
    pub(super) held: BTreeMap<Incarnation, Seq>,
}

impl Engine {
    pub(super) fn ordered<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        order: AdminOrder,
        reply: ReplyId,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let result = if self.setup.clustered {
            match order {
                AdminOrder::Bootstrap {
                    incarnation,
                    mounted,
                } => self.bootstrap(tables, now, incarnation, mounted, out)?,
                AdminOrder::Leave => self.leave(tables, now, out)?,
                AdminOrder::Unfence { dry_run } => self.unfence(tables, dry_run, out)?,
                AdminOrder::Remove {
                    name,
                    incarnation,
                    force,
                } => self.remove(tables, now, name, incarnation, force, out)?,
            }
        } else {
            Err(AdminRefusal::Standalone)
        };
        out.push(Output::Done { reply, result });
        Ok(())
    }

    /// Bootstraps the cluster: the only way in which a roster, a cluster uid or a salt ever begins.
    fn bootstrap<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        incarnation: Incarnation,
        mounted: Option<Salt>,
        out: &mut Vec<Output>,
    ) -> Result<Result<AdminOutcome, AdminRefusal>, T::Error> {
        if incarnation != self.incarnation {
            return Ok(Err(AdminRefusal::OtherIncarnation {
                mine: self.incarnation,
            }));
        }
        if let LocalStatus::Fenced(reason) = self.membership.status {
            return Ok(Err(AdminRefusal::Fenced(reason)));
        }
        if let Some(cluster_uid) = self.membership.cluster_uid {
            let began_here = self.membership.origin.is_none();
            return Ok(if began_here {
                Ok(AdminOutcome::Bootstrapped(cluster_uid))
            } else {
                Err(AdminRefusal::AlreadyMember { cluster_uid })
            });
        }
        // A lost node of a cluster may have sent a snapshot that is still on its way: a node that loads it brings that cluster
        // back.
        let timeout = if self.setup.rules.hold(Rule::BootstrapWaitsForLostNodes) {
            Exchange::Snapshot.timeout()
        } else {
            SILENCE
        };
        let of_a_cluster = self.peers.known.values().find(|contact| {
            contact.hello.cluster_uid.is_some() && contact.was_heard_within(timeout, now.elapsed)
        });
        if let Some(contact) = of_a_cluster
            && self.setup.rules.hold(Rule::BootstrapIsInstructed)
        {
            return Ok(Err(AdminRefusal::ReachableCluster {
                name: contact.hello.name.clone(),
            }));
        }
        self.salt = self.salt.take().or(mounted);
        self.bootstrap_here(tables, now, out)
    }

    fn bootstrap_here<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<Result<AdminOutcome, AdminRefusal>, T::Error> {
        use rand::Rng;
        if self.salt.is_none() {
            if !self.setup.may_make_salt {
                return Ok(Err(AdminRefusal::NoSalt));
            }
            let mut bytes = [0; 64];
            self.random.fill_bytes(&mut bytes);
            self.salt = Salt::from_bytes(&bytes);
        }
        self.abort_join(tables)?;
        if let Some(salt) = self.salt.clone() {
            tables.put_salt(&salt)?;
            out.push(Output::SaltSettled(salt));
        }
        let cluster_uid = ClusterUid::from_random(self.random.next_u64());
        let admitted = Version {
            clock: self.clock.tick(now.wall, None),
            incarnation: self.incarnation,
        };
        self.changed.counters = true;
        self.roster.admit(
            self.incarnation,
            RosterEntry {
                name: self.setup.name.clone(),
                admitted,
                phase: Phase::Member,
            },
        );
        self.membership.cluster_uid = Some(cluster_uid);
        self.membership.status = LocalStatus::Member;
        self.own_all_entries(tables, now)?;
        self.put_roster(tables)?;
        self.put_membership(tables)?;
        out.push(Output::Event(Event::Bootstrapped(cluster_uid)));
        Ok(Ok(AdminOutcome::Bootstrapped(cluster_uid)))
    }

    /// Bootstraps without an order: a broken rule of simulations.
    pub(super) fn bootstrap_unbidden<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let alone = self.peers.went_round()
            && !self.peers.known.values().any(|contact| {
                contact.is_alive(now.elapsed) && contact.hello.cluster_uid.is_some()
            });
        if self.membership.status == LocalStatus::Blank && alone && self.setup.may_make_salt {
            self.bootstrap_here(tables, now, out)?.ok();
        }
        Ok(())
    }

    fn leave<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<Result<AdminOutcome, AdminRefusal>, T::Error> {
        if self.membership.status != LocalStatus::Member {
            if self.has_to_hand_over(tables)? {
                return Ok(Err(AdminRefusal::HoldsValues));
            }
            // A blank node holds no row that others lack.
            return Ok(Ok(AdminOutcome::Leaving(None)));
        }
        match self.my_state() {
            Some(State::Joining) if !self.has_to_hand_over(tables)? => {
                self.advance(tables, Phase::Left)?;
                out.push(Output::Event(Event::Left));
            }
            Some(State::Joining | State::Member) => {
                let is_last = self.other_members().next().is_none();
                if is_last {
                    return Ok(Err(AdminRefusal::LastMember));
                }
                self.advance(tables, Phase::Leaving)?;
                self.resume_leaving(now);
                out.push(Output::Event(Event::Leaving));
            }
            _ => {}
        }
        Ok(Ok(AdminOutcome::Leaving(self.my_state())))
    }

    /// Goes on leaving after a restart, or where others know that this node was leaving.
    pub(super) fn resume_leaving(&mut self, now: Now) {
        let is_member = self.membership.status == LocalStatus::Member;
        if is_member && self.my_state() == Some(State::Leaving) && self.leaving.is_none() {
            self.leaving = Some(Leaving {
                since: now.elapsed,
                held: BTreeMap::new(),
            });
        }
    }

    /// Leaves for good once every other member holds this node's rows, and the values that only it held are handed over.
    pub(super) fn check_leaving<T: Tables>(
        &mut self,
        tables: &mut T,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let Some(leaving) = &self.leaving else {
            return Ok(());
        };
        let all_hold = {
            let mut members = self.other_members().peekable();
            let some = members.peek().is_some();
            some && members.all(|member| leaving.held.get(&member) >= Some(&self.last))
        };
        let handed_over = !self.has_to_hand_over(tables)?;
        if (all_hold && handed_over) || !self.setup.rules.hold(Rule::LeavingPushesAll) {
            self.leaving = None;
            self.advance(tables, Phase::Left)?;
            out.push(Output::Event(Event::Left));
        }
        Ok(())
    }

    /// The members beside this node.
    pub(super) fn other_members(&self) -> impl Iterator<Item = Incarnation> {
        let members = self
            .states
            .iter()
            .filter(|(_, state)| **state == State::Member);
        let members = members.map(|(member, _)| *member);
        members.filter(|member| *member != self.incarnation)
    }

    /// Whether this node holds values that others must own before it has left.
    fn has_to_hand_over<T: Tables>(&self, tables: &mut T) -> Result<bool, T::Error> {
        Ok(self.setup.rules.hold(Rule::LeavingHandsValuesOver) && tables.has_values()?)
    }

    /// Brings this node's own roster entry forward.
    pub(super) fn advance<T: Tables>(
        &mut self,
        tables: &mut T,
        phase: Phase,
    ) -> Result<(), T::Error> {
        if self.roster.advance(self.incarnation, phase) {
            self.put_roster(tables)?;
        }
        Ok(())
    }

    fn remove<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        name: MemberName,
        incarnation: Incarnation,
        force: bool,
        out: &mut Vec<Output>,
    ) -> Result<Result<AdminOutcome, AdminRefusal>, T::Error> {
        if !self.is_member() || incarnation == self.incarnation {
            return Ok(Err(AdminRefusal::NoMember));
        }
        let Some(current) = self.roster.current(&name) else {
            return Ok(Err(AdminRefusal::Unknown { name }));
        };
        if current != incarnation {
            return Ok(Err(AdminRefusal::NotCurrent { name, current }));
        }
        match self.states.get(&incarnation) {
            Some(State::Removed) => return Ok(Ok(AdminOutcome::Removed)),
            Some(State::Left) => {}
            Some(state) if !force => {
                return Ok(Err(AdminRefusal::NotLeft {
                    name,
                    state: *state,
                }));
            }
            _ => {}
        }
        let clock = self.clock.tick(now.wall, None);
        self.changed.counters = true;
        self.roster.remove(incarnation, self.incarnation, clock);
        self.put_roster(tables)?;
        out.push(Output::Event(Event::Removed(name)));
        Ok(Ok(AdminOutcome::Removed))
    }

    /// Goes on as a member where the removal for which this node was fenced is void, and no other member could give it a snapshot:
    /// it waited for one for ever. It has changed nothing since, as if it had been away; members that purged meanwhile accuse it.
    pub(super) fn check_removal<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if self.membership.status != LocalStatus::Fenced(FenceReason::Removed)
            || !self.my_state().is_some_and(State::counts)
            || self.join.is_some()
            || !self.all_others_are_fenced(now)
            || !self.setup.rules.hold(Rule::VoidRemovalsAreUndone)
        {
            return Ok(());
        }
        self.membership.status = LocalStatus::Member;
        self.put_membership(tables)?;
        self.look_for_earlier_values(tables)?;
        self.resume_leaving(now);
        out.push(Output::Event(Event::RemovalIsVoid));
        Ok(())
    }

    /// Whether each other member answers that it is fenced, and each node that answers has the same roster and gives no snapshots.
    fn all_others_are_fenced(&self, now: Now) -> bool {
        let is_fenced = |member: Incarnation| {
            let contact = self.peers.known.get(&member);
            let answering = contact.filter(|contact| contact.is_alive(now.elapsed));
            let answered = answering.and_then(|contact| contact.answered);
            answered.is_some_and(|answered| answered.fenced)
        };
        let mut cluster = self.peers.known.values().filter(|contact| {
            let cluster_uid = contact.hello.cluster_uid;
            contact.is_alive(now.elapsed) && cluster_uid == self.membership.cluster_uid
        });
        self.peers.went_round()
            && self.counting().all(is_fenced)
            && cluster.all(|contact| {
                let gives = contact.hello.source;
                !gives && contact.hello.roster == self.roster_fingerprint
            })
    }
}
