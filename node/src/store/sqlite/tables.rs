//! The engine's tables in SQLite: one transaction, begun with the first write.

use rusqlite::{Connection, Row as SqlRow};

use super::{columns, membership, meta, row, staging, values};
use crate::{
    cluster::{Cursor, FeedRow, Membership, Roster, Seq, Tables, Takeover, WireRow},
    crypto::Salt,
    domain::{Clock, Identity, Incarnation, Row, RowHash, Seal, Timestamp, Version},
};

/// Losing versions that are kept at most; the oldest go first.
const CONFLICTS: i64 = 10_000;

/// The tables of one database, on the one connection that may write.
#[derive(Debug)]
pub struct SqliteTables<'c> {
    connection: &'c Connection,
    begun: bool,
    live: LiveEntries,
}

/// The effect of a transaction on the number of live entries.
#[derive(Debug, Default)]
struct LiveEntries {
    change: i64,
    recount: bool,
    /// The last row that was read, and whether it was live: mostly the one that is written next.
    seen: Option<(Identity, bool)>,
}

/// The result of a transaction.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Whether it wrote any row.
    pub wrote: bool,
    /// How many live entries there are more than before.
    pub live_change: i64,
}

impl<'c> SqliteTables<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            begun: false,
            live: LiveEntries::default(),
        }
    }

    /// The connection, inside a transaction.
    fn write(&mut self) -> rusqlite::Result<&'c Connection> {
        if !self.begun {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.begun = true;
        }
        Ok(self.connection)
    }

    /// Makes everything durable. `live_before` is the number of live entries so far.
    ///
    /// # Errors
    /// Where SQLite could not commit; then nothing was written, or all of it.
    pub fn commit(mut self, live_before: u64) -> rusqlite::Result<Outcome> {
        if self.live.recount {
            let now: i64 = self.connection.query_row(
                "SELECT count(*) FROM entries WHERE token IS NOT NULL",
                [],
                |row| row.get(0),
            )?;
            self.live.change = now - i64::try_from(live_before).unwrap_or(i64::MAX);
        }
        if self.begun {
            self.connection.execute_batch("COMMIT")?;
        }
        Ok(Outcome {
            wrote: std::mem::take(&mut self.begun),
            live_change: self.live.change,
        })
    }

    fn was_live(&mut self, identity: &Identity) -> rusqlite::Result<bool> {
        match self.live.seen.take() {
            Some((seen, live)) if seen == *identity => Ok(live),
            _ => Ok(row::find(self.connection, identity)?.is_some_and(|row| !row.is_tombstone())),
        }
    }
}

