//! One node's engine: the durable state that decisions need, and its knowledge of other nodes.

mod accusation;
mod admission;
mod digest;
mod exchange;
mod feed;
mod greeting;
mod input;
mod joining;
mod owner;
mod purge;
mod readiness;
mod sending;
mod setup;
mod stamps;
mod suspicion;
mod told;
mod unfencing;
mod values;
mod view;
mod write;

use std::collections::{BTreeMap, BTreeSet};

pub use digest::DigestView;
pub use input::{
    AdminOrder, AdminOutcome, AdminRefusal, Event, ExchangeId, Input, Now, Output, ReplyId,
    WriteRefusal,
};
pub use setup::{LoadError, Setup};
pub use view::{MemberView, View};
pub use write::{Change, Expected, Write, Written};

use rand::{SeedableRng, rngs::StdRng};

#[cfg(feature = "rule-switches")]
use super::WireSalt;
use super::{
    Cursor, LocalStatus, MemberName, Membership, Mode, Roster, Rule, Seq, State, Tables,
    acknowledgement::WaitingWrites, peer_table::PeerTable,
};
use crate::{
    crypto::Salt,
    domain::{HybridClock, Identity, Incarnation},
};
use digest::Rounds;
use joining::Join;
use owner::Leaving;
use readiness::Readiness;
use stamps::Alarms;
use suspicion::Suspicions;
use told::ToldByWriters;

/// The engine. Lives where the tables are written; everything that it learns comes as an [`Input`].
#[derive(Debug)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not states"
)]
pub struct Engine {
    setup: Setup,
    incarnation: Incarnation,
    clock: HybridClock,
    last: Seq,
    /// The last change that this node made itself, in this life of the process.
    last_made: Seq,
    membership: Membership,
    roster: Roster,
    states: BTreeMap<Incarnation, State>,
    roster_fingerprint: u64,
    /// The current life of each name, and this node's last greeting before it learned of that.
    lives: BTreeMap<MemberName, (Incarnation, u64)>,
    cursors: BTreeMap<Incarnation, Cursor>,
    /// Up to where each member's feed was read to its end: this node holds every row that it had then. A place in the middle
    /// proves less, because a row that is written again moves behind it.
    read_up: BTreeMap<Incarnation, Seq>,
    /// How far members had acknowledged this node's feed when this node read theirs to the end. No message that a member sent
    /// before it knew of an earlier delete can arrive later and count as news.
    settled: BTreeMap<Incarnation, Seq>,
    /// Changes that came from their writers, which need not get them again, nor need members that read the writers' feeds.
    told_by_writers: ToldByWriters,
    #[cfg_attr(
        feature = "rule-switches",
        serde(serialize_with = "WireSalt::serialize_found")
    )]
    salt: Option<Salt>,
    has_rows: bool,
    peers: PeerTable,
    waiting: WaitingWrites,
    readiness: Readiness,
    join: Option<Join>,
    leaving: Option<Leaving>,
    damaged: BTreeSet<Identity>,
    suspicions: Suspicions,
    alarms: Alarms,
    rounds: Rounds,
    /// Federated: whether it holds values of an earlier life that it has not taken back yet.
    takes_back: bool,
    /// Whether it was logged that this node holds rows outside the cluster that it met.
    told_of_rows: bool,
    // Where a generator stands decides which names come next, and one random name is as good as another.
    #[cfg_attr(feature = "rule-switches", serde(skip))]
    random: StdRng,
    exchanges: u64,
    turn: u64,
    /// The last greeting before this incarnation or this engine began.
    began_at_turn: u64,
    changed: Changed,
    purge_due: std::time::Duration,
    /// Live entries, as the store counts them.
    entries: u64,
    /// Whether the disk accepts writes.
    writable: bool,
}

/// The changes to write before the transaction ends.
#[derive(Debug, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
struct Changed {
    counters: bool,
    cursors: BTreeSet<Incarnation>,
    /// Whether rows or state changed; cursors alone are no reason to write.
    rows: bool,
}

