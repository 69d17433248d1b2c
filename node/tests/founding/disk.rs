//! A disk in memory: the tables of one node with commit and rollback, and the salt file beside them.

use std::{collections::BTreeMap, convert::Infallible, fmt, rc::Rc};

use opensecureconf_node::{
    cluster::{Cursor, FeedRow, Membership, Roster, Seq, Tables, Takeover},
    crypto::{Salt, SaltDecision, SaltError, SaltPolicy, SaltSources, decide},
    domain::{
        Clock, ConfigKey, Environment, Identity, Incarnation, Row, RowHash, Timestamp, Version,
    },
};

/// Everything that survives a crash.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) incarnation: Incarnation,
    pub(crate) membership: Option<Membership>,
    pub(crate) salt: Option<Salt>,
    pub(crate) salt_file: Option<Salt>,
    clock: Clock,
    last: Seq,
    rows: BTreeMap<Identity, Stored>,
    staged: BTreeMap<Identity, (Row, RowHash)>,
    cursors: BTreeMap<Incarnation, Cursor>,
    roster: Roster,
}

#[derive(Clone)]
struct Stored {
    row: Row,
    hash: RowHash,
    seq: Seq,
}

impl Disk {
    /// An empty disk, formatted under this incarnation.
    pub(crate) fn empty(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            membership: None,
            salt: None,
            salt_file: None,
            clock: Clock::default(),
            last: Seq::START,
            rows: BTreeMap::new(),
            staged: BTreeMap::new(),
            cursors: BTreeMap::new(),
            roster: Roster::default(),
        }
    }

    /// Puts two rows on it: enough for a snapshot of two pages.
    pub(crate) fn with_rows(mut self, salt: &Salt) -> Self {
        for key in ["one", "two"] {
            self.last = self.last.next();
            let row = row(key, self.incarnation, Clock::from_raw(self.last.raw()));
            let (hash, seq) = (row.hash(), self.last);
            self.rows
                .insert(row.identity.clone(), Stored { row, hash, seq });
        }
        self.clock = Clock::from_raw(self.last.raw());
        self.salt = Some(salt.clone());
        self
    }

    pub(crate) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Whether it holds what a cluster was founded with.
    pub(crate) fn is_founded(&self) -> bool {
        self.membership
            .as_ref()
            .is_some_and(|membership| membership.founding.is_some())
    }

    /// Finds the salt as a starting node does, and writes it wherever it is missing.
    pub(crate) fn settle_salt(&mut self, mounted: Option<Salt>) -> Result<Option<Salt>, SaltError> {
        let sources = SaltSources {
            mounted,
            file: self.salt_file.clone(),
            database: self.salt.clone(),
            has_rows: self.has_rows(),
        };
        match decide(&sources, SaltPolicy::Wait)? {
            SaltDecision::Use(salt) => {
                self.salt_file = Some(salt.clone());
                self.salt = Some(salt.clone());
                Ok(Some(salt))
            }
            SaltDecision::Generate | SaltDecision::Wait => Ok(None),
        }
    }
}

/// What tells two disks apart; rows by their versions.
impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            incarnation,
            membership,
            salt,
            salt_file,
            clock,
            last,
            rows,
            staged,
            cursors,
            roster,
        } = self;
        write!(
            f,
            "{incarnation:?}{membership:?}{salt:?}{salt_file:?}{clock:?}{last:?}{cursors:?}{roster:?}"
        )?;
        for stored in rows.values() {
            write!(f, "{:?}{:?}", stored.row.version, stored.seq)?;
        }
        staged
            .keys()
            .try_for_each(|identity| write!(f, "{identity:?}"))
    }
}

fn row(key: &str, incarnation: Incarnation, clock: Clock) -> Row {
    Row {
        identity: Identity {
            environment: Environment::default(),
            key: ConfigKey::new(key.to_owned()).unwrap(),
        },
        category: None,
        token: Some("gAAAA".to_owned()),
        created_at: Timestamp::from_micros(0),
        updated_at: Timestamp::from_micros(0),
        version: Version { clock, incarnation },
        clocks: BTreeMap::from([(incarnation, clock)]),
        extra: None,
    }
}

/// A transaction: what it changes is on the disk once it is committed, and nowhere when it is dropped.
pub(crate) struct Transaction<'d> {
    disk: &'d mut Rc<Disk>,
    changed: Option<Disk>,
}

impl<'d> Transaction<'d> {
    pub(crate) fn begin(disk: &'d mut Rc<Disk>) -> Self {
        Self {
            disk,
            changed: None,
        }
    }

    pub(crate) fn commit(self) {
        if let Some(changed) = self.changed {
            *self.disk = Rc::new(changed);
        }
    }

    fn read(&self) -> &Disk {
        self.changed.as_ref().unwrap_or(self.disk)
    }

