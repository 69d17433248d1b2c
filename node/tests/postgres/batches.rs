//! Rows of a batch that each stand for themselves, beside a row that the server does not get to.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{AckLevel, Expected, Write, Written},
    store::{
        Atomicity, BATCH_ROWS, EntryStore, WriteError,
        postgres::{PostgresSettings, PostgresStore},
    },
};

use crate::{
    server::Server,
    world::SOON,
    writes::{created, token, write},
};

/// A copy of the row of `seed` under another name, which only its session sees.
const INSERT_UNSEEN: &str = "INSERT INTO opensecureconf.entries (environment, key, created_at, updated_at, clock, incarnation, row_hash, \
     clocks) SELECT environment, 'k7', created_at, updated_at, clock, incarnation, row_hash, clocks \
     FROM opensecureconf.entries WHERE key = 'seed'";

/// A trigger that keeps the server busy with one row.
const SLOW_ROW: &str = "CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
     IF NEW.key = 'k3' THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$; \
     CREATE TRIGGER be_slow BEFORE INSERT ON opensecureconf.entries FOR EACH ROW EXECUTE FUNCTION be_slow()";

async fn store(server: &Server, timeout: Duration) -> PostgresStore {
    server.store(1).await;
    let settings = PostgresSettings {
        timeout,
        ..server.settings()
    };
    server.node(2, settings).await
}

/// Creates of as many names as are committed together.
fn creates() -> Vec<Write> {
    (0..BATCH_ROWS)
        .map(|number| {
            let key = format!("k{number}");
            write(&key, Expected::NothingLive, Some("one"))
        })
        .collect()
}

async fn commit(store: &PostgresStore, writes: Vec<Write>) -> Vec<Result<Written, WriteError>> {
    store
        .commit_batch(writes, AckLevel::Local, Atomicity::Each)
        .await
}

/// The places of writes that were not made; each of them is known not to be.
fn not_made(outcomes: &[Result<Written, WriteError>]) -> Vec<usize> {
    let refused = outcomes.iter().enumerate().filter_map(|(place, outcome)| {
        let error = outcome.as_ref().err()?;
        assert!(matches!(error, WriteError::Failed(_)), "{place}: {error:?}");
        Some(place)
    });
    refused.collect()
}

async fn is_made(store: &PostgresStore, place: usize) -> bool {
    token(store, &format!("k{place}")).await.as_deref() == Some("one")
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_other_sessions_hold_cost_their_batch_no_other_row() {
    let server = Server::primary().await;
    let store = store(&server, Duration::from_secs(4)).await;
    created(&store, "seed", "one").await;
    let old = created(&store, "k5", "zero").await;
    let mut other = server.connect("postgres").await.unwrap();
    let holding = other.transaction().await.unwrap();
    let hold = "SELECT FROM opensecureconf.entries WHERE key = 'k5' FOR UPDATE";
    holding.batch_execute(hold).await.unwrap();
    holding.batch_execute(INSERT_UNSEEN).await.unwrap();
    let mut writes = creates();
    *writes.get_mut(5).unwrap() = write("k5", Expected::Version(old.version), Some("one"));
    let outcomes = commit(&store, writes).await;
    assert_eq!(not_made(&outcomes), [5, 7], "{outcomes:?}");
    holding.rollback().await.unwrap();
    for place in 0..BATCH_ROWS {
        let expected = ![5, 7].contains(&place);
        assert_eq!(is_made(&store, place).await, expected, "{place}");
    }
    assert_eq!(token(&store, "k5").await.as_deref(), Some("zero"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_keeps_the_server_busy_costs_its_batch_no_other_row() {
    let server = Server::primary().await;
    let store = store(&server, Duration::from_secs(4)).await;
    let other = server.connect("postgres").await.unwrap();
    other.batch_execute(SLOW_ROW).await.unwrap();
    let outcomes = commit(&store, creates()).await;
    assert_eq!(not_made(&outcomes), [3], "{outcomes:?}");
    for place in 0..BATCH_ROWS {
        assert_eq!(is_made(&store, place).await, place != 3, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_held_for_a_while_is_made_with_the_others() {
    let server = Server::primary().await;
    let store = store(&server, SOON).await;
    created(&store, "seed", "one").await;
    let mut other = server.connect("postgres").await.unwrap();
    let holding = other.transaction().await.unwrap();
    holding.batch_execute(INSERT_UNSEEN).await.unwrap();
    let committing = tokio::spawn({
        let store = store.clone();
        async move { commit(&store, creates()).await }
    });
    // The last row is made while the held one is still waited for.
    let others = async {
        while !is_made(&store, BATCH_ROWS - 1).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, others).await.unwrap();
    assert!(!committing.is_finished());
    holding.rollback().await.unwrap();
    let outcomes = committing.await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(is_made(&store, 7).await);
}
