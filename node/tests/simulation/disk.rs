//! A disk in memory: the durable content, and a working copy that a commit makes durable and a crash discards.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use opensecureconf_node::{
    cluster::{
        Cursor, Digest, FeedRow, LocalStatus, Membership, Roster, Scan, Seq, State, Tables,
        Takeover, WireSalt,
    },
    crypto::Salt,
    domain::{Clock, Content, Identity, Incarnation, Row, RowHash, Seal, Timestamp, Version},
};

/// Everything that a database holds.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Contents {
    pub(crate) incarnation: Incarnation,
    pub(crate) clock: Clock,
    pub(crate) last: Seq,
    pub(crate) rows: BTreeMap<Identity, FeedRow>,
    feed: BTreeMap<Seq, Identity>,
    pub(crate) conflicts: Vec<Row>,
    pub(crate) cursors: BTreeMap<Incarnation, Cursor>,
    pub(crate) roster: Roster,
    pub(crate) membership: Option<Membership>,
    #[serde(serialize_with = "WireSalt::serialize_found")]
    pub(crate) salt: Option<Salt>,
    pub(crate) staged: BTreeMap<Identity, (Row, RowHash)>,
    /// The values that this database owns, where its rows are a directory.
    pub(crate) values: BTreeMap<Identity, (Version, String)>,
    /// The seals of those values.
    seals: BTreeMap<Identity, Seal>,
}

impl Contents {
    /// A fresh database.
    pub(crate) fn empty(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            clock: Clock::default(),
            last: Seq::START,
            rows: BTreeMap::new(),
            feed: BTreeMap::new(),
            conflicts: Vec::new(),
            cursors: BTreeMap::new(),
            roster: Roster::default(),
            membership: None,
            salt: None,
            staged: BTreeMap::new(),
            values: BTreeMap::new(),
            seals: BTreeMap::new(),
        }
    }

    /// The state of this database in its cluster, by its own roster; `None` while blank or fenced.
    pub(crate) fn state(&self, rules: opensecureconf_node::cluster::Rules) -> Option<State> {
        let membership = self.membership.as_ref()?;
        if membership.status != LocalStatus::Member {
            return None;
        }
        self.roster.states(rules).get(&self.incarnation).copied()
    }

    /// The version of an entry that stands here, live or deleted.
    pub(crate) fn version(&self, identity: &Identity) -> Option<Version> {
        self.rows.get(identity).map(|row| row.row.version)
    }

    /// The digest of a scan over the rows.
    pub(crate) fn digest(&self, scan: Scan) -> Digest {
        let mut digest = Digest::new(scan, self.last);
        for row in self.rows.values() {
            let identity = &row.row.identity;
            let name = (identity.environment.as_str(), identity.key.as_str());
            digest.add(name, row.row.version, row.hash, !row.row.is_tombstone());
        }
        digest
    }

    /// Loses a row as a disk fault does, which no node notices.
    pub(crate) fn lose(&mut self, identity: &Identity) {
        if let Some(lost) = self.rows.remove(identity) {
            self.feed.remove(&lost.seq);
        }
    }

    /// Restores an older version of a row as a disk fault does: in its place, or where another row was.
    pub(crate) fn set_back(&mut self, older: &Row) {
        let seq = self
            .rows
            .get(&older.identity)
            .map_or(Seq::from_raw(1), |row| row.seq);
        self.put(older, older.hash(), seq);
    }

    /// How many rows of a snapshot are there that is not complete.
    pub(crate) fn staged_rows(&self) -> usize {
        self.staged.len()
    }

    /// Writes a row by hand, as the next change.
    pub(crate) fn add(&mut self, row: &Row) {
        self.last = self.last.next();
        self.clock = self.clock.max(row.version.clock);
        self.put(row, row.hash(), self.last);
    }

    fn put(&mut self, row: &Row, hash: RowHash, seq: Seq) {
        let feed_row = FeedRow {
            seq,
            row: row.clone(),
            hash,
        };
        if let Some(old) = self.rows.insert(row.identity.clone(), feed_row) {
            self.feed.remove(&old.seq);
        }
        self.feed.insert(seq, row.identity.clone());
    }
}

