//! Reports of a store about itself.

use opensecureconf_node::{
    cluster::Change,
    store::{EntryStore, WriteHealth},
};

use crate::{
    entry::{change, create, put},
    subject::Subject,
};

pub(crate) async fn a_store_that_works_says_so<S: Subject>(subject: S) {
    let store = subject.store();
    create(store, "k", 1).await;
    store.probe().await.unwrap();
    assert_eq!(store.write_health(), WriteHealth::Accepting);
}

pub(crate) async fn live_entries_are_counted<S: Subject>(subject: S) {
    let store = subject.store();
    let mut counts = vec![store.live_entries()];
    create(store, "a", 1).await;
    counts.push(store.live_entries());
    change(store, "a", put(2)).await;
    create(store, "b", 1).await;
    counts.push(store.live_entries());
    change(store, "a", Change::Delete).await;
    counts.push(store.live_entries());
    assert_eq!(counts, [0, 1, 2, 1]);
}
