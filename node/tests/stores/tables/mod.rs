//! What the engine may expect of its tables (`cluster::Tables`): one set of cases, for SQLite and for the disk in memory on which
//! the simulation and the search run. Each case also fails over tables that lose one kind of write.

mod broken;
mod cases;
mod rows;
#[expect(dead_code, reason = "no disk of these cases fails")]
#[path = "../../simulation/disk.rs"]
mod simulated;
mod sqlite;

use std::fmt;

use broken::{Losing, Lost};
use opensecureconf_node::{cluster::Tables, domain::Incarnation};
use simulated::Disk;

/// The incarnation of every database here when it is made.
const OWN: Incarnation = Incarnation::from_raw(1);

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Commits,
    IsDropped,
}

/// Tables of which each transaction can be kept or dropped.
trait Subject {
    type Error: fmt::Debug;

    /// Runs one transaction.
    fn transact(&mut self, end: End, work: &mut dyn FnMut(&mut dyn Tables<Error = Self::Error>));

    /// Writes something and keeps it.
    fn write(&mut self, mut work: impl FnMut(&mut dyn Tables<Error = Self::Error>))
    where
        Self: Sized,
    {
        self.transact(End::Commits, &mut work);
    }

    /// Reads something, in a transaction of its own.
    fn read<T>(&mut self, work: impl Fn(&mut dyn Tables<Error = Self::Error>) -> T) -> T
    where
        Self: Sized,
    {
        let mut read = None;
        self.transact(End::Commits, &mut |tables| read = Some(work(tables)));
        read.unwrap()
    }
}

/// The most rows of an answer of the disk in memory: more than any case writes.
const PAGE: usize = 100;

impl Subject for Disk {
    type Error = simulated::Failed;

    fn transact(&mut self, end: End, work: &mut dyn FnMut(&mut dyn Tables<Error = Self::Error>)) {
        work(self);
        match end {
            End::Commits => drop(self.commit().unwrap()),
            End::IsDropped => self.roll_back(),
        }
    }
}

/// Each case over each implementation, and over one that loses the write that the case is about.
macro_rules! each_case {
    ($($case:ident fails_without $lost:ident;)*) => {
        mod over_sqlite {
            use super::{cases, sqlite::Sqlite};
            $(#[test]
            fn $case() {
                cases::$case(&mut Sqlite::new());
            })*
        }
        mod over_the_disk_in_memory {
            use super::{Disk, OWN, PAGE, cases};
            $(#[test]
            fn $case() {
                cases::$case(&mut Disk::new(OWN, PAGE));
            })*
        }
        mod over_tables_that_lose_a_write {
            use super::{Disk, Losing, Lost, OWN, PAGE, cases};
            $(#[test]
            #[should_panic(expected = "assertion")]
            fn $case() {
                let disk = Disk::new(OWN, PAGE);
                cases::$case(&mut Losing { disk, lost: Lost::$lost });
            })*
        }
    };
}

each_case! {
    counters_are_those_written_last fails_without Counters;
    a_row_stands_with_the_hash_that_came_with_it fails_without Row;
    a_change_moves_its_row_to_the_end_of_the_feed fails_without Row;
    pages_have_each_row_once_in_order_of_names fails_without Row;
    one_row_at_least_is_given_then_as_many_as_fit fails_without Row;
    old_tombstones_are_found_and_purged_and_live_rows_are_neither fails_without Purge;
    a_value_is_held_with_its_seal_beside_the_row fails_without Value;
    a_dropped_value_is_gone fails_without DropValue;
    values_of_earlier_lives_are_told_from_those_of_this_one fails_without Value;
    a_losing_version_is_kept_once_and_taken_once fails_without Conflict;
    of_each_member_the_latest_cursor_counts fails_without Cursor;
    roster_membership_and_salt_are_those_written_last fails_without Records;
    a_snapshot_takes_the_place_of_all_rows fails_without Staged;
    a_snapshot_that_was_cleared_is_not_taken_over fails_without Cleared;
    newer_rows_than_those_of_a_snapshot_become_losing_versions fails_without Staged;
    values_that_a_directory_lacks_become_losing_versions fails_without Staged;
    nothing_is_left_of_a_dropped_transaction fails_without Rollback;
}
