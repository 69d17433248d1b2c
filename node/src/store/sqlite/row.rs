//! Rows to and from SQL: the statements. `columns` reads the fields.

use rusqlite::{Connection, OptionalExtension, ToSql};

use super::{
    columns::{Found, OTHER_CONTENT, examine, read, read_hash, read_identity},
    meta,
};
use crate::{
    cluster::{Digest, Scan, Seq},
    domain::{
        Category, Clock, ConfigKey, Content, Environment, Identity, Incarnation, Row, RowHash,
        Timestamp, Version,
    },
    store::{CONFLICT_PAGE_BYTES, ConflictPage, LostVersion, clocks::encode_clocks},
};

/// The columns of a row, for the frequent statements, which are constants of the program.
macro_rules! columns {
    () => {
        columns!("token")
    };
    ($token:literal) => {
        concat!(
            "environment, key, category, ",
            $token,
            ", created_at, updated_at, clock, incarnation, clocks, extra"
        )
    };
}

pub(super) const COLUMNS: &str = columns!();

/// The row of an identity, tombstones included; as far as it can be read.
pub(super) fn find(connection: &Connection, identity: &Identity) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM entries WHERE environment = ?1 AND key = ?2"
        ))?
        .query_row((identity.environment.as_str(), identity.key.as_str()), read)
        .optional()
}

/// The same, with the part that cannot be read, or the mismatch of the row's hash.
pub(super) fn look_up(
    connection: &Connection,
    identity: &Identity,
) -> rusqlite::Result<Option<Found>> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            columns!(),
            ", row_hash FROM entries WHERE environment = ?1 AND key = ?2"
        ))?
        .query_row(
            (identity.environment.as_str(), identity.key.as_str()),
            examine_whole,
        )
        .optional()
}

/// The same of a row whose token has no more than so many bytes. SQLite knows the length without reading the token.
pub(super) fn look_up_small(
    connection: &Connection,
    identity: &Identity,
    most: usize,
) -> rusqlite::Result<Option<AtOnce<Found>>> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            columns!("iif(octet_length(token) > ?3, NULL, token)"),
            ", row_hash, octet_length(token) > ?3 FROM entries WHERE environment = ?1 AND key = ?2"
        ))?
        .query_row(
            (
                identity.environment.as_str(),
                identity.key.as_str(),
                i64::try_from(most).unwrap_or(i64::MAX),
            ),
            |found| match found.get(11)? {
                Some(true) => Ok(AtOnce::TooLarge),
                // The length of nothing is NULL.
                Some(false) | None => examine_whole(found).map(AtOnce::Read),
            },
        )
        .optional()
}

/// A row as far as it can be read, and the unreadable part, or the mismatch of its hash in the column behind [`COLUMNS`].
pub(super) fn examine_whole(found: &rusqlite::Row<'_>) -> rusqlite::Result<Found> {
    let hash = read_hash(found, 10)?;
    let mut found = examine(found)?;
    if found.row.hash() != hash {
        found.unreadable.get_or_insert(OTHER_CONTENT);
    }
    Ok(found)
}

/// What was read at once, unless it is so large that it waits for its turn.
#[derive(Debug)]
pub(super) enum AtOnce<T> {
    Read(T),
    TooLarge,
}

/// The hash with which the row of an identity is stored.
pub(super) fn hash_of(
    connection: &Connection,
    identity: &Identity,
) -> rusqlite::Result<Option<RowHash>> {
    connection
        .prepare_cached("SELECT row_hash FROM entries WHERE environment = ?1 AND key = ?2")?
        .query_row(
            (identity.environment.as_str(), identity.key.as_str()),
            |row| read_hash(row, 0),
        )
        .optional()
}

/// Writes a row over any row of its identity, as the change with the given local sequence.
pub(super) fn put(
    connection: &Connection,
    row: &Row,
    hash: RowHash,
    seq: Seq,
) -> rusqlite::Result<()> {
    let sql = concat!(
        "INSERT INTO entries (",
        columns!(),
        ", row_hash, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         ON CONFLICT (environment, key) DO UPDATE SET category = excluded.category, token = excluded.token, \
         created_at = excluded.created_at, updated_at = excluded.updated_at, clock = excluded.clock, \
         incarnation = excluded.incarnation, clocks = excluded.clocks, extra = excluded.extra, \
         row_hash = excluded.row_hash, seq = excluded.seq"
    );
    insert(connection, sql, row, hash, Some(seq.raw()))
}

