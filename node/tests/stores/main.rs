//! The promises of every store of entries (`store::EntryStore`): one set of cases, for SQLite, for PostgreSQL and for a store
//! in memory. Each case also fails on a store in memory that breaks its promise.
//!
//! [`tables`] does the same for what the engine may expect of its tables.
//!
//! A new store gets a [`Subject`](subject::Subject) beside `sqlite.rs`, and a line at the end of this file.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod cases;
mod copies;
mod entry;
#[path = "../it/free_port.rs"]
mod free_port;
mod memory;
mod postgres;
#[path = "../postgres/programs.rs"]
mod programs;
#[expect(dead_code, reason = "failovers are told in tests of their own")]
#[path = "../postgres/server.rs"]
mod server;
mod sqlite;
mod subject;
mod tables;

use memory::{Fault, Memory};

/// Turns of the runtime after which a case over a store in memory, which never waits for a disk, waits for ever.
const TURNS: usize = 10_000;

/// Whether a case ends well over a store with this fault.
async fn passes<F: Future<Output = ()> + Send + 'static>(
    case: impl FnOnce(Memory) -> F,
    fault: Fault,
) -> bool {
    let case = tokio::spawn(case(Memory::with(fault)));
    for _ in 0..TURNS {
        if case.is_finished() {
            return case.await.is_ok();
        }
        tokio::task::yield_now().await;
    }
    case.abort();
    false
}

/// Each case for each store; and a fault that makes it fail.
macro_rules! each_case {
    (every_store { $($file:ident::$case:ident fails_with $fault:ident;)* }
     stores_that_keep_losers { $($its_file:ident::$its_case:ident fails_with $its_fault:ident;)* }) => {
        mod over_postgres {
            use crate::{cases, postgres::Postgres};
            $(#[tokio::test]
            async fn $case() {
                cases::$file::$case(Postgres::new().await).await;
            })*
            #[tokio::test]
            async fn there_are_no_losing_versions() {
                cases::conflicts::there_are_no_losing_versions(Postgres::new().await).await;
            }
        }
        each_case! { @both $($file::$case fails_with $fault;)* $($its_file::$its_case fails_with $its_fault;)* }
    };
    (@both $($file:ident::$case:ident fails_with $fault:ident;)*) => {
        mod over_sqlite {
            use crate::{cases, sqlite::Sqlite};
            $(#[tokio::test]
            async fn $case() {
                cases::$file::$case(Sqlite::new()).await;
            })*
        }
        mod over_memory {
            use crate::{cases, memory::Fault, passes};
            $(#[tokio::test]
            async fn $case() {
                assert!(passes(cases::$file::$case, Fault::None).await);
            })*
        }
        mod over_a_broken_store {
            use crate::{cases, memory::Fault, passes};
            $(#[tokio::test]
            async fn $case() {
                assert!(!passes(cases::$file::$case, Fault::$fault).await);
            })*
        }
    };
}

each_case! {
    every_store {
        writes::a_name_is_created_once fails_with CreatesOverLiveEntries;
        writes::a_write_over_another_version_than_the_one_seen_is_refused fails_with WritesOverAnyVersion;
        writes::of_many_writes_over_one_version_one_stands fails_with WritesOverAnyVersion;
        writes::an_update_keeps_the_time_of_creation fails_with EveryWriteIsACreation;
        writes::a_deleted_entry_is_a_tombstone_with_the_version_of_its_delete fails_with ForgetsDeletesAtOnce;
        writes::no_version_comes_twice_not_even_after_deletes_are_forgotten fails_with VersionsBeginAnew;
        writes::whoever_waits_for_a_version_gets_it_when_it_is_written fails_with WakesNobody;
        writes::what_is_written_is_there_after_a_restart fails_with LosesTheLatestWrite;
        writes::a_repeated_request_writes_once fails_with CreatesOverLiveEntries;
        writes::what_stands_is_confirmed fails_with ConfirmsNothing;
        batches::each_write_of_a_batch_stands_for_itself fails_with EndsABatchAtARefusal;
        batches::where_one_write_is_refused_none_is_made_of_those_that_belong_together fails_with KeepsHalfOfABatch;
        batches::what_a_batch_wrote_is_there_after_a_restart fails_with LosesTheLatestWrite;
        batches::a_batch_of_a_thousand_is_one_transaction fails_with KeepsHalfOfABatch;
        lists::a_list_has_the_live_entries_in_order_of_their_names fails_with ListsByAge;
        lists::pages_together_have_each_entry_once fails_with PagesOverlap;
        lists::large_rows_come_about_a_megabyte_at_a_time fails_with PagesOverlap;
        lists::a_list_is_of_the_wanted_environment_and_category fails_with ListsEverything;
        lists::a_list_is_of_one_moment_whatever_is_written_meanwhile fails_with ListsWhatIsWrittenMeanwhile;
        changes::changes_come_in_order_each_entry_at_its_last_change fails_with ChangesByName;
        changes::deletes_are_changes fails_with ChangesWithoutDeletes;
        changes::a_reader_goes_on_where_it_stopped_also_after_a_restart fails_with ChangesFromTheBeginning;
        changes::pages_of_changes_are_all_of_them fails_with ChangesSkipWhatDoesNotFit;
        changes::whoever_follows_hears_of_the_next_write fails_with WakesNobody;
        changes::a_cursor_of_another_store_means_begin_again fails_with TakesAnyCursor;
        changes::what_is_no_cursor_means_begin_again fails_with TakesAnyCursor;
        changes::a_cursor_before_forgotten_deletes_means_begin_again fails_with TakesAnyCursor;
        health::a_store_that_works_says_so fails_with SaysItIsFull;
        health::live_entries_are_counted fails_with CountsTombstones;
    }
    // In the shared database no write loses: it refuses one of two.
    stores_that_keep_losers {
        conflicts::losing_versions_come_the_latest_first_a_page_at_a_time fails_with ConflictsByAge;
    }
}
