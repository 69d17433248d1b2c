//! Rows of a list whose tokens did not come with them: they are fetched as the list comes to them, about a megabyte at a time.

use std::collections::VecDeque;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::{
    PostgresError,
    columns::{COLUMNS_OF_E, withheld},
    listing::FETCH_BYTES,
};

/// The large rows of one fetch, in its order.
pub(super) struct LargeRows<'f> {
    waiting: VecDeque<Large<'f>>,
    fetched: VecDeque<Row>,
}

/// A row that is not fetched yet.
struct Large<'f> {
    environment: &'f [u8],
    key: &'f [u8],
    size: usize,
}

impl<'f> LargeRows<'f> {
    /// Those of these rows that came without a token of more than so many bytes.
    pub(super) fn of(rows: &'f [Row], more_than: usize) -> Result<Self, PostgresError> {
        let mut waiting = VecDeque::new();
        for row in rows {
            if let Some(size) = withheld(row, 0, more_than)? {
                waiting.push_back(Large {
                    environment: row.try_get(0)?,
                    key: row.try_get(1)?,
                    size,
                });
            }
        }
        Ok(Self {
            waiting,
            fetched: VecDeque::new(),
        })
    }

    /// The next one as a whole. The transaction sees one state, so that each of them is there.
    pub(super) async fn next(&mut self, from: &Transaction<'_>) -> Result<Row, PostgresError> {
        if self.fetched.is_empty() {
            self.fetch(from).await?;
        }
        let gone = || PostgresError::Away("a row is gone within one state of it".into());
        self.fetched.pop_front().ok_or_else(gone)
    }

    async fn fetch(&mut self, from: &Transaction<'_>) -> Result<(), PostgresError> {
        let count = fitting(self.waiting.iter().map(|large| large.size));
        let next = self.waiting.drain(..count.min(self.waiting.len()));
        let (environments, keys): (Vec<_>, Vec<_>) =
            next.map(|large| (large.environment, large.key)).unzip();
        let sql = format!(
            "SELECT {COLUMNS_OF_E} FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS n (environment, key, place) \
             JOIN opensecureconf.entries AS e ON e.environment = n.environment AND e.key = n.key ORDER BY n.place"
        );
        let statement = from.prepare_cached(&sql).await?;
        let rows = from.query(&statement, &[&environments, &keys]).await?;
        self.fetched = rows.into();
        Ok(())
    }
}

/// How many of these sizes are a megabyte at most together; one at least.
fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0_usize;
    let fits = |size: &usize| {
        bytes = bytes.saturating_add(*size);
        bytes <= FETCH_BYTES
    };
    sizes.take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_a_megabyte_is_fetched_at_a_time_and_one_row_at_least() {
        let count = |sizes: &[usize]| fitting(sizes.iter().copied());
        assert_eq!(count(&[FETCH_BYTES * 2, 1]), 1);
        assert_eq!(count(&[FETCH_BYTES / 2, FETCH_BYTES / 2, 1]), 2);
        assert_eq!(count(&[9000; 1024]), 116);
    }
}
