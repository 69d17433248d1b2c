//! Purging: a tombstone is forgotten only when every node that could bring the entry back knows of it.

use super::{Engine, Event, Now, Output};
use crate::{
    cluster::limits::purge::ROWS,
    cluster::{Rule, Tables},
    domain::Timestamp,
};

impl Engine {
    pub(super) fn purge<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if self.is_suspected() {
            return Ok(());
        }
        let known_to_all = self
            .counting()
            .map(|member| self.settled.get(&member).copied().unwrap_or_default())
            .min()
            .unwrap_or(self.last);
        let up_to = if self.setup.rules.hold(Rule::PurgeWaitsForAll) {
            known_to_all
        } else {
            self.last
        };
        let grace = i64::try_from(self.setup.grace.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::from_micros(now.wall.as_micros().saturating_sub(grace));
        let tombstones = tables.tombstones(up_to, before, ROWS)?;
        let Some((last, _)) = tombstones.last() else {
            return Ok(());
        };
        self.membership.purged = self.membership.purged.max(*last);
        for (_, identity) in &tombstones {
            if let Some(row) = tables.row(identity)? {
                self.membership.purged_clock = self.membership.purged_clock.max(row.version.clock);
            }
            tables.purge(identity)?;
        }
        self.changed.counters = true;
        self.put_membership(tables)?;
        out.push(Output::Event(Event::Purged {
            count: u64::try_from(tombstones.len()).unwrap_or(u64::MAX),
            up_to: *last,
        }));
        Ok(())
    }
}