/// The effect of a transaction on the rows.
#[derive(Debug, Clone)]
pub(crate) enum Trace {
    /// A row was written over another one.
    Put {
        identity: Identity,
        seq: Seq,
        replaced: Option<Version>,
        version: Version,
        deleted: bool,
    },
    /// A tombstone was forgotten.
    Purged(Identity, Version),
    /// A snapshot took the place of all rows.
    TakenOver,
    /// Federated: a value of an earlier life becomes the value of this row.
    TakenBack {
        held: Version,
        token: String,
        stood: Option<Row>,
    },
    /// Federated: a value was given up.
    ValueDropped {
        identity: Identity,
        held: Version,
        token: String,
    },
    /// Federated: another value was put in the place of this one.
    ValueReplaced { identity: Identity, token: String },
}

/// How a disk is going to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A write inside the transaction fails.
    Write,
    /// The commit fails, and the disk keeps none of its changes.
    Commit,
    /// The commit reports a failure, but is durable.
    AfterCommit,
}

/// Storage failed.
#[derive(Debug)]
pub(crate) struct Failed;

/// The disk of one node.
#[derive(Debug)]
pub(crate) struct Disk {
    durable: Arc<Contents>,
    working: Option<Contents>,
    traces: Vec<Trace>,
    /// The next failure.
    pub(crate) failure: Option<Failure>,
    /// The most rows in one answer, whatever the engine asks for, so that few rows make many pages.
    pub(crate) page: usize,
}

impl Disk {
    /// An empty disk with a fresh database.
    pub(crate) fn new(incarnation: Incarnation, page: usize) -> Self {
        Self::holding(Arc::new(Contents::empty(incarnation)), page)
    }

    /// A disk with this content.
    pub(crate) fn holding(durable: Arc<Contents>, page: usize) -> Self {
        Self {
            durable,
            working: None,
            traces: Vec::new(),
            failure: None,
            page,
        }
    }

    /// The durable content.
    pub(crate) fn durable(&self) -> &Arc<Contents> {
        &self.durable
    }

    /// Puts an earlier state, or another volume, in place.
    pub(crate) fn replace(&mut self, contents: Arc<Contents>) {
        *self = Self::holding(contents, self.page);
    }

    /// Edits the durable content directly.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Contents)) {
        edit(Arc::make_mut(&mut self.durable));
    }

    /// Whether the transaction changed anything.
    pub(crate) fn is_dirty(&self) -> bool {
        self.working.is_some()
    }

    /// Makes the transaction durable; gives its effects on the rows.
    pub(crate) fn commit(&mut self) -> Result<Vec<Trace>, Failed> {
        if self.is_dirty() && self.failure == Some(Failure::Commit) {
            self.failure = None;
            return Err(Failed);
        }
        if let Some(working) = self.working.take() {
            self.durable = Arc::new(working);
        }
        Ok(std::mem::take(&mut self.traces))
    }

    /// Drops the transaction.
    pub(crate) fn roll_back(&mut self) {
        self.working = None;
        self.traces.clear();
    }

    fn read(&self) -> &Contents {
        self.working.as_ref().unwrap_or(&self.durable)
    }

    fn write(&mut self) -> Result<&mut Contents, Failed> {
        if self.failure == Some(Failure::Write) {
            self.failure = None;
            return Err(Failed);
        }
        Ok(self
            .working
            .get_or_insert_with(|| Contents::clone(&self.durable)))
    }

    /// One row at least, then as many as fit.
    fn fitting<'r>(
        &self,
        rows: impl Iterator<Item = &'r FeedRow>,
        most: usize,
        bytes: usize,
    ) -> Vec<FeedRow> {
        let mut size = 0;
        rows.take(most.min(self.page).max(1))
            .enumerate()
            .take_while(|(index, row)| {
                size += row
                    .row
                    .content
                    .as_ref()
                    .map_or(64, |content| content.as_str().len());
                *index == 0 || size <= bytes
            })
            .map(|(_, row)| row.clone())
            .collect()
    }
}

impl Tables for Disk {
    type Error = Failed;

    fn counters(&mut self) -> Result<(Incarnation, Clock, Seq), Failed> {
        let contents = self.read();
        Ok((contents.incarnation, contents.clock, contents.last))
    }

    fn put_counters(&mut self, clock: Clock, last: Seq) -> Result<(), Failed> {
        let contents = self.write()?;
        (contents.clock, contents.last) = (clock, last);
        Ok(())
    }

