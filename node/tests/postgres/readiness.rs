//! Probes say whether the database answers, and not how busy the node is.

use opensecureconf_node::store::{EntryStore, ReadError, postgres::PostgresSettings};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Duration, Instant, timeout},
};

use crate::{
    server::Server,
    ways::SlowWay,
    world::{SOON, World},
    writes::{created, named},
};

/// Requests that wait for a connection at most.
const MOST_WAITING: usize = 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_too_much_to_read_has_a_database_that_answers() {
    let server = Server::primary().await;
    let way = SlowWay::to(&server);
    server.store(1).await;
    let settings = PostgresSettings {
        url: way.url().parse().unwrap(),
        timeout: SOON,
        ..server.settings()
    };
    let store = server.node(2, settings).await;
    created(&store, "k", "one").await;
    way.delay_answers(Duration::from_millis(100));
    let mut readers = JoinSet::new();
    for _ in 0..4096 {
        let store = store.clone();
        readers.spawn(async move { store.find(&named("k")).await.is_ok() });
    }
    let filling = async {
        while store.usage().reads.waiting < MOST_WAITING / 2 {
            yield_now().await;
        }
    };
    timeout(SOON, filling).await.unwrap();
    for _ in 0..20 {
        let found = store.probe().await;
        // Busy is no sign of the database, and changes no answer of a probe.
        let is_good = matches!(found, Ok(()) | Err(ReadError::Busy));
        assert!(is_good, "{found:?}");
    }
    readers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_probes_are_few_questions_for_the_database() {
    const PROBES: usize = 500;
    let logging = Server::primary_with("log_statement = 'all'\n").await;
    let world = World::on(logging);
    let node = world.node();
    node.until("/ready", 200).await;
    let asked = || {
        let log = world.server.log();
        log.lines().filter(|line| line.contains("execute")).count()
    };
    let (begun, before) = (Instant::now(), asked());
    for _ in 0..PROBES {
        assert_eq!(node.get("/ready").await.status, 200);
    }
    // Two each second, and the node's own work beside them.
    let most = 20 + 5 * usize::try_from(begun.elapsed().as_secs() + 1).unwrap();
    let questions = asked() - before;
    assert!(questions < most.min(PROBES / 2), "{questions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_of_once() {
    let mut world = World::new().await;
    let node = world.node_with(&[("OSC_DATABASE_TIMEOUT", "1")]);
    node.until("/ready", 200).await;
    world.server.kill();
    node.until("/ready", 503).await;
    for _ in 0..50 {
        assert_eq!(node.get("/ready").await.status, 503);
    }
    let log = node.log();
    let told = log
        .lines()
        .filter(|line| line.contains("database_not_readable"));
    assert!((1..10).contains(&told.count()), "{log}");
}
