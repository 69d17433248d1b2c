//! The change feed: the changes that members send each other, and how far each has come.

use std::time::Duration;

use super::{Engine, Event, Now, Output, told::Prefix};
use crate::{
    cluster::limits::{
        feed::{RELAY_PAUSE, ROWS},
        heartbeats::HEARTBEAT,
    },
    cluster::{
        ENTRIES_BYTES, FeedRow, Merge, PassedOver, PeerInfo, Request, Rule, Seq, Tables,
        WireIdentity, WireRow, merge, peer_table::Route,
    },
    domain::{Identity, Incarnation, Row, RowHash},
};

/// So many changes fill a message.
const FULL: u64 = ROWS as u64;

/// Changes as they are sent.
pub(super) struct Changes {
    pub(super) to: Seq,
    pub(super) rows: Vec<WireRow>,
    /// Feeds that have the changes that are left out.
    pub(super) passed_over: Vec<PassedOver>,
}

impl Engine {
    /// How far this node holds a member's feed.
    pub(super) fn received_from(&self, hello: &PeerInfo) -> Seq {
        self.cursors
            .get(&hello.incarnation)
            .map_or(Seq::START, |cursor| cursor.received)
    }

    /// Passes over the snapshot with which a member joined, where this node holds all that its source held.
    pub(super) fn pass_over_snapshot(&mut self, hello: &PeerInfo) {
        let Some((source, source_head, last)) = hello.origin else {
            return;
        };
        let held = if source == self.incarnation {
            self.last
        } else {
            self.read_up.get(&source).copied().unwrap_or(Seq::START)
        };
        let covered =
            held >= source_head || !self.setup.rules.hold(Rule::SnapshotsAreFedToThoseBehind);
        if covered && last > self.received_from(hello) {
            self.set_received(hello, last);
            // Stored before it is announced.
            self.changed.counters = true;
        }
    }

