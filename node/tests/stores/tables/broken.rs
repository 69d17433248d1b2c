//! Tables that lose one kind of write, so that a case which misses that is found.

use opensecureconf_node::{
    cluster::{Cursor, FeedRow, Membership, Roster, Seq, Tables, Takeover},
    crypto::Salt,
    domain::{Clock, Identity, Incarnation, Row, RowHash, Seal, Timestamp, Version},
};

use super::{
    End, Subject,
    simulated::{Disk, Failed},
};

/// The write that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Counters,
    Row,
    Purge,
    Value,
    DropValue,
    Conflict,
    Cursor,
    /// Roster, membership and salt.
    Records,
    Staged,
    /// A cleared snapshot stays.
    Cleared,
    /// A dropped transaction is kept.
    Rollback,
}

pub(super) struct Losing {
    pub(super) disk: Disk,
    pub(super) lost: Lost,
}

impl Losing {
    fn unless(
        &mut self,
        lost: Lost,
        write: impl FnOnce(&mut Disk) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        if self.lost == lost {
            return Ok(());
        }
        write(&mut self.disk)
    }
}

impl Subject for Losing {
    type Error = Failed;

    fn transact(&mut self, end: End, work: &mut dyn FnMut(&mut dyn Tables<Error = Failed>)) {
        work(self);
        if end == End::Commits || self.lost == Lost::Rollback {
            self.disk.commit().unwrap();
        } else {
            self.disk.roll_back();
        }
    }
}

impl Tables for Losing {
    type Error = Failed;

    fn counters(&mut self) -> Result<(Incarnation, Clock, Seq), Failed> {
        self.disk.counters()
    }

    fn put_counters(&mut self, clock: Clock, last: Seq) -> Result<(), Failed> {
        self.unless(Lost::Counters, |disk| disk.put_counters(clock, last))
    }

    fn row(&mut self, identity: &Identity) -> Result<Option<Row>, Failed> {
        self.disk.row(identity)
    }

    fn row_hash(&mut self, identity: &Identity) -> Result<Option<RowHash>, Failed> {
        self.disk.row_hash(identity)
    }

    fn put_row(&mut self, row: &Row, hash: RowHash, seq: Seq) -> Result<(), Failed> {
        self.unless(Lost::Row, |disk| disk.put_row(row, hash, seq))
    }

    fn value(&mut self, identity: &Identity) -> Result<Option<(Version, String)>, Failed> {
        self.disk.value(identity)
    }

    fn value_seal(&mut self, identity: &Identity) -> Result<Option<Seal>, Failed> {
        self.disk.value_seal(identity)
    }

    fn put_value(
        &mut self,
        identity: &Identity,
        version: Version,
        token: &str,
        seal: Option<Seal>,
    ) -> Result<(), Failed> {
        self.unless(Lost::Value, |disk| {
            disk.put_value(identity, version, token, seal)
        })
    }

    fn drop_value(&mut self, identity: &Identity) -> Result<(), Failed> {
        self.unless(Lost::DropValue, |disk| disk.drop_value(identity))
    }

    fn earlier_values(&mut self, than: Incarnation, most: usize) -> Result<Vec<Identity>, Failed> {
        self.disk.earlier_values(than, most)
    }

    fn has_values(&mut self) -> Result<bool, Failed> {
        self.disk.has_values()
    }

    fn purge(&mut self, identity: &Identity) -> Result<(), Failed> {
        self.unless(Lost::Purge, |disk| disk.purge(identity))
    }

    fn has_rows(&mut self) -> Result<bool, Failed> {
        self.disk.has_rows()
    }

    fn changes(&mut self, after: Seq, most: usize, bytes: usize) -> Result<Vec<FeedRow>, Failed> {
        self.disk.changes(after, most, bytes)
    }

    fn page(
        &mut self,
        after: Option<&Identity>,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<FeedRow>, Failed> {
        self.disk.page(after, most, bytes)
    }

    fn tombstones(
        &mut self,
        up_to: Seq,
        before: Timestamp,
        most: usize,
    ) -> Result<Vec<(Seq, Identity)>, Failed> {
        self.disk.tombstones(up_to, before, most)
    }

    fn put_conflict(&mut self, row: &Row, hash: RowHash, seen: Timestamp) -> Result<(), Failed> {
        self.unless(Lost::Conflict, |disk| disk.put_conflict(row, hash, seen))
    }

    fn take_conflict(&mut self, named: &Row) -> Result<Option<String>, Failed> {
        self.disk.take_conflict(named)
    }

    fn cursors(&mut self) -> Result<Vec<(Incarnation, Cursor)>, Failed> {
        self.disk.cursors()
    }

    fn put_cursor(&mut self, member: Incarnation, cursor: Cursor) -> Result<(), Failed> {
        self.unless(Lost::Cursor, |disk| disk.put_cursor(member, cursor))
    }

    fn roster(&mut self) -> Result<Roster, Failed> {
        self.disk.roster()
    }

    fn put_roster(&mut self, roster: &Roster) -> Result<(), Failed> {
        self.unless(Lost::Records, |disk| disk.put_roster(roster))
    }

    fn membership(&mut self) -> Result<Option<Membership>, Failed> {
        self.disk.membership()
    }

    fn put_membership(&mut self, membership: &Membership) -> Result<(), Failed> {
        self.unless(Lost::Records, |disk| disk.put_membership(membership))
    }

    fn salt(&mut self) -> Result<Option<Salt>, Failed> {
        self.disk.salt()
    }

    fn put_salt(&mut self, salt: &Salt) -> Result<(), Failed> {
        self.unless(Lost::Records, |disk| disk.put_salt(salt))
    }

    fn clear_staged(&mut self) -> Result<(), Failed> {
        self.unless(Lost::Cleared, Tables::clear_staged)
    }

    fn stage(&mut self, rows: &[(Row, RowHash)]) -> Result<(), Failed> {
        self.unless(Lost::Staged, |disk| disk.stage(rows))
    }

    fn take_over(&mut self, takeover: Takeover) -> Result<Seq, Failed> {
        self.disk.take_over(takeover)
    }
}
