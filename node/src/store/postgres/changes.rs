//! Changes in an order that no late commit disturbs: a reader sees only changes of transactions that no running one can precede
//! any more.

use tokio::time::Instant;

use super::{
    PostgresError, PostgresStore,
    columns::{self, COLUMNS_OF_E, OwnedParameter},
    commit::here,
    timeline::TIMELINE,
    transaction::Statement,
};
use crate::{
    domain::Timestamp,
    store::{ChangeCursor, Changes},
};

/// Ciphertext of a page of changes, in bytes, before it ends; it has one entry at least.
const PAGE_BYTES: i64 = 1 << 20;

/// Changes that one transaction forgets.
const FORGOTTEN_AT_ONCE: i64 = 1000;

/// A place among all changes of one life of a database: later changes are reported, and none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Which store, on which server, since which promotion.
    life: String,
    xid: i64,
    number: i64,
}

impl Place {
    fn cursor(&self) -> ChangeCursor {
        ChangeCursor::new(format!(
            "{}-{:016x}-{:016x}",
            self.life, self.xid, self.number
        ))
    }

    /// The place of a cursor; `None` for a text that no store of this kind has made.
    fn of(cursor: &ChangeCursor) -> Option<Self> {
        let number = |digits: &str| {
            let number = i64::from_str_radix(digits, 16).ok()?;
            (number >= 0 && format!("{number:016x}") == digits).then_some(number)
        };
        let mut parts = cursor.as_str().split('-');
        let (life, xid, place) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            life: life.to_owned(),
            xid: number(xid)?,
            number: number(place)?,
        })
        .filter(|_| parts.next().is_none())
    }

    /// Whether each change behind this place is there, where those of transactions up to one are forgotten. A place within that
    /// one may have changes of it behind itself.
    fn comes_after(&self, forgotten: i64) -> bool {
        self.order() >= (forgotten, i64::MAX)
    }

    fn order(&self) -> (i64, i64) {
        (self.xid, self.number)
    }
}

/// The database's answer about its changes.
struct Found {
    /// The place behind the latest change that may be reported.
    latest: Place,
    /// Up to which transaction changes are forgotten.
    forgotten: i64,
    rows: Vec<tokio_postgres::Row>,
}

/// The first column of a change; the columns before describe the log.
const CHANGE: usize = 5;

impl PostgresStore {
    /// The cursor behind the latest change that may be reported.
    pub(super) async fn latest_cursor(&self) -> Result<ChangeCursor, PostgresError> {
        let found = self.look_at_changes(0, i64::MAX, 0).await?;
        Ok(found.latest.cursor())
    }

    /// The entries that changed after a cursor, in their present state, at most `most`.
    pub(super) async fn changes_after(
        &self,
        after: &ChangeCursor,
        most: usize,
    ) -> Result<Changes, PostgresError> {
        let Some(after) = Place::of(after) else {
            return Ok(Changes::BeginAgain);
        };
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let found = self.look_at_changes(after.xid, after.number, most).await?;
        let is_known = after.life == found.latest.life
            && after.comes_after(found.forgotten)
            && after.order() <= found.latest.order();
        if !is_known {
            return Ok(Changes::BeginAgain);
        }
        let (mut rows, mut next, mut all) = (Vec::new(), after, 0_i64);
        for row in &found.rows {
            let Some(count) = row.try_get::<_, Option<i64>>(CHANGE)? else {
                continue;
            };
            if i64::try_from(rows.len()).is_ok_and(|told| told >= most) {
                break;
            }
            all = count;
            next.xid = row.try_get(CHANGE + 1)?;
            next.number = row.try_get(CHANGE + 2)?;
            rows.extend(columns::read(row, CHANGE + 3)?);
        }
        let is_all = i64::try_from(rows.len()).is_ok_and(|told| told == all);
        let next = if is_all { found.latest } else { next };
        Ok(Changes::Since {
            rows,
            next: next.cursor(),
        })
    }