    fn row(&mut self, identity: &Identity) -> Result<Option<Row>, Failed> {
        Ok(self.read().rows.get(identity).map(|row| row.row.clone()))
    }

    fn row_hash(&mut self, identity: &Identity) -> Result<Option<RowHash>, Failed> {
        Ok(self.read().rows.get(identity).map(|row| row.hash))
    }

    fn put_row(&mut self, row: &Row, hash: RowHash, seq: Seq) -> Result<(), Failed> {
        let replaced = self.read().version(&row.identity);
        self.write()?.put(row, hash, seq);
        self.traces.push(Trace::Put {
            identity: row.identity.clone(),
            seq,
            replaced,
            version: row.version,
            deleted: row.is_tombstone(),
        });
        Ok(())
    }

    fn value(&mut self, identity: &Identity) -> Result<Option<(Version, String)>, Failed> {
        Ok(self.read().values.get(identity).cloned())
    }

    fn value_seal(&mut self, identity: &Identity) -> Result<Option<Seal>, Failed> {
        Ok(self.read().seals.get(identity).copied())
    }

    fn put_value(
        &mut self,
        identity: &Identity,
        version: Version,
        token: &str,
        seal: Option<Seal>,
    ) -> Result<(), Failed> {
        let value = (version, token.to_owned());
        let stood = self.row(identity)?;
        let contents = self.write()?;
        match seal {
            Some(seal) => contents.seals.insert(identity.clone(), seal),
            None => contents.seals.remove(identity),
        };
        let before = contents.values.insert(identity.clone(), value);
        match before {
            Some((_, before)) if before != token => self.traces.push(Trace::ValueReplaced {
                identity: identity.clone(),
                token: before,
            }),
            Some((held, before)) if held.incarnation != version.incarnation => {
                self.traces.push(Trace::TakenBack {
                    held,
                    token: before,
                    stood,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn drop_value(&mut self, identity: &Identity) -> Result<(), Failed> {
        let contents = self.write()?;
        contents.seals.remove(identity);
        if let Some((held, token)) = contents.values.remove(identity) {
            self.traces.push(Trace::ValueDropped {
                identity: identity.clone(),
                held,
                token,
            });
        }
        Ok(())
    }

    fn earlier_values(&mut self, than: Incarnation, most: usize) -> Result<Vec<Identity>, Failed> {
        let values = self.read().values.iter();
        Ok(values
            .filter(|(_, (version, _))| version.incarnation != than)
            .map(|(identity, _)| identity.clone())
            .take(most)
            .collect())
    }

    fn has_values(&mut self) -> Result<bool, Failed> {
        Ok(!self.read().values.is_empty())
    }

    fn purge(&mut self, identity: &Identity) -> Result<(), Failed> {
        let is_deleted = |row: &FeedRow| row.row.is_tombstone();
        let contents = self.write()?;
        if contents.rows.get(identity).is_some_and(is_deleted)
            && let Some(old) = contents.rows.remove(identity)
        {
            contents.feed.remove(&old.seq);
            self.traces
                .push(Trace::Purged(identity.clone(), old.row.version));
        }
        Ok(())
    }

    fn has_rows(&mut self) -> Result<bool, Failed> {
        Ok(!self.read().rows.is_empty())
    }

    fn changes(&mut self, after: Seq, most: usize, bytes: usize) -> Result<Vec<FeedRow>, Failed> {
        let contents = self.read();
        let rows = contents
            .feed
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter_map(|(_, identity)| contents.rows.get(identity));
        Ok(self.fitting(rows, most, bytes))
    }

    fn page(
        &mut self,
        after: Option<&Identity>,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<FeedRow>, Failed> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.read().rows.range((begin, Bound::Unbounded));
        Ok(self.fitting(rows.map(|(_, row)| row), most, bytes))
    }

    fn tombstones(
        &mut self,
        up_to: Seq,
        before: Timestamp,
        most: usize,
    ) -> Result<Vec<(Seq, Identity)>, Failed> {
        let contents = self.read();
        Ok(contents
            .feed
            .range(..=up_to)
            .filter(|(_, identity)| {
                contents
                    .rows
                    .get(*identity)
                    .is_some_and(|row| row.row.is_tombstone() && row.row.updated_at < before)
            })
            .take(most)
            .map(|(seq, identity)| (*seq, identity.clone()))
            .collect())
    }

    fn take_conflict(&mut self, named: &Row) -> Result<Option<String>, Failed> {
        let is_it = |row: &Row| {
            let token = row.content.as_ref().and_then(Content::token);
            row.identity == named.identity
                && token
                    .is_some_and(|token| named.content.as_ref().is_some_and(|it| it.is_of(token)))
        };
        let Some(place) = self.read().conflicts.iter().position(is_it) else {
            return Ok(None);
        };
        let taken = self.write()?.conflicts.remove(place);
        Ok(taken
            .content
            .as_ref()
            .and_then(Content::token)
            .map(str::to_owned))
    }

    fn put_conflict(&mut self, row: &Row, _: RowHash, _: Timestamp) -> Result<(), Failed> {
        let contents = self.write()?;
        if !contents.conflicts.contains(row) {
            contents.conflicts.push(row.clone());
        }
        Ok(())
    }

    fn cursors(&mut self) -> Result<Vec<(Incarnation, Cursor)>, Failed> {
        let cursors = &self.read().cursors;
        Ok(cursors
            .iter()
            .map(|(who, cursor)| (*who, *cursor))
            .collect())
    }

    fn put_cursor(&mut self, member: Incarnation, cursor: Cursor) -> Result<(), Failed> {
        self.write()?.cursors.insert(member, cursor);
        Ok(())
    }

    fn roster(&mut self) -> Result<Roster, Failed> {
        Ok(self.read().roster.clone())
    }

    fn put_roster(&mut self, roster: &Roster) -> Result<(), Failed> {
        self.write()?.roster = roster.clone();
        Ok(())
    }

    fn membership(&mut self) -> Result<Option<Membership>, Failed> {
        Ok(self.read().membership.clone())
    }

    fn put_membership(&mut self, membership: &Membership) -> Result<(), Failed> {
        self.write()?.membership = Some(membership.clone());
        Ok(())
    }

    fn salt(&mut self) -> Result<Option<Salt>, Failed> {
        Ok(self.read().salt.clone())
    }

    fn put_salt(&mut self, salt: &Salt) -> Result<(), Failed> {
        self.write()?.salt = Some(salt.clone());
        Ok(())
    }

    fn clear_staged(&mut self) -> Result<(), Failed> {
        if !self.read().staged.is_empty() {
            self.write()?.staged.clear();
        }
        Ok(())
    }

    fn stage(&mut self, rows: &[(Row, RowHash)]) -> Result<(), Failed> {
        let rows = rows.iter().cloned();
        self.write()?
            .staged
            .extend(rows.map(|(row, hash)| (row.identity.clone(), (row, hash))));
        Ok(())
    }

    fn take_over(&mut self, takeover: Takeover) -> Result<Seq, Failed> {
        let contents = self.write()?;
        let mut rows = std::mem::take(&mut contents.staged);
        let old = std::mem::take(&mut contents.rows);
        contents.feed.clear();
        contents.cursors.clear();
        contents.incarnation = takeover.incarnation;
        for (identity, FeedRow { mut row, hash, .. }) in old {
            let newer = rows
                .get(&identity)
                .is_none_or(|(new, _)| row.stamp() > new.stamp());
            if row.is_tombstone() || !newer {
                continue;
            }
            if let Some(Content::Fingerprint(_)) = row.content {
                let taken_back = rows.get(&identity).is_some_and(|(new, _)| {
                    let is_its = new.version.incarnation == row.version.incarnation;
                    !new.is_tombstone() && (is_its || new.content == row.content)
                });
                let held = contents.values.get(&identity);
                match held.filter(|(version, _)| *version == row.version && !taken_back) {
                    Some((_, token)) => row.content = Some(Content::Token(token.clone())),
                    None => continue,
                }
                contents.conflicts.push(row);
                continue;
            }
            if takeover.reissue {
                row.version.clock = Clock::at(takeover.seen_at).max(row.version.clock.next());
                row.version.incarnation = takeover.incarnation;
                let hash = row.hash();
                rows.insert(identity, (row, hash));
            } else {
                debug_assert_eq!(row.hash(), hash);
                contents.conflicts.push(row);
            }
        }
        contents.last = takeover.last;
        for (row, hash) in rows.values() {
            contents.last = contents.last.next();
            contents.put(row, *hash, contents.last);
        }
        let last = contents.last;
        self.traces.push(Trace::TakenOver);
        Ok(last)
    }
}
