//! Rounds of digests: members compare their live rows that are older than ten minutes, and a member that lacks rows gets them.
//! The feeds bring all rows already; rounds find those that a fault removed silently.
//!
//! All members compute the same [`Cutoff`] from the slowest of their wall clocks, and a row's age follows from its stamp, so
//! each counts the same rows. Each scans its table off the writer thread, once a round, and asks the others for their digests.
//! Buckets that differ twice in a row are listed row by row in the second round.
//!
//! Why repairing is safe:
//! - **Nothing is lost.** A repair is a row of another member with its own stamp; it goes through the ordinary merge, which
//!   lets no older row win, and a member asks for it only where its own row is older or absent.
//! - **Nothing in flight is repaired.** The list comes with the place in the member's feed at which it was true. Only once
//!   this node has read the feed that far does a row that it lacks count as missing, and not as on its way.
//! - **Nothing that was deleted comes back.** A tombstone is in the list, and wins. Before a tombstone was purged, every member
//!   had acknowledged it, or was fenced by the purge mark: only a member whose table a fault set back can have a live row that
//!   is older. So a row that this node lacks, and that is not later than all its purges, may be a deleted one. This node accepts
//!   it only where two other members hold this very version: one fault sets back one member. Otherwise both tables stay as they
//!   are, and the log asks a person to decide.
//! - **Only members in good standing compare**: joining, leaving and fenced nodes neither ask nor answer. A node that loads a
//!   snapshot forgets its earlier comparisons.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Engine, Event, ExchangeId, Now, Output, feed::arrived};
use crate::{
    cluster::limits::digests::{LOOKED_UP, PAUSE, REPAIR_PAUSE, ROWS, TIMEOUT},
    cluster::{
        Answer, Cutoff, Digest, Merge, PeerInfo, Request, Rule, Scan, Seq, State, Tables,
        WireDigest, WireIdentity, WireRow,
        digest::{Bucket, bucket_of, choose},
        merge,
        peer_table::{Exchange, Route},
    },
    domain::{Identity, Incarnation, Stamp, Timestamp},
};

/// The present state of the rounds.
#[derive(Debug)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct Rounds {
    mine: Option<Digest>,
    scanning: Option<ExchangeId>,
    scan_due: Duration,
    members: BTreeMap<Incarnation, Comparison>,
    /// Rows of which the log says already that only one member has them.
    told: BTreeSet<Identity>,
}

/// How this node's table and a member's compare.
#[derive(Debug)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
struct Comparison {
    cutoff: Cutoff,
    root: u64,
    /// The buckets that differed.
    differing: BTreeSet<Bucket>,
    /// How many of them had differed in the round before, too.
    again: usize,
    /// The place in the member's feed up to which this node must hold it before rows count as missing.
    head: Seq,
    /// The place in this node's feed up to which the member must hold it before it counts as lacking rows.
    my_head: Seq,
    /// The rows that this node lacks.
    wanted: Vec<Missing>,
    asked: BTreeSet<Identity>,
}

/// A row that another member has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
struct Missing {
    identity: Identity,
    stamp: Stamp,
    /// Whether this node has neither a row nor a tombstone there.
    absent: bool,
}

/// A digest for people to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestView {
    /// Rows written before this were counted.
    pub before: Timestamp,
    /// One number for all rows.
    pub root: u64,
    /// Parts of the table in which the member differed from this node in two rounds in a row.
    pub mismatches: usize,
}

impl Rounds {
    pub(super) fn new(elapsed: Duration) -> Self {
        Self {
            mine: None,
            scanning: None,
            scan_due: elapsed + TIMEOUT,
            members: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    /// Forgets all comparisons, which no longer hold.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.scan_due);
    }

    /// This node's digest.
    pub(super) fn mine(&self) -> Option<DigestView> {
        self.mine.as_ref().map(|mine| DigestView {
            before: mine.scan.cutoff.clock().time(),
            root: mine.root(),
            mismatches: 0,
        })
    }

    /// A member's digest in the last comparison.
    pub(super) fn of(&self, member: Incarnation) -> Option<DigestView> {
        let comparison = self.members.get(&member)?;
        Some(DigestView {
            before: comparison.cutoff.clock().time(),
            root: comparison.root,
            mismatches: comparison.again,
        })
    }
}

impl Engine {
    /// Asks for a scan of the table where a new round is due.
    pub(super) fn begin_round(&mut self, now: Now, out: &mut Vec<Output>) {
        if !self.is_ready()
            || self.rounds.scanning.is_some()
            || now.elapsed < self.rounds.scan_due
            || self.counting().next().is_none()
            || !self.setup.rules.hold(Rule::DigestsAreCompared)
        {
            return;
        }
        let cutoff = Cutoff::at(self.slowest_wall(now));
        let last = self.rounds.mine.as_ref().map(|mine| mine.scan.cutoff);
        if last.is_some_and(|last| !cutoff.follows(last)) {
            return;
        }
        let states = &self.states;
        self.rounds
            .members
            .retain(|member, _| states.get(member) == Some(&State::Member));
        let differing = self
            .rounds
            .members
            .values()
            .flat_map(|comparison| comparison.differing.iter().copied())
            .collect();
        self.exchanges += 1;
        let id = ExchangeId(self.exchanges);
        self.rounds.scanning = Some(id);
        out.push(Output::Scan(Scan {
            id,
            cutoff,
            listed: choose(&differing, cutoff),
        }));
    }

