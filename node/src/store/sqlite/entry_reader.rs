//! Reads of a store, apart from its writer: over connections of their own, behind a cache of rows.

use std::{io, sync::Arc};

use rusqlite::Connection;

use super::{
    columns::Found,
    path::DatabasePath,
    reader::Readers,
    row::{self, AtOnce},
    values,
};
use crate::{
    budget::LARGE_TOKEN,
    cluster::{Digest, Scan},
    crypto::token_time,
    domain::{Clock, Content, Identity, Row, Timestamp},
    store::{ConflictPage, ReadError, commits::Commits, disk::DiskSpace, row_cache::RowCache},
};

/// Reads the entries of one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EntryReader {
    readers: Arc<Readers>,
    path: DatabasePath,
    commits: Commits,
    cache: RowCache,
}

impl EntryReader {
    /// `rows` is the size of the cache, in bytes of ciphertext.
    pub(super) fn new(
        readers: Arc<Readers>,
        path: DatabasePath,
        commits: Commits,
        rows: usize,
    ) -> Self {
        Self {
            readers,
            path,
            commits,
            cache: RowCache::new(rows),
        }
    }

    pub(super) fn readers(&self) -> &Arc<Readers> {
        &self.readers
    }

    /// Ends with the next transaction that commits after this call.
    pub(crate) fn next_commit(&self) -> impl Future<Output = ()> + use<> {
        self.commits.next()
    }

    /// The row of an identity, tombstones included; `None` when it was never written. It has its value where this node holds
    /// it, otherwise the directory's content.
    pub async fn find(&self, identity: &Identity) -> Result<Option<Arc<Row>>, ReadError> {
        // Taken before the read: a row must never pass for newer than it is.
        let count = self.commits.count();
        if let Some(row) = self.cache.get(identity, count) {
            return Ok(Some(row));
        }
        let at_once =
            |connection: &Connection| values::find_small_row(connection, identity, LARGE_TOKEN);
        let found = match self.readers.read(at_once).await? {
            None => None,
            Some(AtOnce::Read(found)) => Some(found),
            Some(AtOnce::TooLarge) => {
                let read = |connection: &Connection| values::find_row(connection, identity);
                self.readers.read_large(read).await?
            }
        };
        let row = found.map(|found| whole(identity, found)).transpose()?;
        if let Some(row) = &row {
            self.cache.put(identity, count, row);
        }
        Ok(row)
    }

    /// The same without the value, as far as it can be read: for a client that wants to delete it.
    pub async fn find_unread(&self, identity: &Identity) -> Result<Option<Row>, ReadError> {
        self.readers
            .read_large(|connection| row::find(connection, identity))
            .await
    }

    /// Scans the rows as they are committed now.
    pub async fn digest(&self, scan: Scan) -> Result<Digest, ReadError> {
        self.readers
            .scan(move |connection| Ok(row::digest(connection, scan)?))
            .await
    }

    /// A page of losing versions of concurrent writes, the latest first: those before a number of an earlier page, at most
    /// `most`, and about 1 MiB of ciphertext.
    pub async fn conflicts(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<ConflictPage, ReadError> {
        self.readers
            .scan(move |connection| Ok(row::conflicts(connection, before, limit)?))
            .await
    }

    /// How many live entries were written before a clock reading, and the names of the first `most` of them, in
    /// (environment, key) order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn written_before(
        &self,
        before: Clock,
        most: usize,
    ) -> Result<(u64, Vec<Identity>), ReadError> {
        self.readers
            .scan(move |connection| Ok(row::written_before(connection, before, most)?))
            .await
    }

    /// Makes sure that the database can be read.
    pub async fn probe(&self) -> Result<(), ReadError> {
        self.readers
            .read(|connection| connection.query_row("SELECT count(*) FROM meta", [], |_| Ok(())))
            .await
    }

