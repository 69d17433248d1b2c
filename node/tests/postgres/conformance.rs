//! Promises of every store, on PostgreSQL.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{Change, Expected},
    domain::Identity,
    store::{EntryStore, LIST_WAIT, Reach, ReadError, Selection, postgres::PostgresStore},
};

use crate::{
    server::Server,
    writes::{create, created, delete, found, named, now, put, token, write},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_created_once_changed_over_what_was_seen_and_deleted() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    assert_eq!(found(&store, "k").await, None);
    let first = created(&store, "k", "one").await;
    assert_eq!(create(&store, "k", "two").await.unwrap(), None);
    let second = put(&store, "k", &first, "two").await.unwrap().unwrap();
    assert!(second.version > first.version);
    assert_eq!(second.created_at, first.created_at);
    for stale in [
        put(&store, "k", &first, "three").await,
        delete(&store, "k", &first).await,
    ] {
        assert_eq!(stale.unwrap(), None);
    }
    assert_eq!(token(&store, "k").await.as_deref(), Some("two"));
    let gone = delete(&store, "k", &second).await.unwrap().unwrap();
    let tombstone = found(&store, "k").await.unwrap();
    assert!(tombstone.is_tombstone());
    assert_eq!(tombstone.version, gone.version);
    let again = created(&store, "k", "three").await;
    assert!(again.version > gone.version);
    assert!(again.created_at > first.created_at);
    let never = store
        .commit_write(&write("k", Expected::Nothing, Some("four")), None, now())
        .await;
    assert_eq!(never.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_change_what_they_saw_one_does() {
    let server = Server::primary().await;
    let nodes = [
        server.store(1).await,
        server.store(2).await,
        server.store(3).await,
    ];
    let creates = nodes
        .iter()
        .cycle()
        .take(30)
        .map(|node| create(node, "k", "one"));
    let made: Vec<_> = futures::future::join_all(creates).await;
    let made: Vec<_> = made.into_iter().filter_map(Result::unwrap).collect();
    let [first] = &made[..] else {
        panic!("{made:?}")
    };
    let changes = nodes
        .iter()
        .cycle()
        .take(30)
        .map(|node| put(node, "k", first, "two"));
    let made: Vec<_> = futures::future::join_all(changes).await;
    assert_eq!(made.into_iter().filter_map(Result::unwrap).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_comes_after_the_one_it_replaces_whatever_the_clocks_say() {
    let server = Server::primary().await;
    let (ahead, behind) = (server.store(1).await, server.store(2).await);
    let later =
        opensecureconf_node::domain::Timestamp::from_micros(now().as_micros() + 3_600_000_000);
    let first = ahead
        .commit_write(&write("k", Expected::NothingLive, Some("one")), None, later)
        .await;
    let first = first.unwrap().unwrap();
    let second = put(&behind, "k", &first, "two").await.unwrap().unwrap();
    let gone = delete(&behind, "k", &second).await.unwrap().unwrap();
    let again = created(&behind, "k", "three").await;
    let versions = [first.version, second.version, gone.version, again.version];
    assert!(
        versions.is_sorted_by(|one, next| one < next),
        "{versions:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_names_in_byte_order_whatever_characters_they_have() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    let names = ["z", "a\0b", "a", "Z", "\u{e9}", "a\0a", "\u{10ffff}", " "];
    for name in names {
        created(&store, name, "gAAAA").await;
    }
    let elsewhere = write(
        "in another environment",
        Expected::NothingLive,
        Some("gAAAA"),
    );
    let elsewhere = opensecureconf_node::cluster::Write {
        identity: Identity::of("staging", "a").unwrap(),
        ..elsewhere
    };
    store
        .commit_write(&elsewhere, None, now())
        .await
        .unwrap()
        .unwrap();
    let mut expected: Vec<_> = names.into_iter().map(named).collect();
    expected.push(elsewhere.identity.clone());
    expected.sort();
    assert_eq!(listed(&store, Selection::default()).await, expected);
    let staging = Selection {
        environment: Some("staging".into()),
        ..Selection::default()
    };
    assert_eq!(listed(&store, staging).await, [elsewhere.identity]);
}

/// The names of a list, read in pages of three.
async fn listed(store: &PostgresStore, mut selection: Selection) -> Vec<Identity> {
    let mut listed = Vec::new();
    loop {
        let wanted = selection.clone();
        let page = store.list(LIST_WAIT, move |snapshot| {
            let reach = Reach {
                rows: 3,
                until: std::time::Instant::now() + Duration::from_hours(1),
            };
            snapshot.rows(&wanted, reach)
        });
        let (rows, scanned) = page.await.unwrap();
        listed.extend(rows.into_iter().map(|row| row.identity));
        selection.after = scanned.stopped_at;
        if selection.after.is_none() {
            return listed;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_changed_behind_the_nodes_back_is_not_served() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    created(&store, "k", "one").await;
    server
        .sql("UPDATE opensecureconf.entries SET token = 'two'")
        .await;
    let error = store.find(&named("k")).await.unwrap_err();
    assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
    // A client can still delete the damaged entry.
    let row = store.find_unread(&named("k")).await.unwrap();
    let delete = opensecureconf_node::cluster::Write {
        identity: named("k"),
        seen: Expected::of(row.as_ref()),
        named: None,
        change: Change::Delete,
    };
    store
        .commit_write(&delete, None, now())
        .await
        .unwrap()
        .unwrap();
    assert!(found(&store, "k").await.unwrap().is_tombstone());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_is_repeated_by_the_same_request_is_the_same_one() {
    let server = Server::primary().await;
    let (one, two) = (server.store(1).await, server.store(2).await);
    let create = write("k", Expected::NothingLive, Some("one"));
    let first = one
        .commit_write(&create, Some("request-1"), now())
        .await
        .unwrap()
        .unwrap();
    let repeated = two
        .commit_write(&create, Some("request-1"), now())
        .await
        .unwrap();
    assert_eq!(repeated, Some(first));
    assert_eq!(
        two.commit_write(&create, Some("request-2"), now())
            .await
            .unwrap(),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_missing_in_a_list_and_nothing_else_is() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    // The damaged entry is the last one of a page.
    for key in ["a", "b", "damaged", "e", "f"] {
        created(&store, key, "gAAAA").await;
    }
    server
        .sql("UPDATE opensecureconf.entries SET token = 'two' WHERE key = 'damaged'")
        .await;
    let names = ["a", "b", "e", "f"].map(named);
    assert_eq!(listed(&store, Selection::default()).await, names);
}
