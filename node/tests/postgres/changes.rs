//! Each change comes once, and none is skipped.

use opensecureconf_node::{
    cluster::{AckLevel, Expected},
    domain::Timestamp,
    store::{Atomicity, ChangeCursor, Changes, EntryStore, postgres::PostgresStore},
};

use crate::{
    server::Server,
    writes::{created, delete, found, now, write},
};

/// The names that changed after a cursor, and the cursor to go on from.
async fn changed(store: &PostgresStore, after: &ChangeCursor) -> (Vec<String>, ChangeCursor) {
    match store.changes(after, 100).await.unwrap() {
        Changes::Since { rows, next } => {
            let names = rows.into_iter().map(|row| {
                let mark = if row.is_tombstone() { "-" } else { "" };
                format!("{mark}{}", row.identity.key.as_str())
            });
            (names.collect(), next)
        }
        Changes::BeginAgain => panic!("everything is there"),
    }
}

async fn beginning(store: &PostgresStore) -> ChangeCursor {
    store.latest_change().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_where_it_was_and_hears_of_deletes() {
    let server = Server::primary().await;
    let (one, two) = (server.store(1).await, server.store(2).await);
    let start = beginning(&one).await;
    let a = created(&one, "a", "1").await;
    created(&two, "b", "1").await;
    let (names, next) = changed(&two, &start).await;
    assert_eq!(names, ["a", "b"]);
    delete(&two, "a", &a).await.unwrap().unwrap();
    let (names, next) = changed(&one, &next).await;
    assert_eq!(names, ["-a"]);
    assert_eq!(changed(&one, &next).await.0, Vec::<String>::new());
    // From the start, each entry at its last change.
    assert_eq!(changed(&one, &start).await.0, ["b", "-a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_commits_late_is_not_passed_over() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    created(&store, "late", "1").await;
    let start = beginning(&store).await;
    let mut late = server.connect("postgres").await.unwrap();
    let transaction = late.transaction().await.unwrap();
    transaction
        .batch_execute("UPDATE opensecureconf.changes SET xid = pg_current_xact_id()")
        .await
        .unwrap();
    created(&store, "early", "1").await;
    let (names, next) = changed(&store, &start).await;
    assert_eq!(
        names,
        Vec::<String>::new(),
        "the earlier one may still come"
    );
    transaction.commit().await.unwrap();
    assert_eq!(changed(&store, &next).await.0, ["late", "early"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_too_far_behind_or_of_another_database_begins_again() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    let start = beginning(&store).await;
    let a = created(&store, "a", "1").await;
    delete(&store, "a", &a).await.unwrap().unwrap();
    let behind = beginning(&store).await;
    let later = Timestamp::from_micros(now().as_micros() + 1);
    assert_eq!(store.forget(later).await.unwrap(), 2);
    let page = store.changes(&start, 10).await.unwrap();
    assert_eq!(page, Changes::BeginAgain);
    created(&store, "b", "1").await;
    assert_eq!(changed(&store, &behind).await.0, ["b"]);

    let another_server = Server::primary().await;
    let another = another_server.store(1).await;
    for number in 0..30 {
        created(&another, &format!("k{number}"), "1").await;
    }
    let page = another.changes(&behind, 10).await.unwrap();
    assert_eq!(page, Changes::BeginAgain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_within_a_transaction_that_is_forgotten_begins_again() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    let start = beginning(&store).await;
    let writes = ["a", "b"].map(|key| write(key, Expected::NothingLive, Some("1")));
    let made = store.commit_batch(writes.into(), AckLevel::default(), Atomicity::All);
    assert!(made.await.iter().all(Result::is_ok));
    let Changes::Since { rows, next } = store.changes(&start, 1).await.unwrap() else {
        panic!("everything is there");
    };
    assert_eq!(rows.len(), 1, "the other one is to come");
    let later = Timestamp::from_micros(now().as_micros() + 1);
    assert_eq!(store.forget(later).await.unwrap(), 2);
    let page = store.changes(&next, 10).await.unwrap();
    assert_eq!(page, Changes::BeginAgain);
    let end = beginning(&store).await;
    created(&store, "c", "1").await;
    assert_eq!(changed(&store, &end).await.0, ["c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_comes_after_its_forgotten_delete_whatever_the_clocks_say() {
    let server = Server::primary().await;
    let (ahead, behind) = (server.store(1).await, server.store(2).await);
    let later = Timestamp::from_micros(now().as_micros() + 3_600_000_000);
    let create = write("k", Expected::NothingLive, Some("one"));
    let made = ahead
        .commit_write(&create, None, later)
        .await
        .unwrap()
        .unwrap();
    let gone = delete(&ahead, "k", &made).await.unwrap().unwrap();
    assert_eq!(
        ahead.forget(later).await.unwrap(),
        1,
        "the delete's time is now"
    );
    let later = Timestamp::from_micros(later.as_micros() + 1);
    assert_eq!(ahead.forget(later).await.unwrap(), 1);
    assert_eq!(found(&behind, "k").await, None);
    let again = created(&behind, "k", "two").await;
    assert!(again.version.clock > gone.version.clock);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_old_is_forgotten_however_much_there_is() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    created(&store, "k", "1").await;
    let many = "INSERT INTO opensecureconf.changes (xid, environment, key, clock, incarnation, deleted, changed_at) \
                SELECT c.xid, c.environment, c.key, c.clock, c.incarnation, c.deleted, c.changed_at \
                FROM opensecureconf.changes AS c, generate_series(1, 2500)";
    server.sql(many).await;
    let later = Timestamp::from_micros(now().as_micros() + 1);
    assert_eq!(store.forget(later).await.unwrap(), 2501);
    let left = "SELECT count(*) FROM opensecureconf.changes";
    assert_eq!(server.count(left).await, 0);
    assert!(found(&store, "k").await.is_some(), "it is no delete");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_hears_of_the_writes_of_another_node() {
    let server = Server::primary().await;
    let (one, two) = (server.store(1).await, server.store(2).await);
    let mut follower = one.follow(beginning(&one).await);
    let (changes, _) = tokio::join!(follower.next(9), created(&two, "k", "one"));
    let Changes::Since { rows, .. } = changes.unwrap() else {
        panic!("its cursor is good");
    };
    assert_eq!(rows.len(), 1);
}