    fn write(&mut self) -> &mut Disk {
        self.changed.get_or_insert_with(|| Disk::clone(self.disk))
    }
}

type Never<T> = Result<T, Infallible>;

impl Tables for Transaction<'_> {
    type Error = Infallible;

    fn counters(&mut self) -> Never<(Incarnation, Clock, Seq)> {
        let disk = self.read();
        Ok((disk.incarnation, disk.clock, disk.last))
    }

    fn put_counters(&mut self, clock: Clock, last: Seq) -> Never<()> {
        let disk = self.write();
        (disk.clock, disk.last) = (clock, last);
        Ok(())
    }

    fn row(&mut self, identity: &Identity) -> Never<Option<Row>> {
        Ok(self
            .read()
            .rows
            .get(identity)
            .map(|stored| stored.row.clone()))
    }

    fn put_row(&mut self, row: &Row, hash: RowHash, seq: Seq) -> Never<()> {
        let stored = Stored {
            row: row.clone(),
            hash,
            seq,
        };
        self.write().rows.insert(row.identity.clone(), stored);
        Ok(())
    }

    fn purge(&mut self, identity: &Identity) -> Never<()> {
        self.write().rows.remove(identity);
        Ok(())
    }

    fn has_rows(&mut self) -> Never<bool> {
        Ok(self.read().has_rows())
    }

    fn changes(&mut self, after: Seq, most: usize, _: usize) -> Never<Vec<FeedRow>> {
        let mut rows: Vec<_> = self
            .read()
            .rows
            .values()
            .filter(|row| row.seq > after)
            .map(Stored::fed)
            .collect();
        rows.sort_by_key(|row| row.seq);
        rows.truncate(most);
        Ok(rows)
    }

    /// One row a page, so that a snapshot can break off in its middle.
    fn page(&mut self, after: Option<&Identity>, _: usize, _: usize) -> Never<Vec<FeedRow>> {
        let mut rows = self.read().rows.iter();
        let next = rows.find(|(identity, _)| after.is_none_or(|after| *identity > after));
        Ok(next.map(|(_, stored)| stored.fed()).into_iter().collect())
    }

    fn tombstones(&mut self, _: Seq, _: Timestamp, _: usize) -> Never<Vec<(Seq, Identity)>> {
        Ok(Vec::new())
    }

    fn put_conflict(&mut self, _: &Row, _: RowHash, _: Timestamp) -> Never<()> {
        Ok(())
    }

    fn cursors(&mut self) -> Never<Vec<(Incarnation, Cursor)>> {
        Ok(self
            .read()
            .cursors
            .iter()
            .map(|(member, cursor)| (*member, *cursor))
            .collect())
    }

    fn put_cursor(&mut self, member: Incarnation, cursor: Cursor) -> Never<()> {
        self.write().cursors.insert(member, cursor);
        Ok(())
    }

    fn roster(&mut self) -> Never<Roster> {
        Ok(self.read().roster.clone())
    }

    fn put_roster(&mut self, roster: &Roster) -> Never<()> {
        self.write().roster = roster.clone();
        Ok(())
    }

    fn membership(&mut self) -> Never<Option<Membership>> {
        Ok(self.read().membership.clone())
    }

    fn put_membership(&mut self, membership: &Membership) -> Never<()> {
        self.write().membership = Some(membership.clone());
        Ok(())
    }

    fn salt(&mut self) -> Never<Option<Salt>> {
        Ok(self.read().salt.clone())
    }

    fn put_salt(&mut self, salt: &Salt) -> Never<()> {
        self.write().salt = Some(salt.clone());
        Ok(())
    }

    fn clear_staged(&mut self) -> Never<()> {
        if !self.read().staged.is_empty() {
            self.write().staged.clear();
        }
        Ok(())
    }

    fn stage(&mut self, rows: &[(Row, RowHash)]) -> Never<()> {
        let staged = rows
            .iter()
            .map(|staged| (staged.0.identity.clone(), staged.clone()));
        self.write().staged.extend(staged);
        Ok(())
    }

    fn take_over(&mut self, takeover: Takeover) -> Never<Seq> {
        let disk = self.write();
        let mut last = takeover.last;
        disk.rows = std::mem::take(&mut disk.staged)
            .into_iter()
            .map(|(identity, (row, hash))| {
                last = last.next();
                (
                    identity,
                    Stored {
                        row,
                        hash,
                        seq: last,
                    },
                )
            })
            .collect();
        disk.incarnation = takeover.incarnation;
        disk.cursors.clear();
        Ok(last)
    }
}

impl Stored {
    fn fed(&self) -> FeedRow {
        FeedRow {
            seq: self.seq,
            row: self.row.clone(),
            hash: self.hash,
        }
    }
}
