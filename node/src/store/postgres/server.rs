//! What the primary says of itself: what a commit waits for, and how many standbys follow.

use super::{PostgresError, PostgresStore, timeline::TIMELINE};
use crate::store::ReadError;

/// The database's primary, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// Its release.
    pub version: String,
    /// How many promotions there were before it, and one.
    pub timeline: i32,
    /// What a commit waits for.
    pub synchronous_commit: String,
    /// Which standbys it waits for; empty for none.
    pub synchronous_standby_names: String,
    /// How many standbys follow it.
    pub standbys: i64,
    /// How many of them commits wait for; `None` where the role may not know it.
    pub synchronous_standbys: Option<i64>,
}

impl PostgresStore {
    /// Asks the primary.
    ///
    /// # Errors
    /// Where it does not answer in time.
    pub async fn primary(&self) -> Result<Primary, ReadError> {
        Ok(self.ask_primary().await?)
    }

    async fn ask_primary(&self) -> Result<Primary, PostgresError> {
        // Of other roles' standbys one sees that they are there, and not what they are.
        let sql = format!(
            "SELECT pg_is_in_recovery(), current_setting('server_version'), {TIMELINE}, current_setting('synchronous_commit'), \
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
            timeline: row.try_get::<_, Option<i32>>(2)?.unwrap_or_default(),
            synchronous_commit: row.try_get(3)?,
            synchronous_standby_names: row.try_get(4)?,
            standbys: row.try_get(5)?,
            synchronous_standbys: row.try_get(6)?,
        })
    }

    /// Commits that still wait for a standby, although their callers were answered already.
    pub fn commits_set_aside(&self) -> usize {
        self.0.writes.count_set_aside()
    }
}
