//! The changes since a position in the feed, for readers that keep up with it. The table is the feed: each row has the sequence
//! of its last change.

use rusqlite::Connection;

use super::{EntryReader, columns, membership, meta, row, values};
use crate::{
    cluster::{Membership, Seq},
    domain::{Incarnation, Row},
    store::{ChangeCursor, Changes, ReadError},
};

/// Ciphertext of one answer, in bytes, after which it ends; it has one row at least.
const BYTES: usize = 1 << 20;

/// A position in the feed of one life of a database: a restored one, and one that put a snapshot in force, number their rows
/// anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    incarnation: Incarnation,
    seq: Seq,
}

impl Position {
    fn of(cursor: &ChangeCursor) -> Option<Self> {
        let (incarnation, seq) = cursor.as_str().split_once('-')?;
        Some(Self {
            incarnation: Incarnation::from_raw(i64::from_str_radix(incarnation, 16).ok()?),
            seq: Seq::from_raw(seq.parse().ok()?),
        })
    }

    fn cursor(self) -> ChangeCursor {
        let Self { incarnation, seq } = self;
        ChangeCursor::new(format!("{incarnation}-{}", seq.raw()))
    }
}

impl EntryReader {
    /// The position behind the latest change.
    pub(crate) async fn latest_change(&self) -> Result<ChangeCursor, ReadError> {
        self.readers()
            .read(|connection| Ok(latest(connection)?.cursor()))
            .await
    }

    /// The rows that changed after a cursor.
    pub(crate) async fn changes(
        &self,
        after: &ChangeCursor,
        most: usize,
    ) -> Result<Changes, ReadError> {
        let Some(after) = Position::of(after) else {
            return Ok(Changes::BeginAgain);
        };
        self.readers()
            .scan(move |connection| {
                let transaction = connection.unchecked_transaction()?;
                let changes = changes(&transaction, after, most)?;
                transaction.finish()?;
                Ok(changes)
            })
            .await
    }
}

/// The position behind the latest change.
fn latest(connection: &Connection) -> rusqlite::Result<Position> {
    let number =
        |name| meta::get::<i64>(connection, name)?.ok_or(rusqlite::Error::QueryReturnedNoRows);
    Ok(Position {
        incarnation: Incarnation::from_raw(number(meta::INCARNATION)?),
        seq: Seq::from_raw(number(meta::LAST_SEQ)?),
    })
}

/// The sequence of the latest delete that is forgotten.
fn forgotten(connection: &Connection) -> rusqlite::Result<Seq> {
    let membership: Option<Membership> = membership::get_json(connection, meta::MEMBERSHIP)?;
    Ok(membership.map_or(Seq::START, |membership| membership.purged))
}

fn changes(connection: &Connection, after: Position, most: usize) -> rusqlite::Result<Changes> {
    let latest = latest(connection)?;
    if after.incarnation != latest.incarnation
        || after.seq > latest.seq
        || after.seq < forgotten(connection)?
    {
        return Ok(Changes::BeginAgain);
    }
    let (rows, last) = changed(connection, after.seq, most)?;
    let seq = last.unwrap_or(latest.seq);
    let next = Position { seq, ..latest }.cursor();
    Ok(Changes::Since { rows, next })
}

/// The rows that changed after a sequence, and the sequence of the last one where more may follow. Rows with unreadable names
/// are left out.
fn changed(
    connection: &Connection,
    after: Seq,
    most: usize,
) -> rusqlite::Result<(Vec<Row>, Option<Seq>)> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {}, seq FROM entries WHERE seq > ?1 ORDER BY seq",
        row::COLUMNS
    ))?;
    let mut found = statement.query([after.raw()])?;
    let (mut rows, mut bytes, mut last) = (Vec::new(), 0, after);
    while let Some(row) = found.next()? {
        if rows.len() >= most || bytes >= BYTES {
            return Ok((rows, Some(last)));
        }
        last = Seq::from_raw(row.get(10)?);
        if columns::read_identity(row)?.is_some() {
            let row = values::attach(connection, columns::read(row)?)?;
            bytes += row.content.as_ref().map_or(0, |it| it.as_str().len());
            rows.push(row);
        }
    }
    Ok((rows, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    #[test]
    fn rows_whose_names_nobody_can_read_are_passed_over_and_hold_nobody_up() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::bring_up(&mut connection, None, None, Incarnation::from_raw(1)).unwrap();
        for (seq, name) in (1..).zip(["'a'", "x'61ff'", "'b'", "x'ff'"]) {
            let sql = format!(
                "INSERT INTO entries (environment, key, created_at, updated_at, clock, incarnation, row_hash, clocks, seq) \
                 VALUES ('', CAST({name} AS TEXT), 0, 0, 1, 1, x'ff', x'', {seq})"
            );
            connection.execute(&sql, []).unwrap();
        }
        let (mut after, mut pages) = (Seq::START, Vec::new());
        loop {
            let (rows, last) = changed(&connection, after, 1).unwrap();
            let keys = rows.iter().map(|row| row.identity.key.as_str().to_owned());
            pages.push(keys.collect::<Vec<_>>().concat());
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        assert_eq!(pages, ["a", "b", ""]);
    }
}
