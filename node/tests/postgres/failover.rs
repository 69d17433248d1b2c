//! Acknowledged writes survive the loss of a server, and what nodes serve meanwhile.

use std::{path::PathBuf, time::Duration};

use opensecureconf_node::store::{
    EntryStore,
    postgres::{PostgresError, PostgresSettings, PostgresStore},
};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    server::{Server, TIMEOUT},
    writes::{create, created, found, named, put, token},
};

/// A primary whose commits wait for a standby.
pub(crate) async fn pair() -> (Server, Server) {
    let primary = Server::primary().await;
    let standby = primary.synchronous_standby("second").await;
    (primary, standby)
}

/// Settings of a node whose requests wait for the server for one second only.
pub(crate) fn impatient(server: &Server) -> PostgresSettings {
    PostgresSettings {
        timeout: Duration::from_secs(1),
        ..server.settings()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_neither_read_nor_written() {
    let (primary, standby) = pair().await;
    let store = primary.store(1).await;
    created(&store, "k", "one").await;
    let refused = PostgresStore::connect(
        standby.settings(),
        crate::server::SALT,
        opensecureconf_node::domain::Incarnation::from_raw(2),
    );
    let refused = refused.await.unwrap_err().to_string();
    assert!(refused.contains("standby"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_servers_in_an_address_the_primary_is_taken() {
    let (primary, standby) = pair().await;
    primary.store(1).await;
    let host = |server: &Server| server.folder().display().to_string().replace('/', "%2F");
    let hosts = [&standby, &primary].map(host).join(",");
    let url = format!("postgres://postgres@{hosts}/postgres?sslmode=disable");
    let settings = PostgresSettings {
        url: url.parse().unwrap(),
        ..primary.settings()
    };
    let store = primary.node(2, settings).await;
    created(&store, "k", "one").await;
    assert_eq!(token(&store, "k").await.as_deref(), Some("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_on_the_server_that_takes_over() {
    let (mut primary, standby) = pair().await;
    let store = primary.store(1).await;
    for number in 0..50 {
        created(&store, &format!("k{number}"), "one").await;
    }
    primary.kill();
    standby.promote();
    let after = standby.node(2, standby.settings()).await;
    for number in 0..50 {
        assert_eq!(
            token(&after, &format!("k{number}")).await.as_deref(),
            Some("one")
        );
    }
    let row = found(&after, "k7").await.unwrap();
    let over = opensecureconf_node::cluster::Written {
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
        held_by: 1,
        wanted: 1,
    };
    assert!(put(&after, "k7", &over, "two").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_standby_nothing_is_acknowledged_and_reads_go_on() {
    let (primary, mut standby) = pair().await;
    primary.store(1).await;
    let store = primary.node(2, impatient(&primary)).await;
    created(&store, "before", "one").await;
    standby.kill();
    let waiting = futures::future::join_all((0..2).map(|number| {
        let store = store.clone();
        async move { create(&store, &format!("waits-{number}"), "one").await }
    }));
    // The answer does not wait for the standby.
    let outcomes = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    for outcome in outcomes.unwrap() {
        assert!(
            matches!(outcome, Err(PostgresError::Unknown)),
            "{outcome:?}"
        );
    }
    // Half of the connections wait for the standby. The node refuses other writes at once, except for one attempt.
    let outcomes =
        futures::future::join_all((0..10).map(|_| create(&store, "refused", "one"))).await;
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(PostgresError::Away(_))));
    assert!(refused.count() >= 9, "{outcomes:?}");
    assert_eq!(token(&store, "before").await.as_deref(), Some("one"));
    // A row that is on one server alone is not confirmed.
    let row = found(&store, "waits-0").await;
    assert_eq!(row, None, "a commit that waits is not to be seen");
    let never = named("never written");
    assert!(
        store.confirm(&never, None).await.is_err(),
        "nor is it told that there is none"
    );

    standby.start().await;
    let back = async {
        loop {
            if let Ok(made) = create(&store, "after", "one").await {
                return made;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(30), back)
        .await
        .unwrap();
    assert!(back.is_some() || token(&store, "after").await.is_some());
    // The server may show a later commit before an earlier one, whose process wakes later.
    let shown = async {
        for number in 0..2 {
            let name = format!("waits-{number}");
            while token(&store, &name).await.as_deref() != Some("one") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), shown)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_does_not_wait_for_the_connections_of_a_node() {
    let mut server = Server::primary().await;
    let store = server.store(1).await;
    created(&store, "k", "one").await;
    server.tell_to_end().await;
    tokio::time::timeout(Duration::from_secs(30), server.ended())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_somebody_cancels_is_no_acknowledgement() {
    a_wait_that_ends_by("pg_cancel_backend", "notice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_wait_is_no_acknowledgement_whatever_messages_the_role_wants() {
    a_wait_that_ends_by("pg_cancel_backend", "error").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_in_its_wait_is_no_acknowledgement() {
    a_wait_that_ends_by("pg_terminate_backend", "notice").await;
}

async fn a_wait_that_ends_by(function: &str, messages: &str) {
    let (primary, mut standby) = pair().await;
    primary
        .sql(&format!(
            "ALTER ROLE postgres SET client_min_messages = '{messages}'"
        ))
        .await;
    let store = primary.store(1).await;
    created(&store, "before", "one").await;
    standby.kill();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { create(&store, "k", "one").await }
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while primary.count(waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    primary
        .sql(&format!(
            "SELECT {function}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        ))
        .await;
    // The row is visible now, and no other server has it.
    while found(&store, "k").await.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let version = found(&store, "k").await.unwrap().version;
    let name = named("k");
    let unconfirmed = store.confirm(&name, Some(version));
    assert!(
        tokio::time::timeout(Duration::from_millis(500), unconfirmed)
            .await
            .is_err()
    );
    assert!(!waiting.is_finished(), "nobody else has it");
    standby.start().await;
    let made = waiting
        .await
        .unwrap()
        .unwrap()
        .expect("settled by its own version");
    assert_eq!(made.version, version);
}

/// A host name that leads to one server after the other.
pub(crate) struct Name(TempDir);

impl Name {
    pub(crate) fn of(server: &Server) -> Self {
        let name = Self(TempDir::new().unwrap());
        name.lead_to(server);
        name
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("database")
    }

    pub(crate) fn lead_to(&self, server: &Server) {
        let _ = std::fs::remove_file(self.path());
        std::os::unix::fs::symlink(server.folder(), self.path()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_replaced_is_refused_although_it_runs() {
    let (old, new) = pair().await;
    old.store(1).await;
    let name = Name::of(&old);
    let store = old.node(2, Server::settings_at(&name.path())).await;
    created(&store, "k", "one").await;
    new.promote();
    name.lead_to(&new);
    old.disconnect_everybody().await;
    let back = async {
        while create(&store, "l", "one").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, back).await.unwrap();
    // The name leads to the old server again, as a stale cache may have it.
    name.lead_to(&old);
    new.disconnect_everybody().await;
    let refused = until_told(&store, "timeline 1").await;
    assert!(refused.contains("primary on 2"), "{refused}");
    assert!(store.find(&named("k")).await.is_err());
    assert_eq!(
        old.count("SELECT count(*) FROM opensecureconf.entries")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_met_the_new_primary_reads_nothing_from_the_one_before() {
    let (old, new) = pair().await;
    old.store(1).await;
    let name = Name::of(&old);
    let store = old.node(2, Server::settings_at(&name.path())).await;
    let made = created(&store, "k", "one").await;
    assert_eq!(token(&store, "k").await.as_deref(), Some("one"));
    new.promote();
    name.lead_to(&new);
    let other = new.node(3, new.settings()).await;
    put(&other, "k", &made, "two").await.unwrap().unwrap();
    // The node has connections to the old server, and a write over one of them waits for its standby.
    tokio::spawn({
        let store = store.clone();
        async move { create(&store, "waits", "one").await }
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while old.count(waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    created(&store, "l", "one").await;
    assert_eq!(token(&store, "k").await.as_deref(), Some("two"));
}

/// Writes until the refusal contains these words.
async fn until_told(store: &PostgresStore, words: &str) -> String {
    let telling = async {
        loop {
            match create(store, "m", "one").await {
                Err(error) if error.to_string().contains(words) => return error.to_string(),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(made) => panic!("{made:?}"),
            }
        }
    };
    // A write that was sent when its connection ended is settled until its own time is over.
    tokio::time::timeout(3 * TIMEOUT, telling).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_costs_a_request_its_time_and_no_more() {
    let mut server = Server::primary().await;
    server.store(1).await;
    let store = server.node(2, impatient(&server)).await;
    created(&store, "k", "one").await;
    server.kill();
    let begun = Instant::now();
    for _ in 0..3 {
        store.find(&named("k")).await.unwrap_err();
        create(&store, "l", "one").await.unwrap_err();
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    server.start().await;
    let back = async {
        while store.find(&named("k")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back)
        .await
        .unwrap();
    created(&store, "m", "one").await;
}
