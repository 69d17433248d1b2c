//! Writes that a primary has not answered when its standby takes over: what a node says of them is true at the new primary.

use opensecureconf_node::{
    cluster::{AckLevel, Expected, Write, Written},
    store::{
        Atomicity, EntryStore, WriteError,
        postgres::{PostgresSettings, PostgresStore},
    },
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Duration, sleep, timeout},
};

use crate::{
    failover::{Name, pair},
    server::{Server, TIMEOUT},
    world::SOON,
    writes::{created, found, write},
};

/// How a node that waits for the earlier primary learns of the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Learns {
    /// The earlier one is killed, and for a moment there is none.
    ByItsEnd,
    /// The earlier one stays, and another connection leads to the new one.
    ByAnotherConnection,
}

type Outcomes = Vec<Result<Written, WriteError>>;

/// A request whose writes the primary has not answered.
struct Request {
    writes: Vec<Write>,
    committing: JoinHandle<Outcomes>,
}

/// Two servers, and a node whose address leads to the first one.
struct Scene {
    old: Server,
    new: Server,
    name: Name,
    store: PostgresStore,
    changed: Written,
    deleted: Written,
}

/// Returns once this query gives this number.
async fn until(server: &Server, sql: &str, number: i64) {
    let counting = async {
        while server.count(sql).await != number {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, counting).await.expect(sql);
}

impl Scene {
    /// A node whose requests may take so long.
    async fn new(timeout: Duration) -> Self {
        let (old, new) = pair().await;
        old.store(1).await;
        // A commit waits until the standby shows it.
        old.sql("ALTER ROLE postgres SET synchronous_commit = 'remote_apply'")
            .await;
        let name = Name::of(&old);
        // A connection for each request, and one more.
        let settings = PostgresSettings {
            connections: 16,
            timeout,
            ..Server::settings_at(&name.path())
        };
        let store = old.node(2, settings).await;
        let changed = created(&store, "changed", "one").await;
        let deleted = created(&store, "deleted", "one").await;
        Self {
            old,
            new,
            name,
            store,
            changed,
            deleted,
        }
    }

    /// The standby receives everything from here on, and shows nothing of it.
    async fn pause(&self) {
        self.new.sql("SELECT pg_wal_replay_pause()").await;
        let paused = "SELECT (pg_get_wal_replay_pause_state() = 'paused')::int::bigint";
        until(&self.new, paused, 1).await;
    }

    /// The standby receives nothing from here on.
    async fn part(&self) {
        let alone = "ALTER SYSTEM SET primary_conninfo = ''; SELECT pg_reload_conf()";
        self.new.sql(alone).await;
        until(&self.old, "SELECT count(*) FROM pg_stat_replication", 0).await;
    }

    /// A create, a change, a delete, a batch of rows that stand for themselves, and one of all or none; returns once the primary
    /// waits for its standby with all of them.
    async fn begin(&self) -> Vec<Request> {
        let create = |key: &str| write(key, Expected::NothingLive, Some("two"));
        let change = Expected::Version(self.changed.version);
        let delete = Expected::Version(self.deleted.version);
        let requests = [
            (Atomicity::Each, vec![create("single")]),
            (Atomicity::Each, vec![write("changed", change, Some("two"))]),
            (Atomicity::Each, vec![write("deleted", delete, None)]),
            (Atomicity::Each, vec![create("each-1"), create("each-2")]),
            (Atomicity::All, vec![create("all-1"), create("all-2")]),
        ];
        let begun = requests.map(|(atomicity, writes)| self.send(atomicity, writes));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        until(&self.old, waits, i64::try_from(begun.len()).unwrap()).await;
        begun.into()
    }

    fn send(&self, atomicity: Atomicity, writes: Vec<Write>) -> Request {
        let (store, sent) = (self.store.clone(), writes.clone());
        let committing = tokio::spawn(async move {
            match sent.as_slice() {
                [one] => vec![store.commit(one.clone(), AckLevel::Local).await],
                _ => store.commit_batch(sent, AckLevel::Local, atomicity).await,
            }
        });
        Request { writes, committing }
    }

    /// The standby takes over, and the node meets it.
    async fn take_over(&mut self, how: Learns) {
        if how == Learns::ByItsEnd {
            self.old.kill();
        }
        self.new.promote();
        self.name.lead_to(&self.new);
        // Those before may wait at the earlier primary, so that the next one takes another connection.
        let meeting = async {
            let mut tries = JoinSet::new();
            for number in 0.. {
                let (store, key) = (self.store.clone(), format!("met-{number}"));
                tries.spawn(async move {
                    let met = write(&key, Expected::NothingLive, Some("one"));
                    store.commit(met, AckLevel::Local).await
                });
                let ended = timeout(Duration::from_millis(500), tries.join_next());
                if let Ok(Some(Ok(Ok(_)))) = ended.await {
                    break;
                }
            }
        };
        timeout(SOON, meeting).await.unwrap();
    }

    /// What the node says of each write, and whether the new primary has it.
    async fn ended(
        &self,
        requests: Vec<Request>,
    ) -> Vec<(Write, Result<Written, WriteError>, bool)> {
        let other = self.new.node(3, self.new.settings()).await;
        let mut ended = Vec::new();
        for Request { writes, committing } in requests {
            for (write, outcome) in writes.into_iter().zip(committing.await.unwrap()) {
                let row = found(&other, write.identity.key.as_str()).await;
                let before = [self.changed.version, self.deleted.version];
                let is_there = row
                    .as_ref()
                    .is_some_and(|row| !before.contains(&row.version));
                if let (Ok(made), Some(row)) = (&outcome, row) {
                    assert_eq!(made.version, row.version, "{write:?}");
                }
                ended.push((write, outcome, is_there));
            }
        }
        ended
    }
}

async fn what_the_standby_received_is_made(how: Learns) {
    let mut scene = Scene::new(SOON * 2).await;
    scene.pause().await;
    let requests = scene.begin().await;
    let received =
        "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn >= pg_current_wal_lsn()";
    until(&scene.old, received, 1).await;
    scene.take_over(how).await;
    for (write, outcome, is_there) in scene.ended(requests).await {
        assert!(is_there, "{how:?}: {write:?}");
        assert!(outcome.is_ok(), "{how:?}: {outcome:?} of {write:?}");
    }
}

async fn what_the_standby_never_received_is_not_acknowledged(how: Learns) {
    let mut scene = Scene::new(TIMEOUT).await;
    scene.part().await;
    let requests = scene.begin().await;
    scene.take_over(how).await;
    for (write, outcome, is_there) in scene.ended(requests).await {
        assert!(!is_there, "{how:?}: {write:?}");
        assert_eq!(outcome, Err(WriteError::Unknown), "{how:?}: {write:?}");
        // Its caller may try it again.
        let again = scene.store.commit(write, AckLevel::Local).await;
        assert!(again.is_ok(), "{how:?}: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_makes_known_what_its_standby_received() {
    what_the_standby_received_is_made(Learns::ByAnotherConnection).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_leaves_unknown_what_its_standby_never_received() {
    what_the_standby_never_received_is_not_acknowledged(Learns::ByAnotherConnection).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_primary_makes_known_what_its_standby_received() {
    what_the_standby_received_is_made(Learns::ByItsEnd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_primary_leaves_unknown_what_its_standby_never_received() {
    what_the_standby_never_received_is_not_acknowledged(Learns::ByItsEnd).await;
}
