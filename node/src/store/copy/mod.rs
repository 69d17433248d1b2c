//! Copies of a whole store, from one kind of database into the other: rows unchanged, with ciphertext, seals, versions, times
//! and deletes.
//!
//! | file | idea |
//! |---|---|
//! | `compare` | makes one table equal to another one, by their differences |
//! | `error` | why a store was not copied |
//!
//! A repeated run goes on with an interrupted copy, and with a database that a node still writes to it copies the later writes.
//! No node serves the target before its copy is finished: no node may use the source then, nor have written to it since the run
//! began to read.

mod compare;
mod error;

use std::path::Path;

pub use compare::Progress;
pub(in crate::store) use compare::{Mark, Table, Target};
pub use error::CopyError;

use super::{
    postgres::{self, PostgresSettings, Uid},
    sqlite,
};
use crate::{crypto::Salt, domain::Incarnation};

/// Rows whose names and stamps are read at a time.
pub(in crate::store) const PAGE: usize = 1000;

/// Which store a shared database must be.
#[derive(Debug, Clone, Copy)]
pub struct SharedStore<'s> {
    /// How it is reached.
    pub settings: &'s PostgresSettings,
    /// The cluster of the store (`OSC_CLUSTER_ID`).
    pub cluster: &'s str,
    /// The salt of all its values.
    pub salt: &'s Salt,
}

/// The result of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Live entries of the source.
    pub entries: u64,
    /// Deletes that the store still knows.
    pub tombstones: u64,
    /// Those of them that this run wrote.
    pub written: u64,
    /// Rows that this run removed: the source has forgotten them since an earlier run.
    pub removed: u64,
    /// Losing versions of conflicts, which stay behind.
    pub conflicts: u64,
    /// Whether nodes may serve the target.
    pub rest: Rest,
}

/// What a source has beside what was read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Whether a node still uses it.
    pub is_in_use: bool,
    /// Rows that were written since the copy began to read.
    pub written_since: u64,
}

impl Rest {
    /// Whether there is nothing left to copy.
    pub fn is_nothing(&self) -> bool {
        !self.is_in_use && self.written_since == 0
    }
}

/// What the runs of one command have in common. The last commit of a run may succeed without an answer: the next run finds
/// out by the uid that the copy is finished, and touches nothing, since nodes may serve it already.
#[derive(Debug)]
pub struct Ending {
    /// The store's own name once it is a cluster's.
    uid: Uid,
    /// The result of the run that asked for that.
    copied: Option<Copied>,
}

impl Default for Ending {
    fn default() -> Self {
        Self {
            uid: Uid::random(),
            copied: None,
        }
    }
}

/// Copies the store in a file into the shared database, and makes its tables where there are none. When this returns, the
/// target equals the source as of its beginning.
///
/// # Errors
/// Where the target is a store already, the salts differ, a row is damaged, or one of both cannot be read or written. Copied
/// rows stay, and the next run goes on from them.
pub async fn into_shared(
    from: &Path,
    to: SharedStore<'_>,
    ending: &mut Ending,
    progress: &mut dyn FnMut(Progress),
) -> Result<Copied, CopyError> {
    if let Some(copied) = ending.copied
        && postgres::CopyTarget::is_finished(to.settings, &ending.uid).await?
    {
        return Ok(copied);
    }
    let mut source = sqlite::CopySource::open(from, to.salt)?;
    let fingerprint = to.salt.fingerprint().to_string();
    let mut target = postgres::CopyTarget::open(to.settings, to.cluster, &fingerprint).await?;
    let brought = compare::bring_over(&mut source, &mut target, progress).await?;
    compare::must_equal(&brought.digest, &mut target).await?;
    let conflicts = source.conflicts()?;
    let clock = source.latest_clock()?.max(brought.latest);
    let rest = source.rest()?;
    let copied = brought.into_copied(conflicts, rest);
    if rest.is_nothing() {
        ending.copied = Some(copied);
        target.finish(clock, &ending.uid).await?;
    }
    Ok(copied)
}

/// Copies the store in the database that nodes share into a file, which must not exist. Its node has this incarnation, and
/// writes the salt beside it when it starts.
///
/// # Errors
/// As [`into_shared`].
pub async fn out_of_shared(
    from: SharedStore<'_>,
    to: &Path,
    incarnation: Incarnation,
    progress: &mut dyn FnMut(Progress),
) -> Result<Copied, CopyError> {
    let fingerprint = from.salt.fingerprint().to_string();
    let mut source = postgres::CopySource::open(from.settings, from.cluster, &fingerprint).await?;
    let mut target = sqlite::CopyTarget::open(to, from.salt, incarnation)?;
    let brought = compare::bring_over(&mut source, &mut target, progress).await?;
    compare::must_equal(&brought.digest, &mut target).await?;
    let clock = source.forgotten().max(brought.latest);
    let rest = source.rest().await?;
    if rest.is_nothing() {
        target.finish(clock)?;
    }
    Ok(brought.into_copied(0, rest))
}
