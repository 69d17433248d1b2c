//! The latest primary: each promotion begins another timeline, and a server of an earlier one is no primary any more, even if
//! it still acts as one.

use std::sync::{
    Arc,
    atomic::{AtomicI32, Ordering},
};

use super::PostgresError;

/// SQL: the timeline that the server writes on; NULL for a standby. Read from the log's file name, since the control file shows
/// a promotion only after its first checkpoint.
pub(super) const TIMELINE: &str = "CASE WHEN NOT pg_is_in_recovery() THEN \
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END";

/// The latest timeline that this process has seen.
#[derive(Debug, Clone, Default)]
pub(super) struct LatestTimeline(Arc<AtomicI32>);

impl LatestTimeline {
    /// The latest so far; 0 where none was seen.
    pub(super) fn get(&self) -> i32 {
        self.0.load(Ordering::Acquire)
    }

    /// Notes a server's timeline; refuses a standby and a primary that was replaced.
    pub(super) fn accept(&self, told: Option<i32>) -> Result<(), PostgresError> {
        let Some(found) = told else {
            return Err(PostgresError::Standby);
        };
        let latest = self.0.fetch_max(found, Ordering::AcqRel).max(found);
        if found < latest {
            return Err(PostgresError::Replaced { found, latest });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_primary_is_refused_and_a_promoted_one_is_not() {
        let latest = LatestTimeline::default();
        for told in [1, 1, 3] {
            latest.accept(Some(told)).unwrap();
        }
        let refused = latest.accept(Some(2)).unwrap_err();
        assert!(matches!(
            refused,
            PostgresError::Replaced {
                found: 2,
                latest: 3
            }
        ));
        assert!(matches!(latest.accept(None), Err(PostgresError::Standby)));
        assert_eq!(latest.get(), 3);
    }
}