    /// The slowest wall clock of the comparing members: a row that is old by it is old by every other.
    fn slowest_wall(&self, now: Now) -> Timestamp {
        let offset = self
            .peers
            .known
            .iter()
            .filter(|(member, contact)| {
                self.states.get(member) == Some(&State::Member) && contact.is_alive(now.elapsed)
            })
            .map(|(_, contact)| contact.offset_micros)
            .min();
        Timestamp::from_micros(
            now.wall
                .as_micros()
                .saturating_add(offset.unwrap_or(0).min(0)),
        )
    }

    /// Handles the result of a scan; `None` when it failed.
    pub(super) fn scanned(&mut self, now: Now, id: ExchangeId, digest: Option<Box<Digest>>) {
        if self.rounds.scanning != Some(id) {
            // An earlier engine asked for this scan.
            return;
        }
        self.rounds.scanning = None;
        match digest {
            Some(digest) => self.rounds.mine = Some(*digest),
            None => self.rounds.scan_due = now.elapsed + TIMEOUT,
        }
    }

    /// The request to a member in this round.
    pub(super) fn digest_request(
        &mut self,
        now: Now,
        hello: &PeerInfo,
        route: &Route,
    ) -> Option<(Exchange, Request)> {
        let member = hello.incarnation;
        let fits = self.is_ready()
            && hello.ready
            && hello.protocol.has_digests()
            && self.states.get(&member) == Some(&State::Member);
        let mine = self.rounds.mine.as_ref().filter(|_| fits)?;
        let since = route
            .digest_asked_at
            .map_or(Duration::MAX, |moment| now.elapsed.saturating_sub(moment));
        let compared = self.rounds.members.get(&member);
        if let Some(compared) = compared
            && self.writable
            && (self.received_from(hello) >= compared.head
                || !self.setup.rules.hold(Rule::RepairsWaitForTheFeed))
            && since >= REPAIR_PAUSE
        {
            let wanted = compared.wanted.iter();
            let wanted: Vec<_> = wanted
                .filter(|missing| self.may_take(member, missing))
                .take(ROWS)
                .map(|missing| missing.identity.clone())
                .collect();
            if !wanted.is_empty() {
                let request = Request::Entries(wanted.iter().map(WireIdentity::from).collect());
                if let Some(compared) = self.rounds.members.get_mut(&member) {
                    compared.asked = wanted.into_iter().collect();
                }
                return Some((Exchange::DigestRepair, request));
            }
        }
        let cutoff = mine.scan.cutoff;
        let is_new = compared.is_none_or(|compared| compared.cutoff != cutoff);
        (is_new && since >= PAUSE).then(|| {
            let root = mine.root();
            (
                Exchange::Digest { cutoff },
                Request::Digest { cutoff, root },
            )
        })
    }

    /// Whether this row of a member is certainly not a deleted one that only that member still has.
    fn may_take(&self, from: Incarnation, missing: &Missing) -> bool {
        let is_later = missing.stamp.version.clock > self.membership.purged_clock;
        let is_confirmed = || {
            let mut others = self.rounds.members.iter();
            others.any(|(who, other)| *who != from && other.wanted.contains(missing))
        };
        !missing.absent
            || is_later
            || is_confirmed()
            || !self.setup.rules.hold(Rule::OneMemberBringsNothingBack)
    }

    /// Shows a member this node's digest.
    pub(super) fn show_digest(&self, cutoff: Cutoff, root: u64) -> Answer {
        let mine = self.rounds.mine.as_ref();
        match mine.filter(|mine| mine.scan.cutoff == cutoff && self.is_ready()) {
            None => Answer::Noted,
            Some(mine) if mine.root() == root => Answer::SameDigest,
            Some(mine) => Answer::Digest(mine.to_wire()),
        }
    }

    /// A member holds the same as this node.
    pub(super) fn is_the_same(&mut self, hello: &PeerInfo, cutoff: Cutoff) {
        if let Some(mine) = &self.rounds.mine
            && mine.scan.cutoff == cutoff
        {
            let comparison = Comparison {
                cutoff,
                root: mine.root(),
                differing: BTreeSet::new(),
                again: 0,
                head: Seq::START,
                my_head: Seq::START,
                wanted: Vec::new(),
                asked: BTreeSet::new(),
            };
            self.rounds.members.insert(hello.incarnation, comparison);
        }
    }