impl Engine {
    /// Loads the engine of a database, as of its last commit.
    ///
    /// # Errors
    /// When storage fails, or the database belongs to a node of another name.
    pub fn load<T: Tables>(
        tables: &mut T,
        setup: Setup,
        now: Now,
    ) -> Result<Self, LoadError<T::Error>> {
        let (incarnation, clock, last) = tables.counters().map_err(LoadError::Storage)?;
        let stored = tables.membership().map_err(LoadError::Storage)?;
        if let Some(stored) = &stored
            && stored.name != setup.name
            && setup.clustered
        {
            return Err(LoadError::OtherName {
                stored: stored.name.clone(),
                given: setup.name.clone(),
            });
        }
        let has_rows = tables.has_rows().map_err(LoadError::Storage)?;
        if let Some(stored) = &stored
            && stored.mode != setup.mode
            && stored.keeps_mode(has_rows)
            && (setup.clustered || stored.mode == Mode::Federated)
        {
            return Err(LoadError::OtherMode {
                stored: stored.mode,
            });
        }
        let mut membership = stored.unwrap_or_else(|| setup.blank_membership());
        membership.mode = setup.mode;
        membership.process_epoch = (setup.process_epoch, last);
        if setup.clustered {
            tables
                .put_membership(&membership)
                .map_err(LoadError::Storage)?;
            tables.clear_staged().map_err(LoadError::Storage)?;
        }
        // An engine that is loaded anew in the same process must not take answers to its predecessor's requests for its own,
        // nor send greetings that look older, nor draw the same random numbers again.
        let begin = u64::try_from(now.elapsed.as_nanos()).unwrap_or(u64::MAX >> 1);
        let mut entropy = setup.entropy;
        for (byte, salt) in entropy.iter_mut().zip(begin.to_be_bytes()) {
            *byte ^= salt;
        }
        let mut engine = Self {
            incarnation,
            clock: HybridClock::resume(clock),
            last,
            last_made: last,
            roster: tables
                .roster()
                .map_err(LoadError::Storage)?
                .without_damage(),
            states: BTreeMap::new(),
            roster_fingerprint: 0,
            lives: BTreeMap::new(),
            cursors: tables
                .cursors()
                .map_err(LoadError::Storage)?
                .into_iter()
                .collect(),
            // A bootstrap or a snapshot may have settled it since the process began.
            read_up: BTreeMap::new(),
            told_by_writers: ToldByWriters::default(),
            salt: match &setup.salt {
                Some(salt) => Some(salt.clone()),
                None => tables.salt().map_err(LoadError::Storage)?,
            },
            has_rows,
            peers: PeerTable::default(),
            waiting: WaitingWrites::default(),
            readiness: Readiness::new(!setup.clustered),
            join: None,
            leaving: None,
            damaged: BTreeSet::new(),
            suspicions: Suspicions::default(),
            alarms: Alarms::default(),
            rounds: Rounds::new(now.elapsed),
            takes_back: false,
            told_of_rows: false,
            random: StdRng::from_seed(entropy),
            exchanges: begin,
            turn: begin,
            began_at_turn: begin,
            settled: BTreeMap::new(),
            changed: Changed::default(),
            purge_due: now.elapsed + crate::cluster::limits::purge::INTERVAL,
            entries: 0,
            writable: true,
            membership,
            setup,
        };
        engine.read_roster();
        engine.resume_suspicions(now);
        engine.resume_leaving(now);
        engine
            .look_for_earlier_values(tables)
            .map_err(LoadError::Storage)?;
        Ok(engine)
    }

