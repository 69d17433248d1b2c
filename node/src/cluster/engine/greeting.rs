//! Greetings: whether another node belongs to the same cluster, and what it reports of itself and of this node.

use super::{Engine, Event, Now, Output, exchange::sent_after};
use crate::{
    cluster::{
        Address, Cursor, FenceReason, LocalStatus, PeerInfo, ProcessEpoch, Protocol, Refusal,
        Roster, Rule, Seq, SnapshotOrigin, State, Tables, purge_marks::marks_for,
    },
    domain::Incarnation,
};

impl Engine {
    /// The greeting of this node to another.
    pub(super) fn hello(&mut self, to: Option<&PeerInfo>, now: Now) -> PeerInfo {
        self.turn += 1;
        let membership = &self.membership;
        PeerInfo {
            protocol: Protocol::CURRENT,
            release: self.setup.release.clone(),
            cluster: self.setup.cluster.clone(),
            mode: self.setup.mode,
            name: self.setup.name.clone(),
            incarnation: self.incarnation,
            process_epoch: self.setup.process_epoch,
            turn: self.turn,
            heard: to.map(|to| (to.process_epoch, to.turn)),
            epoch_began: membership.process_epoch.1,
            address: self
                .peers
                .routes
                .iter()
                .find(|(_, route)| route.is_me)
                .map(|(address, _)| address.clone()),
            cluster_uid: membership.cluster_uid,
            salt: self
                .salt
                .as_ref()
                .map(|salt| salt.fingerprint().to_string()),
            ready: self.is_ready(),
            source: self.is_source(),
            acknowledges: self.acknowledges() && to.is_none_or(|to| self.remembers(to.incarnation)),
            fenced: matches!(membership.status, LocalStatus::Fenced(_)),
            yields: self.waits_for_owner(),
            waits_no_longer: to.is_some_and(|to| self.peers.missed(to.incarnation).is_some()),
            takes_back: self.takes_back && self.setup.rules.hold(Rule::TakingBackIsTold),
            has_rows: self.has_rows,
            head: self.last,
            purged: membership.purged,
            inherited: marks_for(
                &membership.inherited,
                &self.roster,
                self.incarnation,
                to.map(|to| to.incarnation),
            ),
            origin: membership
                .origin
                .filter(|origin| to.is_none_or(|to| self.may_pass_over(to.incarnation, origin)))
                .map(|origin| (origin.source, origin.source_head, origin.last)),
            received: to
                .filter(|_| self.membership.status == LocalStatus::Member)
                .map(|to| (to.incarnation, self.received_from(to))),
            roster: self.roster_fingerprint,
            entries: self.entries,
            time: now.wall,
        }
    }

    /// Whether this node will know after a restart how far it holds a node's feed. An acknowledgement that it forgets looks like a
    /// database that went back.
    fn remembers(&self, node: Incarnation) -> bool {
        self.is_lasting(node) || !self.setup.rules.hold(Rule::StrangersGetNoAcknowledgements)
    }

    /// Whether a member may pass over the snapshot with which this node joined. One that has acknowledged it needs not, or went
    /// back since, and must not count as ahead of that.
    fn may_pass_over(&self, member: Incarnation, origin: &SnapshotOrigin) -> bool {
        let cursor = self.cursors.get(&member);
        cursor.is_none_or(|cursor| cursor.acknowledged < origin.last)
            || !self.setup.rules.hold(Rule::SnapshotsArePassedOverOnce)
    }

    /// Whether a node and this one can talk at all.
    fn belongs(&self, hello: &PeerInfo) -> Result<(), Refusal> {
        if hello.incarnation == self.incarnation {
            // A copy of this database runs elsewhere, or a message of an earlier process of this node is late.
            return Err(Refusal::NameTaken);
        }
        if hello.protocol.major != Protocol::CURRENT.major {
            return Err(Refusal::Protocol);
        }
        if !self.setup.rules.hold(Rule::StrangersAreRefused) {
            return Ok(());
        }
        if hello.cluster != self.setup.cluster {
            return Err(Refusal::OtherCluster {
                mine: self.setup.cluster.clone(),
            });
        }
        if hello.mode != self.setup.mode {
            return Err(Refusal::OtherMode {
                mine: self.setup.mode,
            });
        }
        if let (Some(mine), Some(theirs)) = (self.membership.cluster_uid, hello.cluster_uid)
            && mine != theirs
        {
            return Err(Refusal::OtherClusterUid { mine });
        }
        if let (Some(mine), Some(theirs)) = (&self.salt, &hello.salt)
            && mine.fingerprint().to_string() != *theirs
        {
            return Err(Refusal::OtherSalt {
                mine: mine.fingerprint().to_string(),
            });
        }
        Ok(())
    }

