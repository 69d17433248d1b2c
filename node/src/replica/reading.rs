//! Reads of a replica's database for other nodes and the cluster admin, beyond those that every store of entries offers.

use super::Replica;
use crate::{
    cluster::{Digest, Scan},
    domain::{Clock, Identity},
    store::{
        Measured, ReadError,
        sqlite::{HomeValue, SCHEMA_VERSION},
    },
};

impl Replica {
    /// Scans the rows as they are committed now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn digest(&self, scan: Scan) -> Result<Digest, ReadError> {
        self.reader.digest(scan).await
    }

    /// How long the content of rows is, in bytes; 0 where there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn content_bytes(&self, of: &Measured) -> Result<usize, ReadError> {
        self.reader.content_bytes(of).await
    }

    /// Values that this node holds, in no order: one at least, if there is any, then as many as fit.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn home_values(
        &self,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<HomeValue>, ReadError> {
        self.reader.home_values(most, bytes).await
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
        self.reader.written_before(before, most).await
    }

    /// The version of the database's schema.
    pub fn schema_version(&self) -> usize {
        SCHEMA_VERSION
    }
}
