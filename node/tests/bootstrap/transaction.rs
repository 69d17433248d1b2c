//! One transaction on a [`Disk`], as the engine sees it.

use std::{convert::Infallible, rc::Rc};

use opensecureconf_node::{
    cluster::{Cursor, FeedRow, Membership, Roster, Seq, Tables, Takeover},
    crypto::Salt,
    domain::{Clock, Identity, Incarnation, Row, RowHash, Seal, Timestamp, Version},
};

use crate::disk::{Disk, Stored};

/// A transaction: its changes reach the disk with the commit; a dropped transaction leaves none.
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

    fn row_hash(&mut self, identity: &Identity) -> Never<Option<RowHash>> {
        Ok(self.read().rows.get(identity).map(|stored| stored.hash))
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

    fn value(&mut self, identity: &Identity) -> Never<Option<(Version, String)>> {
        Ok(self.read().values.get(identity).cloned())
    }

    fn value_seal(&mut self, _: &Identity) -> Never<Option<Seal>> {
        Ok(None)
    }

    fn put_value(
        &mut self,
        identity: &Identity,
        version: Version,
        token: &str,
        _: Option<Seal>,
    ) -> Never<()> {
        let value = (version, token.to_owned());
        self.write().values.insert(identity.clone(), value);
        Ok(())
    }

    fn drop_value(&mut self, identity: &Identity) -> Never<()> {
        self.write().values.remove(identity);
        Ok(())
    }

    fn earlier_values(&mut self, than: Incarnation, most: usize) -> Never<Vec<Identity>> {
        let values = self.read().values.iter();
        Ok(values
            .filter(|(_, (version, _))| version.incarnation != than)
            .map(|(identity, _)| identity.clone())
            .take(most)
            .collect())
    }

    fn has_values(&mut self) -> Never<bool> {
        Ok(!self.read().values.is_empty())
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

    /// Pages of one row, so that a snapshot can break off in the middle.
    fn page(&mut self, after: Option<&Identity>, _: usize, _: usize) -> Never<Vec<FeedRow>> {
        let mut rows = self.read().rows.iter();
        let next = rows.find(|(identity, _)| after.is_none_or(|after| *identity > after));
        Ok(next.map(|(_, stored)| stored.fed()).into_iter().collect())
    }

    fn tombstones(&mut self, _: Seq, _: Timestamp, _: usize) -> Never<Vec<(Seq, Identity)>> {
        Ok(Vec::new())
    }

    fn take_conflict(&mut self, _: &Row) -> Never<Option<String>> {
        Ok(None)
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