impl Drop for SqliteTables<'_> {
    fn drop(&mut self) {
        if self.begun {
            // The connection is given up after a failure; this only ends the transaction sooner.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

impl Tables for SqliteTables<'_> {
    type Error = rusqlite::Error;

    fn counters(&mut self) -> rusqlite::Result<(Incarnation, Clock, Seq)> {
        let number = |name| {
            meta::get::<i64>(self.connection, name)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
        };
        Ok((
            Incarnation::from_raw(number(meta::INCARNATION)?),
            Clock::from_raw(number(meta::CLOCK_HIGH_WATER)?),
            Seq::from_raw(number(meta::LAST_SEQ)?),
        ))
    }

    fn put_counters(&mut self, clock: Clock, last: Seq) -> rusqlite::Result<()> {
        let connection = self.write()?;
        meta::put(connection, meta::CLOCK_HIGH_WATER, clock.raw())?;
        meta::put(connection, meta::LAST_SEQ, last.raw())
    }

    fn row(&mut self, identity: &Identity) -> rusqlite::Result<Option<Row>> {
        let row = row::find(self.connection, identity)?;
        let live = row.as_ref().is_some_and(|row| !row.is_tombstone());
        self.live.seen = Some((identity.clone(), live));
        Ok(row)
    }

    fn row_hash(&mut self, identity: &Identity) -> rusqlite::Result<Option<RowHash>> {
        row::hash_of(self.connection, identity)
    }

    fn put_row(&mut self, row: &Row, hash: RowHash, seq: Seq) -> rusqlite::Result<()> {
        let before = self.was_live(&row.identity)?;
        row::put(self.write()?, row, hash, seq)?;
        self.live.change += i64::from(!row.is_tombstone()) - i64::from(before);
        Ok(())
    }

    fn value(&mut self, identity: &Identity) -> rusqlite::Result<Option<(Version, String)>> {
        values::find(self.connection, identity)
    }

    fn put_value(
        &mut self,
        identity: &Identity,
        version: Version,
        token: &str,
        seal: Option<Seal>,
    ) -> rusqlite::Result<()> {
        values::put(self.write()?, identity, version, token, seal)
    }

    fn value_seal(&mut self, identity: &Identity) -> rusqlite::Result<Option<Seal>> {
        values::seal(self.connection, identity)
    }

    fn drop_value(&mut self, identity: &Identity) -> rusqlite::Result<()> {
        values::remove(self.write()?, identity)
    }

    fn earlier_values(
        &mut self,
        than: Incarnation,
        most: usize,
    ) -> rusqlite::Result<Vec<Identity>> {
        values::earlier(self.connection, than, most)
    }

    fn has_values(&mut self) -> rusqlite::Result<bool> {
        Ok(!values::is_empty(self.connection)?)
    }

    fn purge(&mut self, identity: &Identity) -> rusqlite::Result<()> {
        self.live.seen = None;
        self.write()?
            .prepare_cached(
                "DELETE FROM entries WHERE environment = ?1 AND key = ?2 AND token IS NULL",
            )?
            .execute((identity.environment.as_str(), identity.key.as_str()))
            .map(drop)
    }

    fn has_rows(&mut self) -> rusqlite::Result<bool> {
        self.connection
            .query_row("SELECT EXISTS (SELECT 1 FROM entries)", [], |row| {
                row.get(0)
            })
    }

    fn changes(&mut self, after: Seq, most: usize, bytes: usize) -> rusqlite::Result<Vec<FeedRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {}, row_hash, seq FROM entries WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            row::COLUMNS
        ))?;
        let rows = statement.query((after.raw(), count(most)))?;
        take_while_they_fit(rows, Names::All, most, bytes)
    }

    fn page(
        &mut self,
        after: Option<&Identity>,
        most: usize,
        bytes: usize,
    ) -> rusqlite::Result<Vec<FeedRow>> {
        // Keys are never empty, so no row stands at or before the empty identity.
        let (environment, key) = after.map_or(("", ""), |after| {
            (after.environment.as_str(), after.key.as_str())
        });
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {}, row_hash, seq FROM entries INDEXED BY entries_identity \
             WHERE (environment, key) > (?1, ?2) ORDER BY environment, key",
            row::COLUMNS
        ))?;
        let rows = statement.query((environment, key))?;
        // The next page begins after the name of this one's last row.
        take_while_they_fit(rows, Names::Readable, most, bytes)
    }

    fn tombstones(
        &mut self,
        up_to: Seq,
        before: Timestamp,
        most: usize,
    ) -> rusqlite::Result<Vec<(Seq, Identity)>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {}, row_hash, seq FROM entries INDEXED BY entries_tombstones \
             WHERE token IS NULL AND seq <= ?1 AND updated_at < ?2 ORDER BY seq",
            row::COLUMNS
        ))?;
        let rows = statement.query((up_to.raw(), before.as_micros()))?;
        // Under another name, a tombstone would delete another entry.
        Ok(
            take_while_they_fit(rows, Names::Readable, most, usize::MAX)?
                .into_iter()
                .map(|row| (row.seq, row.row.identity))
                .collect(),
        )
    }

    fn put_conflict(
        &mut self,
        row: &Row,
        hash: RowHash,
        seen_at: Timestamp,
    ) -> rusqlite::Result<()> {
        let connection = self.write()?;
        row::put_conflict(connection, row, hash, seen_at)?;
        connection
            .prepare_cached(
                "DELETE FROM conflicts WHERE id <= (SELECT max(id) FROM conflicts) - ?1 AND NOT kept",
            )?
            .execute([CONFLICTS])
            .map(drop)
    }

    fn take_conflict(&mut self, named: &Row) -> rusqlite::Result<Option<String>> {
        let Some((id, token)) = values::set_aside(self.connection, named)? else {
            return Ok(None);
        };
        values::remove_set_aside(self.write()?, id)?;
        Ok(Some(token))
    }

    fn cursors(&mut self) -> rusqlite::Result<Vec<(Incarnation, Cursor)>> {
        membership::cursors(self.connection)
    }

    fn put_cursor(&mut self, member: Incarnation, cursor: Cursor) -> rusqlite::Result<()> {
        membership::put_cursor(self.write()?, member, cursor)
    }

    fn roster(&mut self) -> rusqlite::Result<Roster> {
        membership::get_json(self.connection, meta::ROSTER).map(Option::unwrap_or_default)
    }

    fn put_roster(&mut self, roster: &Roster) -> rusqlite::Result<()> {
        membership::put_json(self.write()?, meta::ROSTER, roster)
    }

    fn membership(&mut self) -> rusqlite::Result<Option<Membership>> {
        membership::get_json(self.connection, meta::MEMBERSHIP)
    }

    fn put_membership(&mut self, membership: &Membership) -> rusqlite::Result<()> {
        membership::put_json(self.write()?, meta::MEMBERSHIP, membership)
    }

    fn salt(&mut self) -> rusqlite::Result<Option<Salt>> {
        let bytes: Option<Vec<u8>> = meta::get(self.connection, meta::SALT)?;
        Ok(bytes.and_then(|bytes| Salt::from_bytes(&bytes)))
    }

    fn put_salt(&mut self, salt: &Salt) -> rusqlite::Result<()> {
        meta::put(self.write()?, meta::SALT, salt.bytes().as_slice())
    }

    fn clear_staged(&mut self) -> rusqlite::Result<()> {
        if staging::is_empty(self.connection)? {
            return Ok(());
        }
        staging::clear(self.write()?)
    }

    fn stage(&mut self, rows: &[(Row, RowHash)]) -> rusqlite::Result<()> {
        staging::add(self.write()?, rows)
    }

    fn take_over(&mut self, takeover: Takeover) -> rusqlite::Result<Seq> {
        self.live.recount = true;
        self.live.seen = None;
        staging::take_over(self.write()?, takeover)
    }
}