    /// The changes after a place whose versions still stand, and the end of the log.
    async fn look_at_changes(
        &self,
        xid: i64,
        number: i64,
        most: i64,
    ) -> Result<Found, PostgresError> {
        let sql = format!(
            "WITH life AS MATERIALIZED (SELECT {TIMELINE} AS timeline, (SELECT system_identifier FROM \
             pg_control_system()) AS system, pg_snapshot_xmin(pg_current_snapshot()) AS xmin), \
             standing AS MATERIALIZED (SELECT c.xid, c.number, {COLUMNS_OF_E} FROM opensecureconf.changes AS c \
             JOIN opensecureconf.entries AS e ON e.environment = c.environment AND e.key = c.key AND e.clock = c.clock \
             AND e.incarnation = c.incarnation WHERE (c.xid, c.number) > ($1::bigint::text::xid8, $2::bigint) \
             AND c.xid < (SELECT xmin FROM life) ORDER BY c.xid, c.number LIMIT $3), \
             sized AS (SELECT e.*, count(*) OVER () AS found, coalesce(sum(coalesce(octet_length(e.token), 0)) OVER \
             (ORDER BY e.xid, e.number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before FROM standing AS e) \
             SELECT life.timeline, life.system, i.uid, i.changes_from, l.xid::text::bigint, \
             e.found, e.xid::text::bigint, e.number, {COLUMNS_OF_E} FROM life LEFT JOIN opensecureconf.identity AS i ON true \
             LEFT JOIN LATERAL (SELECT xid FROM opensecureconf.changes WHERE xid < life.xmin \
             ORDER BY xid DESC LIMIT 1) AS l ON true \
             LEFT JOIN sized AS e ON e.before < $4 ORDER BY e.xid, e.number"
        );
        // One more row shows whether that is all.
        let limit = most.saturating_add(i64::from(most > 0));
        let rows = self
            .read(&sql, &[&xid, &number, &limit, &PAGE_BYTES], self.deadline())
            .await?;
        let Some(first) = rows.first() else {
            return Err(PostgresError::Standby);
        };
        let system: i64 = first.try_get(1)?;
        let timeline: i32 = first.try_get::<_, Option<i32>>(0)?.unwrap_or_default();
        let uid: Option<&str> = first.try_get(2)?;
        let forgotten = first.try_get::<_, Option<i64>>(3)?.unwrap_or(i64::MAX);
        let last: Option<i64> = first.try_get(4)?;
        // Behind the whole transaction: all its changes came at once.
        let (xid, number) = (last.unwrap_or_default().max(forgotten), i64::MAX);
        let life = format!("{}{system:016x}{timeline:08x}", uid.unwrap_or_default());
        Ok(Found {
            latest: Place { life, xid, number },
            forgotten,
            rows,
        })
    }

    /// Forgets changes that were written before a time, and tombstones together with their changes; returns how many of each.
    /// A reader of changes that is further behind begins again. The call ends after the time of a request: the next one goes on.
    ///
    /// # Errors
    /// As [`Self::commit_write`].
    pub async fn forget(&self, before: Timestamp) -> Result<i64, PostgresError> {
        let until = self.deadline();
        let mut forgotten = 0;
        loop {
            let some = self.forget_some(before).await?;
            forgotten += some;
            // Other nodes forget changes as well: this call does not find the changes that they deleted meanwhile.
            if some < FORGOTTEN_AT_ONCE || Instant::now() >= until {
                return Ok(forgotten);
            }
        }
    }

    /// Forgets the earliest of these changes, in one transaction.
    async fn forget_some(&self, before: Timestamp) -> Result<i64, PostgresError> {
        let mut parameters: Vec<OwnedParameter> =
            vec![Box::new(before.as_micros()), Box::new(FORGOTTEN_AT_ONCE)];
        parameters.extend(self.guards()?.into_iter().take(2));
        let statement = Statement {
            sql: format!(
                "WITH {}, gone AS (DELETE FROM opensecureconf.changes AS c USING here WHERE here.ours AND (c.xid, c.number) \
                 IN (SELECT xid, number FROM opensecureconf.changes WHERE changed_at < $1::bigint \
                 AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY changed_at LIMIT $2::bigint) \
                 RETURNING c.xid, c.environment, c.key, c.clock, c.incarnation, c.deleted), \
                 tombstones AS (DELETE FROM opensecureconf.entries AS e USING gone WHERE gone.deleted \
                 AND e.environment = gone.environment AND e.key = gone.key AND e.clock = gone.clock \
                 AND e.incarnation = gone.incarnation AND e.token IS NULL RETURNING e.clock), \
                 noted AS (UPDATE opensecureconf.identity SET changes_from = greatest(changes_from, \
                 (SELECT max(xid::text::bigint) FROM gone)), clocks_from = greatest(clocks_from, \
                 (SELECT max(clock) FROM tombstones)) WHERE EXISTS (SELECT FROM gone)) \
                 SELECT here.timeline, here.ours, (SELECT count(*) FROM gone), here.forgotten FROM here",
                here(2)
            ),
            parameters,
        };
        Ok(self.write(statement, self.deadline()).await?.rows)
    }
}
