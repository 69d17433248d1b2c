//! Makes one table equal to another one: a walk through both in the order of their names finds the differences.

use std::{cmp::Ordering, vec};

use super::{Copied, CopyError, Rest};
use crate::{
    cluster::TableDigest,
    domain::{Clock, Identity, Row, Stamp},
};

/// Rows that one transaction writes at most.
const ROWS_AT_ONCE: usize = 500;
/// Ciphertext that is held at a time, in bytes, before it is written.
const BYTES_AT_ONCE: usize = 4 << 20;
/// Rows of the source between two reports.
const REPORTED: u64 = 10_000;

/// A row as far as tables are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Mark {
    pub(in crate::store) identity: Identity,
    pub(in crate::store) stamp: Stamp,
    pub(in crate::store) is_live: bool,
    /// The length of its ciphertext, in bytes.
    pub(in crate::store) size: usize,
}

/// The rows of one database.
pub(in crate::store) trait Table {
    /// The next rows after one, in (environment, key) byte order; none at the end.
    async fn marks(&mut self, after: Option<&Identity>) -> Result<Vec<Mark>, CopyError>;

    /// These rows in full, in that order; each matches its hash.
    async fn rows(&mut self, names: &[Identity]) -> Result<Vec<Row>, CopyError>;
}

/// A table that becomes another one's copy.
pub(in crate::store) trait Target: Table {
    /// Writes rows over any rows of their names; durable when this returns.
    async fn put(&mut self, rows: &[Row]) -> Result<(), CopyError>;

    /// Removes rows.
    async fn remove(&mut self, names: &[Identity]) -> Result<(), CopyError>;
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows of the source that were looked at.
    pub looked_at: u64,
    /// Those of them that this run wrote.
    pub written: u64,
}

/// The rows of the source, and the changes to the target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Brought {
    /// Of the source.
    pub(super) digest: TableDigest,
    /// The latest clock of its rows that a real clock can have made.
    pub(super) latest: Clock,
    entries: u64,
    tombstones: u64,
    written: u64,
    removed: u64,
}

impl Brought {
    fn found(&mut self, mark: &Mark) {
        self.digest.add(&mark.identity, mark.stamp);
        let clock = mark.stamp.version.clock;
        if clock.is_plausible() {
            self.latest = self.latest.max(clock);
        }
        if mark.is_live {
            self.entries += 1;
        } else {
            self.tombstones += 1;
        }
    }

    fn looked_at(&self) -> u64 {
        self.entries + self.tombstones
    }

    fn progress(&self) -> Progress {
        Progress {
            looked_at: self.looked_at(),
            written: self.written,
        }
    }

    pub(super) fn into_copied(self, conflicts: u64, rest: Rest) -> Copied {
        Copied {
            entries: self.entries,
            tombstones: self.tombstones,
            written: self.written,
            removed: self.removed,
            conflicts,
            rest,
        }
    }
}

/// A place in a table.
#[derive(Debug, Default)]
struct Walk {
    page: vec::IntoIter<Mark>,
    last: Option<Identity>,
    is_over: bool,
}

impl Walk {
    async fn next(&mut self, table: &mut impl Table) -> Result<Option<Mark>, CopyError> {
        if let Some(mark) = self.page.next() {
            return Ok(Some(mark));
        }
        if self.is_over {
            return Ok(None);
        }
        let page = table.marks(self.last.as_ref()).await?;
        match page.last() {
            Some(last) => self.last = Some(last.identity.clone()),
            None => self.is_over = true,
        }
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

/// The pending changes to the target.
#[derive(Debug, Default)]
struct Pending {
    put: Vec<Identity>,
    bytes: usize,
    remove: Vec<Identity>,
}

impl Pending {
    fn is_full(&self) -> bool {
        self.put.len().max(self.remove.len()) >= ROWS_AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }

    /// Carries the changes out, and reads the written rows back.
    async fn carry_out(
        &mut self,
        source: &mut impl Table,
        target: &mut impl Target,
        brought: &mut Brought,
    ) -> Result<(), CopyError> {
        let Self { put, remove, .. } = std::mem::take(self);
        if !put.is_empty() {
            let rows = source.rows(&put).await?;
            target.put(&rows).await?;
            if target.rows(&put).await? != rows {
                return Err(CopyError::Differs);
            }
            brought.written += rows.len() as u64;
        }
        if !remove.is_empty() {
            target.remove(&remove).await?;
            brought.removed += remove.len() as u64;
        }
        Ok(())
    }
}

/// Makes the target equal to the source.
pub(super) async fn bring_over(
    source: &mut impl Table,
    target: &mut impl Target,
    report: &mut dyn FnMut(Progress),
) -> Result<Brought, CopyError> {
    let (mut from, mut to) = (Walk::default(), Walk::default());
    let (mut brought, mut pending) = (Brought::default(), Pending::default());
    let mut reported = 0;
    let (mut wanted, mut there) = (from.next(source).await?, to.next(target).await?);
    loop {
        let order = match (&wanted, &there) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(wanted), Some(there)) => wanted.identity.cmp(&there.identity),
        };
        let here = if order.is_le() { wanted.take() } else { None };
        let known = if order.is_ge() { there.take() } else { None };
        match (here, known) {
            (Some(mark), known) => {
                brought.found(&mark);
                if known.is_none_or(|known| known.stamp != mark.stamp) {
                    pending.bytes += mark.size;
                    pending.put.push(mark.identity);
                }
                wanted = from.next(source).await?;
            }
            (None, Some(forgotten)) => pending.remove.push(forgotten.identity),
            (None, None) => {}
        }
        if order.is_ge() {
            there = to.next(target).await?;
        }
        if pending.is_full() {
            pending.carry_out(source, target, &mut brought).await?;
        }
        if brought.looked_at() >= reported + REPORTED {
            reported = brought.looked_at();
            report(brought.progress());
        }
    }
    pending.carry_out(source, target, &mut brought).await?;
    report(brought.progress());
    Ok(brought)
}

