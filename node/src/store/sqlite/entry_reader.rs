//! Reads of a store, apart from its writer: over connections of their own, behind a cache of rows.

use std::{io, sync::Arc};

use super::{path::DatabasePath, reader::Readers, row, values};
use crate::{
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
        let row = self
            .readers
            .read(|connection| values::find_row(connection, identity))
            .await?
            .map(
                |found| match found.unreadable.or_else(|| no_token(&found.row)) {
                    None => Ok(Arc::new(found.row)),
                    Some(what) => Err(ReadError::damaged(identity, what)),
                },
            )
            .transpose()?;
        if let Some(row) = &row {
            self.cache.put(identity, count, row);
        }
        Ok(row)
    }

    /// The same without the value, as far as it can be read: for a client that wants to delete it.
    pub async fn find_unread(&self, identity: &Identity) -> Result<Option<Row>, ReadError> {
        self.readers
            .read(|connection| row::find(connection, identity))
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

/// The fault of a value that no user key could ever open.
fn no_token(row: &Row) -> Option<&'static str> {
    let token = row.content.as_ref().and_then(Content::token)?;
    token_time(token)
        .is_none()
        .then_some("its value is no Fernet token")
}