    /// Handles one input. Outputs must not be acted on before [`Engine::finish`] and the commit.
    ///
    /// # Errors
    /// When storage fails: then the transaction and this engine are to be dropped.
    pub fn step<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        input: Input,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        match input {
            Input::Write {
                write,
                level,
                reply,
            } => self.write(tables, now, write, level, reply, out),
            Input::WriteAll { writes, level } => self.write_all(tables, now, writes, level, out),
            Input::Request { message, reply } => self.requested(tables, now, message, reply, out),
            Input::Answered {
                from,
                exchange,
                answer,
            } => self.answered(tables, now, &from, exchange, answer, out),
            Input::Order { order, reply } => self.ordered(tables, now, order, reply, out),
            Input::Listed(addresses) => {
                self.peers.list(&addresses);
                Ok(())
            }
            Input::Scanned { id, digest } => {
                self.scanned(now, id, digest);
                Ok(())
            }
            Input::Damaged(identity) => self.check_row(tables, identity, out),
            Input::Tick => self.tick(tables, now, out),
        }
    }

    /// Ends a batch of steps: writes their changes and decides what to send.
    ///
    /// # Errors
    /// As [`Engine::step`].
    pub fn finish<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if self.setup.clustered {
            self.check_readiness(tables, now, out)?;
            self.send_what_is_due(tables, now, out)?;
            self.keep_suspicions(tables)?;
        }
        let Changed {
            counters,
            cursors,
            rows,
        } = std::mem::take(&mut self.changed);
        if counters {
            tables.put_counters(self.clock.high_water(), self.last)?;
        }
        if counters || rows {
            for member in cursors {
                match self.cursors.get(&member) {
                    // Any caller with the cluster key can invent nodes: no row of the table would ever go.
                    Some(_) if !self.is_lasting(member) => {
                        self.changed.cursors.insert(member);
                    }
                    Some(cursor) => tables.put_cursor(member, *cursor)?,
                    None => {}
                }
            }
        } else {
            self.changed.cursors = cursors;
        }
        Ok(())
    }

    /// Whether what this node notes of a node is worth keeping: the roster knows that one.
    fn is_lasting(&self, node: Incarnation) -> bool {
        self.states.contains_key(&node) || !self.setup.rules.hold(Rule::StrangersAreForgotten)
    }

    /// Forgets what it noted of nodes that the roster does not know, and whose greetings it has forgotten.
    fn forget_strangers(&mut self) {
        if !self.setup.rules.hold(Rule::StrangersAreForgotten) {
            return;
        }
        let (states, known) = (&self.states, &self.peers.known);
        let is_known = |node: &Incarnation| states.contains_key(node) || known.contains_key(node);
        self.cursors.retain(|node, _| is_known(node));
        self.changed.cursors.retain(is_known);
        self.read_up.retain(|node, _| is_known(node));
        self.settled.retain(|node, _| is_known(node));
    }

    /// Notes what only the driver can count: live entries, and whether the disk accepts writes.
    pub fn observe(&mut self, entries: u64, writable: bool) {
        self.entries = entries;
        self.writable = writable;
    }

    /// Answers all writes that wait for other nodes, as they are: this engine ends.
    pub fn abandon(&mut self) -> Vec<Output> {
        self.waiting
            .drain()
            .into_iter()
            .map(Output::written)
            .collect()
    }

    /// The database's identity.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The state of this incarnation in the cluster; `None` while it belongs to none.
    fn my_state(&self) -> Option<State> {
        self.states.get(&self.incarnation).copied()
    }

    /// Whether it is a member in good standing: it may write, feed and acknowledge.
    fn is_member(&self) -> bool {
        self.membership.status == LocalStatus::Member
            && matches!(self.my_state(), Some(State::Member | State::Joining))
    }

    fn acknowledges(&self) -> bool {
        let joined = self.my_state() == Some(State::Member)
            || !self.setup.rules.hold(Rule::JoinersDoNotAcknowledge);
        self.is_member() && joined && self.writable && !self.is_suspended()
    }

    /// Other incarnations that count for purges and `all`.
    fn counting(&self) -> impl Iterator<Item = Incarnation> {
        self.states
            .iter()
            .filter(|(incarnation, state)| state.counts() && **incarnation != self.incarnation)
            .map(|(incarnation, _)| *incarnation)
    }

    /// Derives the states of members from the roster.
    fn read_roster(&mut self) {
        self.states = self.roster.states(self.setup.rules);
        for (name, life) in self.roster.current_lives() {
            if self.lives.get(&name).map(|(known, _)| *known) != Some(life) {
                self.lives.insert(name, (life, self.turn));
            }
        }
        self.roster_fingerprint = self.roster.fingerprint();
    }

    fn put_roster<T: Tables>(&mut self, tables: &mut T) -> Result<(), T::Error> {
        self.read_roster();
        self.changed.rows = true;
        tables.put_roster(&self.roster)
    }

    fn put_membership<T: Tables>(&mut self, tables: &mut T) -> Result<(), T::Error> {
        self.changed.rows = true;
        tables.put_membership(&self.membership)
    }
}
