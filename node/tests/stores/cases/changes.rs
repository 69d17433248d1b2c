//! Changes since a cursor, and readers that follow them.

use opensecureconf_node::{
    cluster::Change,
    store::{ChangeCursor, Changes, EntryStore},
};

use crate::{
    entry::{change, create, put},
    subject::Subject,
};

/// The keys that changed, with deletes marked, and the cursor behind them.
async fn changed(
    store: &impl EntryStore,
    after: &ChangeCursor,
    most: usize,
) -> (Vec<String>, ChangeCursor) {
    match store.changes(after, most).await.unwrap() {
        Changes::Since { rows, next } => {
            let keys = rows.iter().map(|row| {
                let mark = if row.is_tombstone() { "-" } else { "" };
                format!("{mark}{}", row.identity.key.as_str())
            });
            (keys.collect(), next)
        }
        Changes::BeginAgain => panic!("{after:?} is a cursor of it"),
    }
}

pub(crate) async fn changes_come_in_order_each_entry_at_its_last_change<S: Subject>(subject: S) {
    let store = subject.store();
    let start = store.latest_change().await.unwrap();
    create(store, "b", 1).await;
    create(store, "a", 1).await;
    create(store, "c", 1).await;
    change(store, "b", put(2)).await;
    let (keys, next) = changed(store, &start, 9).await;
    assert_eq!(keys, ["a", "c", "b"]);
    assert_eq!(next, store.latest_change().await.unwrap());
}

pub(crate) async fn deletes_are_changes<S: Subject>(subject: S) {
    let store = subject.store();
    create(store, "a", 1).await;
    let cursor = store.latest_change().await.unwrap();
    change(store, "a", Change::Delete).await;
    let (keys, _) = changed(store, &cursor, 9).await;
    assert_eq!(keys, ["-a"]);
}

pub(crate) async fn a_reader_goes_on_where_it_stopped_also_after_a_restart<S: Subject>(
    mut subject: S,
) {
    let start = subject.store().latest_change().await.unwrap();
    create(subject.store(), "a", 1).await;
    let (_, cursor) = changed(subject.store(), &start, 9).await;
    subject.restart().await;
    let kept = ChangeCursor::new(cursor.as_str());
    let (keys, cursor) = changed(subject.store(), &kept, 9).await;
    assert_eq!((keys, cursor), (vec![], kept.clone()), "nothing changed");
    create(subject.store(), "b", 1).await;
    let (keys, _) = changed(subject.store(), &kept, 9).await;
    assert_eq!(keys, ["b"]);
}

pub(crate) async fn pages_of_changes_are_all_of_them<S: Subject>(subject: S) {
    let store = subject.store();
    let mut cursor = store.latest_change().await.unwrap();
    for key in ["a", "b", "c", "d", "e"] {
        create(store, key, 1).await;
    }
    let mut pages = Vec::new();
    for _ in 0..4 {
        let (keys, next) = changed(store, &cursor, 2).await;
        pages.push(keys.concat());
        cursor = next;
    }
    assert_eq!(pages, ["ab", "cd", "e", ""]);
}

pub(crate) async fn whoever_follows_hears_of_the_next_write<S: Subject>(subject: S) {
    let store = subject.store();
    let mut follower = store.follow(store.latest_change().await.unwrap());
    for key in ["a", "b"] {
        let write = create(store, key, 1);
        let (changes, _) = tokio::join!(follower.next(9), write);
        let Changes::Since { rows, .. } = changes.unwrap() else {
            panic!("its cursor is good");
        };
        let keys: Vec<_> = rows.iter().map(|row| row.identity.key.as_str()).collect();
        assert_eq!(keys, [key]);
    }
}

pub(crate) async fn a_cursor_of_another_store_means_begin_again<S: Subject>(subject: S) {
    let other = subject.another().await;
    for key in ["a", "b"] {
        create(subject.store(), key, 1).await;
        create(other.store(), key, 1).await;
    }
    let cursor = other.store().latest_change().await.unwrap();
    let changes = subject.store().changes(&cursor, 9).await.unwrap();
    assert_eq!(changes, Changes::BeginAgain);
    let follower = subject.store().follow(cursor).next(9).await;
    assert_eq!(follower.unwrap(), Changes::BeginAgain);
}

pub(crate) async fn what_is_no_cursor_means_begin_again<S: Subject>(subject: S) {
    let store = subject.store();
    create(store, "a", 1).await;
    let cursor = store.latest_change().await.unwrap();
    let text_of_it = cursor.as_str();
    for text in [
        "",
        "-",
        "0-0",
        "x",
        &format!("{text_of_it}000"),
        &format!("-{text_of_it}"),
        &format!("{text_of_it}x"),
    ] {
        let changes = store.changes(&ChangeCursor::new(text), 9).await.unwrap();
        assert_eq!(changes, Changes::BeginAgain, "{text:?}");
    }
}

pub(crate) async fn a_cursor_before_forgotten_deletes_means_begin_again<S: Subject>(
    mut subject: S,
) {
    let store = subject.store();
    create(store, "a", 1).await;
    let before = store.latest_change().await.unwrap();
    change(store, "a", Change::Delete).await;
    let behind = store.latest_change().await.unwrap();
    create(store, "b", 1).await;
    subject.forget_deletes().await;
    let store = subject.store();
    assert_eq!(
        store.changes(&before, 9).await.unwrap(),
        Changes::BeginAgain
    );
    let (keys, _) = changed(store, &behind, 9).await;
    assert_eq!(keys, ["b"], "who knows of the delete goes on");
}