/// Makes sure that a table has this digest.
///
/// # Errors
/// [`CopyError::Differs`] where it has not.
pub(super) async fn must_equal(
    digest: &TableDigest,
    table: &mut impl Table,
) -> Result<(), CopyError> {
    let (mut walk, mut found) = (Walk::default(), TableDigest::default());
    while let Some(mark) = walk.next(table).await? {
        found.add(&mark.identity, mark.stamp);
    }
    if found == *digest {
        Ok(())
    } else {
        Err(CopyError::Differs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Content, Incarnation, Timestamp, Version};

    /// A table in memory, which gives few rows at a time and may fail.
    #[derive(Debug, Default)]
    struct Memory {
        rows: BTreeMap<Identity, Row>,
        /// How many more writes it accepts.
        writes: Option<usize>,
        /// Whether it alters the rows that it accepts.
        is_faulty: bool,
    }

    impl Table for Memory {
        async fn marks(&mut self, after: Option<&Identity>) -> Result<Vec<Mark>, CopyError> {
            let rows = self.rows.values();
            let rows = rows.filter(|row| after.is_none_or(|after| row.identity > *after));
            let marks = rows.take(3).map(|row| Mark {
                identity: row.identity.clone(),
                stamp: row.stamp(),
                is_live: !row.is_tombstone(),
                size: 1 << 20,
            });
            Ok(marks.collect())
        }

        async fn rows(&mut self, names: &[Identity]) -> Result<Vec<Row>, CopyError> {
            Ok(names
                .iter()
                .filter_map(|name| self.rows.get(name))
                .cloned()
                .collect())
        }
    }

    impl Target for Memory {
        async fn put(&mut self, rows: &[Row]) -> Result<(), CopyError> {
            match &mut self.writes {
                Some(0) => return Err(CopyError::NotEmpty),
                Some(left) => *left -= 1,
                None => {}
            }
            for row in rows {
                let mut row = row.clone();
                if self.is_faulty {
                    row.category = None;
                }
                self.rows.insert(row.identity.clone(), row);
            }
            Ok(())
        }

        async fn remove(&mut self, names: &[Identity]) -> Result<(), CopyError> {
            self.rows.retain(|name, _| !names.contains(name));
            Ok(())
        }
    }

    /// Rows of these names; a version of 0 is a tombstone.
    fn table(rows: &BTreeMap<String, u8>) -> Memory {
        let rows = rows.iter().map(|(key, version)| {
            let identity = Identity::of("", key).unwrap();
            let live = *version > 0;
            let row = Row {
                identity: identity.clone(),
                category: live.then(|| crate::domain::Category::new("c".into()).unwrap()),
                content: live.then(|| Content::Token(format!("gAAAA{version}"))),
                created_at: Timestamp::from_micros(1),
                updated_at: Timestamp::from_micros(2),
                version: Version {
                    clock: Clock::from_raw(i64::from(*version) + 7),
                    incarnation: Incarnation::from_raw(1),
                },
                clocks: BTreeMap::new(),
                extra: None,
            };
            (identity, row)
        });
        Memory {
            rows: rows.collect(),
            ..Memory::default()
        }
    }

    async fn copy(source: &mut Memory, target: &mut Memory) -> Result<Brought, CopyError> {
        let brought = bring_over(source, target, &mut |_| ()).await?;
        must_equal(&brought.digest, target).await?;
        Ok(brought)
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    proptest! {
        #[test]
        fn whatever_the_target_has_it_becomes_the_source(
            source in proptest::collection::btree_map("[a-d]{1,3}", 0..4_u8, 0..40),
            target in proptest::collection::btree_map("[a-d]{1,3}", 0..4_u8, 0..40),
            writes in 0..4_usize,
        ) {
            let (mut from, mut to) = (table(&source), table(&target));
            // A run that ends early leaves the rest to the next run.
            to.writes = Some(writes);
            let _ = block_on(copy(&mut from, &mut to));
            to.writes = None;
            let brought = block_on(copy(&mut from, &mut to)).unwrap();
            prop_assert_eq!(&to.rows, &from.rows);
            let live = source.values().filter(|version| **version > 0).count();
            prop_assert_eq!(brought.entries, live as u64);
            prop_assert_eq!(brought.tombstones, (source.len() - live) as u64);
            let again = block_on(copy(&mut from, &mut to)).unwrap();
            prop_assert_eq!((again.written, again.removed), (0, 0));
        }
    }

    #[test]
    fn a_target_that_keeps_something_else_is_found_out() {
        let rows = BTreeMap::from([("k".to_owned(), 1)]);
        let mut target = Memory {
            is_faulty: true,
            ..Memory::default()
        };
        let copied = block_on(copy(&mut table(&rows), &mut target));
        assert!(matches!(copied, Err(CopyError::Differs)), "{copied:?}");
        let other = BTreeMap::from([("k".to_owned(), 2)]);
        let digest = block_on(bring_over(
            &mut table(&rows),
            &mut table(&rows),
            &mut |_| (),
        ));
        let checked = block_on(must_equal(&digest.unwrap().digest, &mut table(&other)));
        assert!(matches!(checked, Err(CopyError::Differs)));
    }
}