/// Keeps a row of a snapshot that is not complete yet.
pub(super) fn stage(connection: &Connection, row: &Row, hash: RowHash) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT OR REPLACE INTO staged ({COLUMNS}, row_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    );
    insert(connection, &sql, row, hash, None)
}

/// Keeps the losing version of a conflict, once.
pub(super) fn put_conflict(
    connection: &Connection,
    row: &Row,
    hash: RowHash,
    seen_at: Timestamp,
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO conflicts ({COLUMNS}, row_hash, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         ON CONFLICT DO NOTHING"
    );
    insert(connection, &sql, row, hash, Some(seen_at.as_micros()))
}

/// How many tombstones there are, and when the first one in the feed was written.
pub(super) fn tombstones(connection: &Connection) -> rusqlite::Result<(i64, Option<Timestamp>)> {
    let from = "FROM entries INDEXED BY entries_tombstones WHERE token IS NULL";
    let count = connection
        .prepare_cached(&format!("SELECT count(*) {from}"))?
        .query_row([], |row| row.get(0))?;
    let oldest = connection
        .prepare_cached(&format!("SELECT updated_at {from} ORDER BY seq LIMIT 1"))?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok((count, oldest.map(Timestamp::from_micros)))
}

/// The losing versions of conflicts before a number: so many at most, and fewer where they are large.
pub(super) fn conflicts(
    connection: &Connection,
    before: Option<i64>,
    limit: usize,
) -> rusqlite::Result<ConflictPage> {
    let sql = format!(
        "SELECT {COLUMNS}, row_hash, id FROM conflicts WHERE token IS NOT NULL AND id < ?1 ORDER BY id DESC"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query([before.unwrap_or(i64::MAX)])?;
    let (mut page, mut bytes, mut last) = (Vec::new(), 0, None);
    while let Some(row) = found.next()? {
        if page.len() == limit || bytes >= CONFLICT_PAGE_BYTES {
            return Ok(ConflictPage {
                rows: page,
                next: last,
            });
        }
        last = Some(row.get("id")?);
        let (row, hash) = (read(row)?, read_hash(row, 10)?);
        bytes += row
            .content
            .as_ref()
            .and_then(Content::token)
            .map_or(0, str::len);
        page.push(LostVersion { row, hash });
    }
    Ok(ConflictPage {
        rows: page,
        next: None,
    })
}

/// Names of live entries that were written before a clock reading, in (environment, key) order, and how many there are.
pub(super) fn written_before(
    connection: &Connection,
    before: Clock,
    most: usize,
) -> rusqlite::Result<(u64, Vec<Identity>)> {
    let condition = "FROM entries WHERE token IS NOT NULL AND clock < ?1";
    let count: i64 = connection
        .prepare_cached(&format!("SELECT count(*) {condition}"))?
        .query_row([before.raw()], |row| row.get(0))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let names = connection
        .prepare_cached(&format!(
            "SELECT environment, key {condition} ORDER BY environment, key LIMIT ?2"
        ))?
        .query_map([before.raw(), most], |row| {
            let identity = (Environment::new(row.get(0)?), ConfigKey::new(row.get(1)?));
            Ok(match identity {
                (Some(environment), Some(key)) => Some(Identity { environment, key }),
                // A name that cannot be read is damage, and reported elsewhere.
                _ => None,
            })
        })?
        .filter_map(Result::transpose)
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok((count.unsigned_abs(), names))
}

/// The digest of a scan over the rows, all of one moment.
pub(super) fn digest(connection: &Connection, scan: Scan) -> rusqlite::Result<Digest> {
    let transaction = connection.unchecked_transaction()?;
    let head = meta::get::<i64>(&transaction, meta::LAST_SEQ)?.unwrap_or_default();
    let before = scan.cutoff.clock().raw();
    let mut digest = Digest::new(scan, Seq::from_raw(head));
    {
        let mut statement = transaction.prepare_cached(
            "SELECT environment, key, clock, incarnation, row_hash, token IS NOT NULL FROM entries WHERE clock < ?1",
        )?;
        let mut rows = statement.query([before])?;
        while let Some(row) = rows.next()? {
            // A row with an unreadable name cannot be compared; it is missing under its own.
            let (Ok(environment), Ok(key)) = (row.get_ref(0)?.as_str(), row.get_ref(1)?.as_str())
            else {
                continue;
            };
            let version = Version {
                clock: Clock::from_raw(row.get(2).unwrap_or_default()),
                incarnation: Incarnation::from_raw(row.get(3).unwrap_or_default()),
            };
            digest.add((environment, key), version, read_hash(row, 4)?, row.get(5)?);
        }
    }
    transaction.finish()?;
    Ok(digest)
}

/// Executes an insertion of all of a row's fields, its hash and, where the statement has one, one more number.
fn insert(
    connection: &Connection,
    sql: &str,
    row: &Row,
    hash: RowHash,
    more: Option<i64>,
) -> rusqlite::Result<()> {
    // Destructured in full: a field that is not written would be lost.
    let Row {
        identity: Identity { environment, key },
        category,
        content,
        created_at,
        updated_at,
        version,
        clocks,
        extra,
    } = row;
    let clocks = encode_clocks(clocks);
    let category = category.as_ref().map(Category::as_str);
    let content = content.as_ref().map(Content::as_str);
    let values: [&dyn ToSql; 12] = [
        &environment.as_str(),
        &key.as_str(),
        &category,
        &content,
        &created_at.as_micros(),
        &updated_at.as_micros(),
        &version.clock.raw(),
        &version.incarnation.raw(),
        &clocks,
        extra,
        &hash.0,
        &more,
    ];
    let used = values.len() - usize::from(more.is_none());
    connection
        .prepare_cached(sql)?
        .execute(values.get(..used).unwrap_or(&values))
        .map(drop)
}

/// The readable parts of invalid names.
pub(super) fn unreadable_names(connection: &Connection) -> rusqlite::Result<Vec<Identity>> {
    let mut statement = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM entries WHERE token IS NOT NULL"
    ))?;
    let mut rows = statement.query([])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        if read_identity(row)?.is_none() {
            names.push(read(row)?.identity);
        }
    }
    Ok(names)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::sqlite::{file::DatabaseFile, schema};

    /// A row of the environment `e`, written at this clock.
    pub(crate) fn row_of(key: &str, clock: i64, token: &str) -> Row {
        let version = Version {
            clock: Clock::from_raw(clock),
            incarnation: Incarnation::from_raw(1),
        };
        Row {
            identity: Identity::of("e", key).unwrap(),
            category: None,
            content: Some(Content::Token(token.to_owned())),
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
            version,
            clocks: [(version.incarnation, version.clock)].into(),
            extra: None,
        }
    }

    #[test]
    fn pages_of_conflicts_end_by_number_or_size_and_together_are_all_of_them() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = DatabaseFile::claim(&folder.path().join("d.db")).unwrap();
        let mut connection = file.connect_writer().unwrap();
        schema::bring_up(&mut connection, None, None, Incarnation::from_raw(1)).unwrap();
        let large = "x".repeat(CONFLICT_PAGE_BYTES / 2);
        for n in 0..9 {
            let row = row_of("k", n + 1, if n < 5 { &large } else { "x" });
            put_conflict(&connection, &row, row.hash(), Timestamp::from_micros(0)).unwrap();
        }
        let (mut sizes, mut clocks, mut before) = (Vec::new(), Vec::new(), None);
        loop {
            let page = conflicts(&connection, before, 3).unwrap();
            sizes.push(page.rows.len());
            clocks.extend(page.rows.iter().map(|lost| lost.row.version.clock.raw()));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(
            sizes,
            [3, 3, 2, 1],
            "three, one small and two large, two large, the last"
        );
        assert_eq!(clocks, (1..=9).rev().collect::<Vec<_>>());
    }
    #[test]
    fn entries_whose_deletes_may_return_are_the_live_ones_from_before_a_moment_by_name() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::bring_up(&mut connection, None, None, Incarnation::from_raw(1)).unwrap();
        let rows = [
            ("c", 9, "'t'"),
            ("deleted", 1, "NULL"),
            ("at the moment", 10, "'t'"),
            ("a", 1, "'t'"),
            ("later", 11, "'t'"),
            ("b", 8, "'t'"),
        ];
        for (seq, (name, clock, token)) in (1..).zip(rows) {
            let sql = format!(
                "INSERT INTO entries (environment, key, token, created_at, updated_at, clock, incarnation, row_hash, clocks, seq) \
                 VALUES ('', '{name}', {token}, 0, 0, {clock}, 1, x'ff', x'', {seq})"
            );
            connection.execute(&sql, []).unwrap();
        }
        let told = |most| {
            let (count, names) = written_before(&connection, Clock::from_raw(10), most).unwrap();
            let names = names.into_iter().map(|name| name.key.as_str().to_owned());
            (count, names.collect::<Vec<_>>())
        };
        assert_eq!(told(9), (3, vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(
            told(2),
            (3, vec!["a".into(), "b".into()]),
            "all are counted"
        );
    }
}
