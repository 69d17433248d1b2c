//! The latest primary: each promotion begins another timeline, and a server of an earlier one is no primary any more, even if
//! it still acts as one.

use tokio::sync::watch;

use super::{PostgresError, retirement::Retirement};

/// SQL: the timeline that the server writes on; NULL for a standby. Read from the log's file name, since the control file shows
/// a promotion only after its first checkpoint.
pub(super) const TIMELINE: &str = "CASE WHEN NOT pg_is_in_recovery() THEN \
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END";

/// The latest timeline that this process has seen. All clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct LatestTimeline {
    latest: watch::Sender<i32>,
    /// Ends the existing connections at a later timeline.
    retirement: Retirement,
}

impl LatestTimeline {
    /// The process has seen no timeline yet.
    pub(super) fn ending(retirement: &Retirement) -> Self {
        Self {
            latest: watch::Sender::default(),
            retirement: retirement.clone(),
        }
    }

    /// The latest so far; 0 where none was seen.
    pub(super) fn get(&self) -> i32 {
        *self.latest.borrow()
    }

    /// Ends when the process sees a later one than this.
    pub(super) async fn passes(&self, one: i32) {
        // It has a sender: this one.
        let _ = self
            .latest
            .subscribe()
            .wait_for(|latest| *latest > one)
            .await;
    }

    /// Notes a server's timeline; refuses a standby and a primary that was replaced. Connections from before a promotion may lead
    /// to a replaced primary, which still answers reads: the node no longer uses them.
    pub(super) fn accept(&self, told: Option<i32>) -> Result<(), PostgresError> {
        let Some(found) = told else {
            return Err(PostgresError::Standby);
        };
        // What almost every answer says. It takes no lock from others.
        if found == self.get() {
            return Ok(());
        }
        let mut before = 0;
        self.latest.send_if_modified(|latest| {
            before = *latest;
            if found <= before {
                return false;
            }
            // Before others learn of it: none of them is to get one of these connections afterwards.
            if before != 0 {
                self.retirement.retire_all();
            }
            *latest = found;
            true
        });
        if found < before {
            let latest = before;
            return Err(PostgresError::Replaced { found, latest });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use deadpool_postgres::Metrics;

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

    #[tokio::test]
    async fn who_waits_for_a_promotion_learns_of_it() {
        let latest = LatestTimeline::default();
        latest.accept(Some(7)).unwrap();
        let ((), accepted) = tokio::join!(latest.passes(7), async { latest.accept(Some(8)) });
        accepted.unwrap();
        latest.passes(7).await;
    }

    #[test]
    fn a_promotion_ends_the_connections_that_there_were() {
        let retirement = Retirement::default();
        let latest = LatestTimeline::ending(&retirement);
        let there = Metrics::default();
        for told in [7, 7] {
            latest.accept(Some(told)).unwrap();
            assert!(!retirement.is_due(&there), "nothing was promoted");
        }
        latest.accept(Some(8)).unwrap();
        assert!(retirement.is_due(&there));
    }
}