    /// The changes that are due to a member now. This node leaves out those of the member itself, and those that their writers told it, as
    /// long as the member finds that it has these.
    pub(super) fn push_due<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &PeerInfo,
        route: &Route,
        out: &mut Vec<Output>,
    ) -> Result<Option<Request>, T::Error> {
        let member = hello.incarnation;
        let Some(held) = self.held_by(member).filter(|held| *held < self.last) else {
            return Ok(None);
        };
        let over = |moment: Option<Duration>, pause: Duration| {
            moment.is_none_or(|moment| now.elapsed.saturating_sub(moment) >= pause)
        };
        let judges = over(route.gap_at, HEARTBEAT) && self.peers.judges_what_it_passes_over(member);
        let prefix = self.what_it_does_not_need(now, member, held, judges);
        let is_made_here = self.last_made > held;
        let is_full = !prefix.waits && self.last.since(prefix.to) >= FULL;
        if !is_made_here && !is_full && !over(route.pushed_at, RELAY_PAUSE) {
            return Ok(None);
        }
        let mut changes = if prefix.waits && !is_made_here {
            Changes {
                to: prefix.to,
                rows: Vec::new(),
                passed_over: Vec::new(),
            }
        } else {
            self.changes_after(tables, now, member, prefix.to, out)?
        };
        changes.passed_over = prefix.elsewhere;
        let Changes {
            to,
            rows,
            passed_over,
        } = changes;
        Ok((to > held).then_some(Request::Push {
            from: held,
            to,
            rows,
            passed_over,
        }))
    }

    /// The first changes after a sequence that a member does not need from this node.
    fn what_it_does_not_need(
        &self,
        now: Now,
        member: Incarnation,
        after: Seq,
        judges: bool,
    ) -> Prefix {
        // Where some changes are held back, each is looked at. What a directory names moves from node to node.
        if self.oldest_to_feed(now).is_some()
            || self.is_federated()
            || !self.setup.rules.hold(Rule::WritersAreToldWhatTheyMayLack)
        {
            return Prefix::empty(after);
        }
        self.told_by_writers
            .prefix(after, member, judges, now.elapsed)
    }

    /// Whether this node holds what a member left out, by its own knowledge of the feeds that have it: it read them to their ends, and
    /// no process of their nodes began in between.
    fn holds(&self, passed_over: &[PassedOver]) -> bool {
        let is_held = |passed: &PassedOver| {
            let cursor = self.cursors.get(&passed.writer);
            cursor.is_some_and(|cursor| cursor.process_epoch == passed.process_epoch)
                && self.read_up.get(&passed.writer) >= Some(&passed.up_to)
        };
        passed_over.iter().all(is_held) || !self.setup.rules.hold(Rule::PassedOverChangesAreJudged)
    }

    /// Changes of this node after a sequence, for a member. The member has the changes that it wrote and reported itself; or
    /// its database went back behind them, and then it is fenced and loads a snapshot.
    pub(super) fn changes_after<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        reader: Incarnation,
        after: Seq,
        out: &mut Vec<Output>,
    ) -> Result<Changes, T::Error> {
        let mut changes = tables.changes(after, ROWS, ENTRIES_BYTES)?;
        let mut to = changes
            .last()
            .map_or(self.last.max(after), |change| change.seq);
        if let Some(oldest) = self.oldest_to_feed(now) {
            let is_held_back =
                |change: &FeedRow| !change.row.is_tombstone() && change.row.version.clock < oldest;
            if let Some(first) = changes.iter().position(is_held_back) {
                changes.truncate(first);
                to = changes.last().map_or(after, |change| change.seq);
            }
        }
        let mut rows = Vec::with_capacity(changes.len());
        for change in changes {
            let has_told = self.told_by_writers.contains(change.seq)
                || !self.setup.rules.hold(Rule::WritersAreToldWhatTheyMayLack);
            if change.row.version.incarnation == reader && has_told {
                continue;
            }
            // A damaged row must neither travel nor stop the ones behind it.
            let is_sound = change.row.version.clock.is_plausible();
            if is_sound && change.row.hash() == change.hash {
                rows.push(WireRow::new(&change.row, change.hash));
            } else {
                self.note_damage(change.row.identity, out);
            }
        }
        Ok(Changes {
            to,
            rows,
            passed_over: Vec::new(),
        })
    }

    /// Applies changes of a member that follow on the held part of its feed; `false` where they would leave a gap.
    pub(super) fn take_changes<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &PeerInfo,
        from: Seq,
        changes: Changes,
        out: &mut Vec<Output>,
    ) -> Result<bool, T::Error> {
        let Changes {
            to,
            rows,
            passed_over,
        } = changes;
        let received = self.received_from(hello);
        if from > received && self.setup.rules.hold(Rule::RefuseGaps) {
            return Ok(false);
        }
        // Behind its mark there is no trace of purged rows: a node that follows it there forgets that it missed some.
        if self.missed_what_it_purged(hello) && self.setup.rules.hold(Rule::GreetingsAreAskedFor) {
            return Ok(false);
        }
        if to <= received {
            // A repeated and perhaps old message: an entry may have been deleted and its tombstone purged since.
            return Ok(true);
        }
        if !self.holds(&passed_over) {
            return Ok(false);
        }
        let Some(rows) = arrived(hello, rows, out) else {
            return Ok(false);
        };
        if !self.may_move_clock(now, hello, &rows, out) {
            return Ok(false);
        }
        let source = PassedOver {
            writer: hello.incarnation,
            process_epoch: hello.process_epoch,
            up_to: to,
        };
        for (row, hash) in rows {
            let before = self.last;
            self.apply(tables, now, &row, hash, out)?;
            if self.last > before && row.version.incarnation == hello.incarnation {
                self.told_by_writers.note(self.last, source, now.elapsed);
            }
        }
        self.set_received(hello, to);
        if to >= hello.head {
            self.read_up.insert(hello.incarnation, to);
            self.hold_what_the_source_held(tables)?;
        }
        // The cursor is stored with the changes, or this node would ask for them again after a crash.
        self.changed.counters = true;
        Ok(true)
    }

    /// Holds the feeds of others as far as the source of this node's snapshot held them at its last page, once this node has read the
    /// source's feed to there. The cursors of the first page are behind what members purged meanwhile.
    pub(super) fn hold_what_the_source_held<T: Tables>(
        &mut self,
        tables: &mut T,
    ) -> Result<(), T::Error> {
        let Some(origin) = self.membership.origin else {
            return Ok(());
        };
        if self.membership.source_received.is_empty()
            || self.read_up.get(&origin.source) < Some(&origin.source_head)
            || !self.setup.rules.hold(Rule::SourcesBringCursors)
        {
            return Ok(());
        }
        for (member, received, process_epoch) in
            std::mem::take(&mut self.membership.source_received)
        {
            if member == self.incarnation {
                continue;
            }
            let cursor = self.cursors.entry(member).or_default();
            if received > cursor.received {
                cursor.received = received;
                cursor.process_epoch = process_epoch;
                self.changed.cursors.insert(member);
            }
        }
        self.changed.counters = true;
        self.put_membership(tables)
    }

    /// Puts entries in the place of damaged ones. An answer may be late: where the entry was mended, and perhaps deleted and
    /// purged since, the answer no longer counts.
    pub(super) fn take_mended<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        rows: Vec<WireRow>,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        for (row, hash) in rows.into_iter().filter_map(WireRow::into_row) {
            if self.damaged.contains(&row.identity) {
                self.apply(tables, now, &row, hash, out)?;
            }
        }
        Ok(())
    }

    pub(super) fn apply<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        row: &Row,
        hash: RowHash,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let stored = tables.row(&row.identity)?;
        let repairs = self.damaged.remove(&row.identity);
        let outcome = merge(stored.as_ref(), row);
        match (outcome, &stored) {
            (Merge::Stale { lost: true }, _) => {
                self.keep_loser(tables, now, row, hash, out)?;
            }
            (Merge::Newer { lost: true }, Some(stored)) => {
                self.keep_loser(tables, now, stored, stored.hash(), out)?;
            }
            _ => {}
        }
        let is_news = matches!(outcome, Merge::Newer { .. });
        let dropped = stored.is_none()
            && row.is_tombstone()
            && !self.setup.rules.hold(Rule::KeepUnknownTombstones);
        let mends = repairs && stored.is_some_and(|stored| stored.version == row.version);
        if (is_news && !dropped) || mends {
            let seq = self.next_seq(&row.identity);
            tables.put_row(row, hash, seq)?;
            self.let_value_go(tables, now, row, out)?;
            self.find_value_again(tables, row)?;
        }
        if self.setup.rules.hold(Rule::MergeClocks) && row.version.clock > self.clock.high_water() {
            self.clock.merge(row.version.clock);
            self.changed.counters = true;
        }
        Ok(())
    }

    /// Keeps the loser of a conflict, where this node has its value.
    fn keep_loser<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        loser: &Row,
        hash: RowHash,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if let Some(kept) = self.with_value(tables, loser)? {
            tables.put_conflict(&kept, hash, now.wall)?;
            self.changed.rows = true;
            out.push(Output::Event(Event::Conflict(loser.identity.clone())));
        }
        Ok(())
    }

    /// Notes how far this node holds a member's feed.
    pub(super) fn set_received(&mut self, hello: &PeerInfo, to: Seq) {
        let cursor = self.cursors.entry(hello.incarnation).or_default();
        cursor.received = cursor.received.max(to);
        cursor.process_epoch = hello.process_epoch;
        self.changed.cursors.insert(hello.incarnation);
    }

    /// Notes how far a member holds this node's feed, and answers the writes that waited for it.
    pub(super) fn acknowledged(&mut self, hello: &PeerInfo, up_to: Seq, out: &mut Vec<Output>) {
        let member = hello.incarnation;
        let waits = self.setup.rules.hold(Rule::PurgeWaitsForWhatIsUnderWay);
        if self.received_from(hello) >= hello.head || !waits {
            let settled = self.settled.entry(member).or_default();
            *settled = (*settled).max(up_to);
        }
        let cursor = self.cursors.entry(member).or_default();
        if up_to > cursor.acknowledged {
            cursor.acknowledged = up_to;
            self.changed.cursors.insert(member);
        }
        if let Some(contact) = self.peers.known.get_mut(&member)
            && contact.missed.is_some_and(|missed| up_to >= missed)
        {
            contact.missed = None;
        }
        out.extend(
            self.waiting
                .acknowledged(member, up_to)
                .into_iter()
                .map(Output::written),
        );
    }

    /// Checks a row that a reader found damaged: it may have been mended since.
    pub(super) fn check_row<T: Tables>(
        &mut self,
        tables: &mut T,
        identity: Identity,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let hash = tables.row_hash(&identity)?;
        let row = tables.row(&identity)?;
        if row.is_some_and(|row| Some(row.hash()) != hash) {
            self.note_damage(identity, out);
        }
        Ok(())
    }

    /// Notes that a row is damaged: logs it once, and asks other members for it.
    fn note_damage(&mut self, identity: Identity, out: &mut Vec<Output>) {
        if self.damaged.insert(identity.clone()) {
            out.push(Output::Event(Event::DamagedRow(identity)));
        }
    }

    /// The request to a member for rows in the place of damaged ones.
    pub(super) fn repair_request(&self) -> Option<Request> {
        let wanted: Vec<_> = self
            .damaged
            .iter()
            .take(ROWS)
            .map(WireIdentity::from)
            .collect();
        (!wanted.is_empty()).then_some(Request::Entries(wanted))
    }

    /// The sound ones among the entries that a member asks for, at least one and then as many as fit.
    pub(super) fn entries<T: Tables>(
        &mut self,
        tables: &mut T,
        wanted: Vec<WireIdentity>,
        out: &mut Vec<Output>,
    ) -> Result<Vec<WireRow>, T::Error> {
        let (mut rows, mut size) = (Vec::new(), 0_usize);
        for identity in wanted
            .into_iter()
            .take(ROWS)
            .filter_map(WireIdentity::into_identity)
        {
            if self.damaged.contains(&identity) {
                continue;
            }
            let Some(row) = tables.row(&identity)? else {
                continue;
            };
            // The asking node repeats its request for the others.
            size = size.saturating_add(WireRow::size_of(&row));
            if size > ENTRIES_BYTES && !rows.is_empty() {
                break;
            }
            // Under a new hash, damage would pass for a written value.
            match tables.row_hash(&identity)? {
                Some(hash) if hash == row.hash() => rows.push(WireRow::new(&row, hash)),
                _ => self.note_damage(identity, out),
            }
        }
        Ok(rows)
    }
}

/// The rows of a message, unless one was damaged on its way: then none counts as held here, and all are sent again.
pub(super) fn arrived(
    sender: &PeerInfo,
    rows: Vec<WireRow>,
    out: &mut Vec<Output>,
) -> Option<Vec<(Row, RowHash)>> {
    let rows: Option<Vec<_>> = rows.into_iter().map(WireRow::into_row).collect();
    if rows.is_none() {
        out.push(Output::Event(Event::DamagedArrival {
            name: sender.name.clone(),
        }));
    }
    rows
}
