//! Compare and set, versions, tombstones.

use std::collections::BTreeSet;

use futures::future::join_all;
use opensecureconf_node::{
    cluster::{AckLevel, Change, Expected, Write},
    store::{EntryStore, WriteError},
};

use crate::{
    entry::{change, commit, create, named, put, token, token_of},
    subject::Subject,
};

pub(crate) async fn a_name_is_created_once<S: Subject>(subject: S) {
    let store = subject.store();
    assert_eq!(store.find(&named("k")).await.unwrap(), None);
    let first = create(store, "k", 1).await;
    let second = commit(store, &named("k"), Expected::NothingLive, put(2)).await;
    assert_eq!(second, Err(WriteError::Changed));
    let row = store.find(&named("k")).await.unwrap().unwrap();
    assert_eq!(
        (row.version, token_of(&row)),
        (first.version, Some(&*token(1)))
    );
}

pub(crate) async fn a_write_over_another_version_than_the_one_seen_is_refused<S: Subject>(
    subject: S,
) {
    let store = subject.store();
    let first = create(store, "k", 1).await;
    let seen = Expected::Version(first.version);
    let second = commit(store, &named("k"), seen, put(2)).await.unwrap();
    assert!(second.version > first.version);
    for late in [put(3), Change::Delete] {
        let refused = commit(store, &named("k"), seen, late).await;
        assert_eq!(refused, Err(WriteError::Changed));
    }
    let row = store.find(&named("k")).await.unwrap().unwrap();
    assert_eq!(
        (row.version, token_of(&row)),
        (second.version, Some(&*token(2)))
    );
    let unread = store.find_unread(&named("k")).await.unwrap();
    assert_eq!(unread.map(|row| row.version), Some(second.version));
}

pub(crate) async fn of_many_writes_over_one_version_one_stands<S: Subject>(subject: S) {
    let store = subject.store();
    let seen = Expected::Version(create(store, "k", 0).await.version);
    let name = named("k");
    let writes = (1..=20).map(|value| commit(store, &name, seen, put(value)));
    let outcomes = join_all(writes).await;
    let standing: Vec<_> = outcomes.iter().flatten().collect();
    assert_eq!(standing.len(), 1, "{outcomes:?}");
}

pub(crate) async fn an_update_keeps_the_time_of_creation<S: Subject>(subject: S) {
    let store = subject.store();
    let created = create(store, "k", 1).await;
    let updated = change(store, "k", put(2)).await;
    assert_eq!(updated.created_at, created.created_at);
    assert!(updated.updated_at > created.updated_at);
    change(store, "k", Change::Delete).await;
    let anew = create(store, "k", 3).await;
    assert!(
        anew.created_at > updated.updated_at,
        "a new entry of its name"
    );
}

pub(crate) async fn a_deleted_entry_is_a_tombstone_with_the_version_of_its_delete<S: Subject>(
    subject: S,
) {
    let store = subject.store();
    create(store, "k", 1).await;
    let deleted = change(store, "k", Change::Delete).await;
    let row = store.find(&named("k")).await.unwrap().unwrap();
    assert!(row.is_tombstone());
    assert_eq!(row.version, deleted.version);
    let as_if_new = commit(store, &named("k"), Expected::Nothing, put(2)).await;
    assert_eq!(as_if_new, Err(WriteError::Changed), "there was something");
    create(store, "k", 3).await;
}

pub(crate) async fn no_version_comes_twice_not_even_after_deletes_are_forgotten<S: Subject>(
    mut subject: S,
) {
    let mut versions = Vec::new();
    for round in 0..3 {
        let store = subject.store();
        versions.push(create(store, "k", round).await.version);
        versions.push(change(store, "k", put(9)).await.version);
        versions.push(change(store, "k", Change::Delete).await.version);
        subject.forget_deletes().await;
        assert_eq!(subject.store().find(&named("k")).await.unwrap(), None);
    }
    assert!(versions.is_sorted(), "{versions:?}");
    let different: BTreeSet<_> = versions.iter().collect();
    assert_eq!(different.len(), versions.len(), "{versions:?}");
}

pub(crate) async fn whoever_waits_for_a_version_gets_it_when_it_is_written<S: Subject>(subject: S) {
    let store = subject.store();
    let first = create(store, "k", 1).await;
    store.wait_for(&named("k"), first.version).await.unwrap();
    let mut later = first.version;
    later.clock = later.clock.next();
    let name = named("k");
    let write = async { change(store, "k", put(2)).await };
    let (waited, written) = tokio::join!(store.wait_for(&name, later), write);
    waited.unwrap();
    assert!(written.version >= later);
}

pub(crate) async fn a_repeated_request_writes_once<S: Subject>(subject: S) {
    let store = subject.store();
    let write = || Write {
        identity: named("k"),
        seen: Expected::NothingLive,
        named: None,
        change: put(1),
    };
    let level = AckLevel::Local;
    let made = store.commit_for(write(), level, Some("one")).await.unwrap();
    // A store that remembers the names of requests recognizes the repeated one.
    match store.commit_for(write(), level, Some("one")).await {
        Ok(again) => assert_eq!(again.version, made.version),
        Err(refused) => assert_eq!(refused, WriteError::Changed),
    }
    let other = store.commit_for(write(), level, Some("another")).await;
    assert_eq!(other, Err(WriteError::Changed));
}

pub(crate) async fn what_stands_is_confirmed<S: Subject>(subject: S) {
    let (store, name) = (subject.store(), named("k"));
    assert!(store.confirm(&name, None).await.unwrap());
    let created = create(store, "k", 1).await;
    assert!(store.confirm(&name, Some(created.version)).await.unwrap());
    let deleted = change(store, "k", Change::Delete).await;
    assert!(store.confirm(&name, Some(deleted.version)).await.unwrap());
}

pub(crate) async fn what_is_written_is_there_after_a_restart<S: Subject>(mut subject: S) {
    let created = create(subject.store(), "k", 1).await;
    let deleted = create(subject.store(), "gone", 1).await;
    change(subject.store(), "gone", Change::Delete).await;
    let updated = change(subject.store(), "k", put(2)).await;
    subject.restart().await;
    let store = subject.store();
    let row = store.find(&named("k")).await.unwrap().unwrap();
    assert_eq!(
        (row.version, row.created_at),
        (updated.version, created.created_at)
    );
    let row = store.find(&named("gone")).await.unwrap().unwrap();
    assert!(row.is_tombstone() && row.version > deleted.version);
    assert_eq!(store.live_entries(), 1);
}
