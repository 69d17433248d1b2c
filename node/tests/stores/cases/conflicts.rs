//! Versions that lost against concurrent ones.

use std::collections::BTreeMap;

use opensecureconf_node::{
    domain::{Clock, Content, Incarnation, Row, Timestamp, Version},
    store::{ConflictPage, EntryStore},
};

use crate::{
    entry::{create, named, token},
    subject::Subject,
};

fn loser(value: u8) -> Row {
    Row {
        identity: named("k"),
        category: None,
        content: Some(Content::Token(token(value))),
        created_at: Timestamp::from_micros(0),
        updated_at: Timestamp::from_micros(0),
        version: Version {
            clock: Clock::from_raw(value.into()),
            incarnation: Incarnation::from_raw(1),
        },
        clocks: BTreeMap::new(),
        extra: None,
    }
}

pub(crate) async fn losing_versions_come_the_latest_first_a_page_at_a_time<S: Subject>(
    mut subject: S,
) {
    let none = subject.store().conflicts(None, 9).await.unwrap();
    assert!(none.rows.is_empty() && none.next.is_none());
    let losers = [1, 2, 3].map(loser);
    subject.set_aside(losers.to_vec()).await;
    let [first, second, third] = losers;
    let page = subject.store().conflicts(None, 2).await.unwrap();
    let next = page.next;
    assert_eq!(rows_of(page), [third, second]);
    let page = subject.store().conflicts(next, 2).await.unwrap();
    assert_eq!(page.next, None);
    assert_eq!(rows_of(page), [first]);
}

/// The versions of a page, which are as they were written.
fn rows_of(page: ConflictPage) -> Vec<Row> {
    let rows = page.rows.into_iter();
    rows.map(|lost| {
        assert!(lost.is_as_written());
        lost.row
    })
    .collect()
}

/// A store that refuses one of two concurrent writes.
pub(crate) async fn there_are_no_losing_versions<S: Subject>(subject: S) {
    let store = subject.store();
    create(store, "k", 1).await;
    let page = store.conflicts(None, 9).await.unwrap();
    assert!(page.rows.is_empty() && page.next.is_none());
}