fn count(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// Which rows are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// All rows, with the readable parts of their names.
    All,
    /// Rows that a query finds by their names.
    Readable,
}

/// One row at least, then as many as fit into this length on the wire.
fn take_while_they_fit(
    mut rows: rusqlite::Rows<'_>,
    names: Names,
    most: usize,
    bytes: usize,
) -> rusqlite::Result<Vec<FeedRow>> {
    let (mut taken, mut size) = (Vec::new(), 0_usize);
    while taken.len() < most
        && let Some(found) = rows.next()?
    {
        if names == Names::Readable && columns::read_identity(found)?.is_none() {
            continue;
        }
        let row = feed_row(found)?;
        size = size.saturating_add(WireRow::size_of(&row.row));
        if size > bytes && !taken.is_empty() {
            break;
        }
        taken.push(row);
    }
    Ok(taken)
}

fn feed_row(found: &SqlRow<'_>) -> rusqlite::Result<FeedRow> {
    Ok(FeedRow {
        row: columns::read(found)?,
        hash: columns::read_hash(found, 10)?,
        seq: Seq::from_raw(found.get(11)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    #[test]
    fn pages_and_changes_go_on_past_rows_whose_names_nobody_can_read() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::bring_up(&mut connection, None, None, Incarnation::from_raw(1)).unwrap();
        let names = ["'a'", "x'61ff'", "x'6280'", "'b\u{e9}'", "x'ff'"];
        for (seq, name) in (1..).zip(names) {
            let sql = format!(
                "INSERT INTO entries (environment, key, created_at, updated_at, clock, incarnation, row_hash, clocks, seq) \
                 VALUES ('', CAST({name} AS TEXT), 0, 0, 1, 1, x'ff', x'', {seq})"
            );
            connection.execute(&sql, []).unwrap();
        }
        let mut tables = SqliteTables::new(&connection);
        let (mut after, mut seen) = (None, Vec::new());
        while let Some(row) = tables.page(after.as_ref(), 1, 0).unwrap().pop() {
            seen.push(row.row.identity.key.as_str().to_owned());
            after = Some(row.row.identity);
        }
        assert_eq!(seen, ["a", "b\u{e9}"]);
        let changes = tables.changes(Seq::START, 10, usize::MAX).unwrap();
        assert_eq!(changes.len(), names.len());
        assert!(changes.iter().all(|row| row.row.hash() != row.hash));
        let before = Timestamp::from_micros(1);
        let tombstones = tables.tombstones(Seq::from_raw(9), before, 2).unwrap();
        assert_eq!(tombstones.len(), 2);
        assert_eq!(tombstones[1].0, Seq::from_raw(4));
    }
}