    /// Handles a greeting: refuses the node, or records its report. `asked` is set for answers: the time of the request, and
    /// the reason of a refusal.
    pub(super) fn meet<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &PeerInfo,
        address: Option<&Address>,
        asked: Option<(std::time::Duration, Option<&Refusal>)>,
        out: &mut Vec<Output>,
    ) -> Result<Result<(), Refusal>, T::Error> {
        let (exchange_began, refused) = asked.unzip();
        if let Err(refusal) = self.belongs(hello) {
            return Ok(Err(refusal));
        }
        let is_news = self.peers.is_news(hello, exchange_began);
        let offset = hello.time.as_micros().saturating_sub(now.wall.as_micros());
        let address =
            address.filter(|address| exchange_began.is_some() || self.may_be_asked(hello, address));
        let states = &self.states;
        if !states.contains_key(&hello.incarnation) {
            self.peers
                .make_room_for(hello.incarnation, |who| states.contains_key(&who));
        }
        self.peers.heard(
            hello,
            address,
            now.elapsed,
            offset,
            exchange_began,
            self.turn,
        );
        if !self.states.contains_key(&hello.incarnation) {
            self.forget_strangers();
        }
        if self.membership.status != LocalStatus::Member {
            return Ok(Ok(()));
        }
        let state = self.states.get(&hello.incarnation).copied();
        // A node asks for a snapshot if it knows that it is fenced, or that its database went back to before it joined: it
        // needs one.
        if matches!(state, Some(State::Removed | State::Superseded))
            && hello.cluster_uid.is_some()
            && !hello.fenced
            && self.setup.rules.hold(Rule::FenceRemoved)
        {
            return Ok(Err(Refusal::Removed(self.roster.clone())));
        }
        if hello.cluster_uid.is_none() || hello.fenced {
            return Ok(Ok(()));
        }
        let is_fresh = exchange_began.is_some() || self.is_fresh(hello);
        if is_news
            && is_fresh
            && let Some(known) = self.went_back(hello)
            && self.setup.rules.hold(Rule::FenceRolledBack)
        {
            // Its purges since then waited for no node, so they accuse none.
            if let Some(began) = exchange_began
                && self.setup.rules.hold(Rule::RolledBackNodesAccuseNobody)
            {
                self.settle(now, hello.incarnation, began);
            }
            return Ok(Err(Refusal::RolledBack(known)));
        }
        // A greeting that arrives by itself may be forged: how far its node has come counts once an answer repeats it.
        let counts = exchange_began.is_some() || !self.setup.rules.hold(Rule::GreetingsAreAskedFor);
        if counts {
            self.pass_over_snapshot(hello);
        }
        let accusation = match refused.flatten() {
            // The refusal may rest on a late greeting, made by an earlier process or by this one long ago.
            Some(Refusal::RolledBack(known)) if self.went_back_behind(known, hello) => {
                Some(FenceReason::RolledBack)
            }
            _ => self.accusation(hello, exchange_began),
        };
        self.weigh(tables, now, hello, accusation, exchange_began, out)?;
        if exchange_began.is_some() {
            self.note_answer(now, hello, exchange_began);
        }
        if let Some((of, seq)) = hello.received
            && of == self.incarnation
        {
            if hello.acknowledges && counts && accusation.is_none() {
                self.acknowledged(hello, seq, out);
            }
            if hello.ready
                && let Some(leaving) = &mut self.leaving
                && sent_after(exchange_began, leaving.since)
            {
                leaving.held.insert(hello.incarnation, seq);
            }
        }
        Ok(Ok(()))
    }

    /// Whether this node may ask a node at its announced address: only where the list leads, or where a member is. Other nodes
    /// call by themselves; an attacker with the cluster key could send this node anywhere.
    fn may_be_asked(&self, hello: &PeerInfo, address: &Address) -> bool {
        let is_member = self
            .states
            .get(&hello.incarnation)
            .is_some_and(|state| !matches!(state, State::Removed | State::Superseded));
        is_member
            || self.peers.is_held(address)
            || !self.setup.rules.hold(Rule::StrangersAreNotDialled)
    }

    /// Whether a greeting was made after this node began its life in this process. An older one may be late, and report less of
    /// its node than this node's cursors, which may come from a snapshot.
    pub(super) fn is_fresh(&self, hello: &PeerInfo) -> bool {
        hello.heard.is_some_and(|(process_epoch, turn)| {
            process_epoch == self.setup.process_epoch && turn > self.began_at_turn
        })
    }

    /// The cursor behind which a node's database went back; a late greeting looks the same.
    fn went_back(&self, hello: &PeerInfo) -> Option<Cursor> {
        let told = Told {
            received: hello
                .received
                .and_then(|(of, seq)| (of == self.incarnation).then_some(seq)),
            head: hello.head,
            process_epoch: (hello.process_epoch, hello.epoch_began),
        };
        let known = self.cursors.get(&hello.incarnation)?;
        told.is_behind(known).then_some(*known)
    }

    /// Whether this node's database went back behind a member's knowledge of it.
    pub(super) fn went_back_behind(&self, known: &Cursor, member: &PeerInfo) -> bool {
        let told = Told {
            received: Some(self.received_from(member)),
            head: self.last,
            process_epoch: self.membership.process_epoch,
        };
        told.is_behind(known)
    }

    /// Stops serving until a new snapshot is in force.
    pub(super) fn fence<T: Tables>(
        &mut self,
        tables: &mut T,
        reason: FenceReason,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if self.membership.status != LocalStatus::Member {
            return Ok(());
        }
        self.membership.status = LocalStatus::Fenced(reason);
        self.put_membership(tables)?;
        self.look_for_earlier_values(tables)?;
        self.forget_suspicions();
        self.readiness.restart();
        self.rounds.restart();
        self.leaving = None;
        out.extend(self.abandon());
        out.push(Output::Event(Event::Fenced(reason)));
        Ok(())
    }

    /// Merges another node's roster, and applies the consequences for this node.
    pub(super) fn merge_roster<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        from: &PeerInfo,
        other: &Roster,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if self.roster.is_empty() {
            return Ok(());
        }
        if !other.is_plausible() && self.setup.rules.hold(Rule::StampsHaveAnEnd) {
            self.tell_of_damage(now, from, out);
            return Ok(());
        }
        // A member vouches for nodes that earlier releases admitted, and a node of such a release for itself.
        let vouches = self.states.contains_key(&from.incarnation);
        let is_earlier = !from.protocol.sources_admit();
        let believed = self.roster.believable(other, |admitted| {
            vouches
                || (is_earlier && admitted == from.incarnation)
                || !self.setup.rules.hold(Rule::StrangersAdmitNobody)
        });
        // A node that a known node admitted is a member, though it is new here.
        let is_member = vouches || believed.entry(from.incarnation).is_some();
        let mut merged = self.roster.clone();
        if !self.may_move_to(now, from, believed.latest(), is_member, out)
            || !merged.merge(&believed)
        {
            return Ok(());
        }
        if !merged.is_plausible() && self.setup.rules.hold(Rule::StampsHaveAnEnd) {
            self.tell_of_damage(now, from, out);
            return Ok(());
        }
        self.roster = merged;
        self.clock.merge(self.roster.latest());
        self.changed.counters = true;
        self.put_roster(tables)?;
        if !self.setup.rules.hold(Rule::FenceRemoved) {
            return Ok(());
        }
        match self.my_state() {
            Some(State::Removed) => self.fence(tables, FenceReason::Removed, out),
            Some(State::Superseded) => self.fence(tables, FenceReason::Superseded, out),
            // A database that went back may learn from others that it was leaving.
            Some(State::Leaving) if self.setup.rules.hold(Rule::LeavingIsResumed) => {
                self.resume_leaving(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Notes why a node and this one do not talk, and logs it once.
    pub(super) fn mismatch(
        &mut self,
        address: &Address,
        hello: &PeerInfo,
        refusal: Refusal,
        out: &mut Vec<Output>,
    ) {
        let Some(route) = self.peers.routes.get_mut(address) else {
            return;
        };
        if route.refusal.as_ref() != Some(&refusal) {
            out.push(Output::Event(Event::Mismatch {
                name: hello.name.clone(),
                cluster: hello.cluster.clone(),
                refusal: refusal.clone(),
            }));
            route.refusal = Some(refusal);
        }
    }

    /// How far a member reports that it holds this node's feed; the start, where it never reported.
    pub(super) fn held_by(&self, member: Incarnation) -> Option<Seq> {
        self.peers.received_by(member, self.incarnation)
    }
}

/// A node's report on its database.
struct Told {
    /// How far it holds the feed of the node that it greets.
    received: Option<Seq>,
    /// Its last change.
    head: Seq,
    /// Its process, and its last change when that began.
    process_epoch: (ProcessEpoch, Seq),
}

impl Told {
    /// Whether it reports less than was known of the database before.
    fn is_behind(&self, known: &Cursor) -> bool {
        let (process_epoch, began) = self.process_epoch;
        let forgot = self.received.is_some_and(|seq| seq < known.acknowledged);
        let rebooted =
            known.process_epoch != process_epoch && known.process_epoch != ProcessEpoch::default();
        forgot || self.head < known.received || (rebooted && began < known.received)
    }
}