    /// Compares with a member whose digest differs: finds the rows that this node lacks.
    pub(super) fn compare<T: Tables>(
        &mut self,
        tables: &mut T,
        hello: &PeerInfo,
        cutoff: Cutoff,
        theirs: WireDigest,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let mine = self.rounds.mine.as_ref();
        let (Some(mine), Some(theirs)) = (
            mine.filter(|mine| mine.scan.cutoff == cutoff),
            theirs.into_digest(),
        ) else {
            return Ok(());
        };
        let differing = mine.differing(&theirs.buckets);
        let before = self.rounds.members.get(&hello.incarnation);
        let before = before.filter(|before| before.cutoff != cutoff);
        let again: BTreeSet<_> = before
            .map(|before| before.differing.intersection(&differing).copied())
            .into_iter()
            .flatten()
            .collect();
        // Rows of a round ago must have arrived by now, on both sides; otherwise they are only late.
        let is_settled = before.is_some_and(|before| {
            self.received_from(hello) >= before.head
                && self.held_by(hello.incarnation) >= Some(before.my_head)
        });
        let candidates = theirs.entries.into_iter().filter(|(identity, entry)| {
            let bucket = bucket_of(identity);
            let is_held = mine
                .entries
                .get(identity)
                .is_some_and(|held| held.stamp >= entry.stamp);
            again.contains(&bucket) && mine.scan.listed.contains(&bucket) && !is_held
        });
        let mut wanted = Vec::new();
        for (identity, entry) in candidates.take(LOOKED_UP) {
            let stored = tables.row(&identity)?;
            let is_missing = match &stored {
                Some(row) => row.stamp() < entry.stamp && (entry.live || !row.is_tombstone()),
                // A tombstone for an absent row: this node has purged it.
                None => entry.live,
            };
            if is_missing {
                wanted.push(Missing {
                    identity,
                    stamp: entry.stamp,
                    absent: stored.is_none(),
                });
            }
        }
        let left_over: Vec<_> = before
            .map(|before| before.wanted.iter())
            .into_iter()
            .flatten()
            .filter(|missing| {
                wanted.contains(missing) && !self.may_take(hello.incarnation, missing)
            })
            .map(|missing| missing.identity.clone())
            .collect();
        for identity in left_over {
            if self.rounds.told.insert(identity.clone()) {
                let name = hello.name.clone();
                out.push(Output::Event(Event::HeldByOneOnly { identity, name }));
            }
        }
        let comparison = Comparison {
            cutoff,
            root: theirs.root,
            differing,
            again: if is_settled || !self.setup.rules.hold(Rule::MismatchesWaitForTheFeed) {
                again.len()
            } else {
                0
            },
            head: theirs.head,
            my_head: mine.head,
            wanted,
            asked: BTreeSet::new(),
        };
        self.rounds.members.insert(hello.incarnation, comparison);
        Ok(())
    }

    /// Applies the rows that this node had asked a member for.
    pub(super) fn take_repairs<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &PeerInfo,
        rows: Vec<WireRow>,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let Some(compared) = self.rounds.members.get_mut(&hello.incarnation) else {
            return Ok(());
        };
        let asked = std::mem::take(&mut compared.asked);
        let rows = arrived(hello, rows, out).unwrap_or_default();
        let came: BTreeSet<_> = rows.iter().map(|(row, _)| row.identity.clone()).collect();
        // Rows that did not fit into the answer are asked for again; an empty answer means that the member has none.
        let is_answered = |identity: &Identity| came.is_empty() || came.contains(identity);
        let (wanted, rest) =
            std::mem::take(&mut compared.wanted)
                .into_iter()
                .partition(|missing: &Missing| {
                    asked.contains(&missing.identity) && is_answered(&missing.identity)
                });
        compared.wanted = rest;
        let wanted: BTreeMap<_, _> = wanted
            .into_iter()
            .map(|missing: Missing| (missing.identity, missing.stamp))
            .collect();
        for (row, hash) in rows {
            // A later version comes with the feed.
            let is_the_one = wanted
                .get(&row.identity)
                .is_some_and(|stamp| (stamp.version, stamp.hash) == (row.version, hash));
            let stored = tables.row(&row.identity)?;
            if is_the_one && matches!(merge(stored.as_ref(), &row), Merge::Newer { .. }) {
                self.apply(tables, now, &row, hash, out)?;
                out.push(Output::Event(Event::DigestRepaired {
                    identity: row.identity,
                    name: hello.name.clone(),
                }));
            }
        }
        Ok(())
    }
}
