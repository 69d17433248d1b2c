//! The primary's report on itself: the durability of a commit, and the number of standbys. And a node's use of it.

use std::time::Duration;

use super::{PostgresError, PostgresStore, connections::ConnectionUse, now, timeline::TIMELINE};
use crate::store::ReadError;

/// The database's primary, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// Its release.
    pub version: String,
    /// The number of promotions before it, plus one.
    pub timeline: i32,
    /// The setting that decides what a commit waits for.
    pub synchronous_commit: String,
    /// Which standbys it waits for; empty for none.
    pub synchronous_standby_names: String,
    /// How many standbys follow it.
    pub standbys: i64,
    /// How many of them commits wait for; `None` where the role may not read it.
    pub synchronous_standbys: Option<i64>,
}

/// A node's use of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseUsage {
    /// Connections for reading.
    pub reads: ConnectionUse,
    /// Connections for writing.
    pub writes: ConnectionUse,
    /// Commits that still wait for a standby, although their callers were answered already.
    pub commits_set_aside: usize,
    /// Writes since the start of which it is not known whether they were made.
    pub unknown_commits: u64,
    /// For how long the earliest change has waited that readers of changes are not given yet, because a transaction that began
    /// before it is open.
    pub changes_held_back: Duration,
    /// The latest timeline of the database; 0 where none was seen.
    pub timeline: i32,
}

impl PostgresStore {
    /// Asks the primary for its report.
    ///
    /// # Errors
    /// Where it does not answer in time.
    pub async fn primary(&self) -> Result<Primary, ReadError> {
        Ok(self.ask_primary().await?)
    }

    async fn ask_primary(&self) -> Result<Primary, PostgresError> {
        // Of other roles' standbys this role sees the number, but no details.
        let sql = format!(
            "SELECT {TIMELINE}, current_setting('server_version'), current_setting('synchronous_commit'), \
             current_setting('synchronous_standby_names'), s.standbys, s.synchronous FROM (SELECT count(*) AS standbys, \
             CASE WHEN count(*) = count(sync_state) THEN count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) END \
             AS synchronous FROM pg_stat_replication) AS s"
        );
        let rows = self.read(&sql, &[], self.deadline()).await?;
        let Some(row) = rows.first() else {
            return Err(PostgresError::Standby);
        };
        Ok(Primary {
            version: row.try_get(1)?,
            timeline: row.try_get::<_, Option<i32>>(0)?.unwrap_or_default(),
            synchronous_commit: row.try_get(2)?,
            synchronous_standby_names: row.try_get(3)?,
            standbys: row.try_get(4)?,
            synchronous_standbys: row.try_get(5)?,
        })
    }

    /// This node's use of the database, as far as it knows without a query.
    pub fn usage(&self) -> DatabaseUsage {
        let shared = &self.0;
        DatabaseUsage {
            reads: shared.connections.reads.usage(),
            writes: shared.connections.writes.usage(),
            commits_set_aside: shared.writes.count_set_aside(),
            unknown_commits: shared.condition.unknown(),
            changes_held_back: shared.condition.held_back(now()),
            timeline: shared.connections.timeline.get(),
        }
    }
}
