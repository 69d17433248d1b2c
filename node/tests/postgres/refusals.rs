//! The database refuses connections: callers are answered, lines stay short, and the first connection brings service back.

use std::time::Duration;

use futures::future::{join_all, join3};
use opensecureconf_node::store::{
    EntryStore,
    postgres::{PostgresError, PostgresStore},
};
use tokio_postgres::Client;

use crate::{
    server::{Server, TIMEOUT},
    world::World,
    writes::{create, created, named, token},
};

/// Callers of each kind at a time: more than may wait.
const CALLERS: usize = 4096;
/// How many requests may wait for a connection of one pool.
const MOST_WAITING: usize = 1024;
/// Connections that are to be refused.
const REFUSED: usize = 10_000;

/// Uses up every connection of a server, also those of nodes.
async fn take_every_place(server: &Server) -> Vec<Client> {
    const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'osc-node'";
    const PLACES: &str = "SELECT current_setting('max_connections')::bigint";
    let places = usize::try_from(server.count(PLACES).await).unwrap();
    let first = server.connect("postgres").await.unwrap();
    let mut others = Vec::new();
    while others.len() + 1 < places {
        first.batch_execute(CUT).await.unwrap();
        while let Ok(another) = server.connect("postgres").await {
            others.push(another);
        }
    }
    others.push(first);
    others
}

/// How many connections a server has refused.
fn refused_by(server: &Server) -> usize {
    server.log().matches("too many clients already").count()
}

/// Sends many reads and writes at once, none of which succeeds; gives how many writes found no place in the queue.
async fn call_at_once(store: &PostgresStore) -> usize {
    let name = named("k");
    let reads = join_all((0..CALLERS).map(|_| store.find(&name)));
    let writes = join_all((0..CALLERS).map(|_| create(store, "new", "one")));
    // Looked at when every caller has begun.
    let lines = async {
        let used = store.usage();
        [used.reads.waiting, used.writes.waiting]
    };
    let (reads, writes, lines) = join3(reads, writes, lines).await;
    assert!(lines.iter().all(|line| *line <= MOST_WAITING), "{lines:?}");
    assert!(reads.iter().all(Result::is_err));
    let written = writes.into_iter().map(Result::unwrap_err);
    let refused = written.inspect(|error| assert!(error.may_pass(), "{error:?}"));
    let without_a_place = refused.filter(|error| matches!(error, PostgresError::Busy));
    without_a_place.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_refused_connections_leave_no_line_behind() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    created(&store, "k", "one").await;
    let others = take_every_place(&server).await;
    let before = refused_by(&server);
    while refused_by(&server) < before + REFUSED {
        let without_a_place = call_at_once(&store).await;
        assert!(without_a_place > 0, "each of {CALLERS} waits");
    }
    drop(others);
    let back = async {
        while create(&store, "new", "two").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, back).await.unwrap();
    assert_eq!(token(&store, "k").await.as_deref(), Some("one"));
    assert_eq!(token(&store, "new").await.as_deref(), Some("two"));
    let used = store.usage();
    assert_eq!([used.reads.waiting, used.writes.waiting], [0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_the_database_has_no_place_for_says_so_and_goes_on() {
    let world = World::new().await;
    let node = world.node();
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    let others = take_every_place(&world.server).await;
    let read = node.get("/configs/k").await;
    assert_eq!(read.status, 503, "{}", read.text);
    assert!(read.header("retry-after").is_some());
    node.until_ready_says("too many clients").await;
    assert_eq!(node.get("/health").await.status, 200);
    drop(others);
    assert_eq!(node.until("/configs/k", 200).await.json()["value"], 1);
    assert_eq!(node.create("l", 2, &[]).await.status, 201);
}