    /// How many tombstones there are, and when the oldest was written.
    pub(crate) async fn tombstones(&self) -> Result<(i64, Option<Timestamp>), ReadError> {
        self.readers.read(row::tombstones).await
    }

    /// How many values are held for a directory.
    pub(crate) async fn owned_count(&self) -> Result<i64, ReadError> {
        self.readers.read(values::count).await
    }

    /// Sizes of the database and of its write-ahead log, in bytes.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        self.path.sizes()
    }

    /// The space of the disk that the database is on.
    pub(crate) fn disk_space(&self) -> io::Result<DiskSpace> {
        self.path.disk_space()
    }
}

/// A row of which everything can be read.
fn whole(identity: &Identity, found: Found) -> Result<Arc<Row>, ReadError> {
    match found.unreadable.or_else(|| no_token(&found.row)) {
        None => Ok(Arc::new(found.row)),
        Some(what) => Err(ReadError::damaged(identity, what)),
    }
}

/// The fault of a value that no user key could ever open.
fn no_token(row: &Row) -> Option<&'static str> {
    let token = row.content.as_ref().and_then(Content::token)?;
    token_time(token)
        .is_none()
        .then_some("its value is no Fernet token")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        budget::CacheSizes,
        cluster::Seq,
        domain::{Content, Fingerprint, Incarnation},
        store::sqlite::{OpenedDatabase, database::DatabaseWriter, row::tests::row_of},
    };

    /// A token of so many bytes, of which only the shape is right.
    fn token(bytes: usize) -> String {
        let plaintext = "x".repeat(bytes / 4 * 3);
        fernet::Fernet::new(&fernet::Fernet::generate_key())
            .unwrap()
            .encrypt(plaintext.as_bytes())
    }

    /// A database with what was put there.
    fn reader(folder: &TempDir, put: impl Fn(&Connection)) -> (DatabaseWriter, EntryReader) {
        let path = folder.path().join("configurations.db");
        let open = || OpenedDatabase::open(&path, Incarnation::from_raw(1)).unwrap();
        drop(open());
        put(&Connection::open(&path).unwrap());
        open().part(CacheSizes::SMALLEST).unwrap()
    }

    #[tokio::test]
    async fn a_small_row_is_read_at_once_and_a_large_one_behind_what_waits() {
        let folder = TempDir::new().unwrap();
        let (small, large) = (
            row_of("small", 1, &token(100)),
            row_of("large", 2, &token(2 * LARGE_TOKEN)),
        );
        let (_writer, reader) = reader(&folder, |connection| {
            for (row, seq) in [&small, &large].into_iter().zip(1..) {
                row::put(connection, row, row.hash(), Seq::from_raw(seq)).unwrap();
            }
        });
        let at_once = reader.find(&small.identity).now_or_never();
        assert_eq!(at_once.unwrap().unwrap().as_deref(), Some(&small));
        let at_once = reader.find(&large.identity).now_or_never();
        assert!(at_once.is_none(), "read before what waits: {at_once:?}");
        assert_eq!(
            reader.find(&large.identity).await.unwrap().as_deref(),
            Some(&large)
        );
    }

    #[tokio::test]
    async fn a_large_value_of_a_directory_is_read_behind_what_waits() {
        let folder = TempDir::new().unwrap();
        let whole = row_of("large", 1, &token(2 * LARGE_TOKEN));
        let text = whole.content.as_ref().and_then(Content::token).unwrap();
        let mut named = whole.clone();
        named.content = Some(Content::Fingerprint(Fingerprint::of(text)));
        let (_writer, reader) = reader(&folder, |connection| {
            row::put(connection, &named, named.hash(), Seq::from_raw(1)).unwrap();
            values::put(connection, &named.identity, named.version, text, None).unwrap();
        });
        let at_once = reader.find(&named.identity).now_or_never();
        assert!(at_once.is_none(), "read before what waits: {at_once:?}");
        assert_eq!(
            reader.find(&named.identity).await.unwrap().as_deref(),
            Some(&whole)
        );
    }
}
