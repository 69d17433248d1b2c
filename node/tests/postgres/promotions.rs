//! What is under way in the instant of a promotion: nothing goes to the server that was replaced, and nothing that it says is believed.

use opensecureconf_node::store::{
    EntryStore,
    postgres::{PostgresSettings, PostgresStore, migrate},
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Duration, sleep, timeout},
};
use tokio_postgres::Client;

use crate::{
    failover::{Name, pair},
    server::{CLUSTER, SALT, Server},
    world::SOON,
    writes::{create, created, found, named, put, token},
};

/// Two servers, and a node whose address leads to the first one.
struct Scene {
    old: Server,
    new: Server,
    name: Name,
    store: PostgresStore,
}

impl Scene {
    async fn new() -> Self {
        let (old, new) = pair().await;
        old.store(1).await;
        let name = Name::of(&old);
        let settings = PostgresSettings {
            connections: 16,
            timeout: SOON,
            ..Server::settings_at(&name.path())
        };
        let store = old.node(2, settings).await;
        Self {
            old,
            new,
            name,
            store,
        }
    }

    /// The first server answers nothing about entries until the returned session ends its transaction.
    async fn hold_entries(&self) -> Client {
        let session = self.old.connect("postgres").await.unwrap();
        let hold = "BEGIN; LOCK TABLE opensecureconf.entries IN ACCESS EXCLUSIVE MODE";
        session.batch_execute(hold).await.unwrap();
        session
    }

    /// Returns once one session waits for the entries.
    async fn one_waits(&self) {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        let waiting = async {
            while self.old.count(waits).await == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, waiting).await.unwrap();
    }

    /// The second server takes over, and the node reads from it over a new connection.
    async fn take_over(&self) {
        self.new.promote();
        self.name.lead_to(&self.new);
        // Those before may wait at the earlier primary, so that the next one takes another connection.
        let meeting = async {
            let mut tries = JoinSet::new();
            loop {
                let store = self.store.clone();
                tries.spawn(async move { store.find(&named("never written")).await });
                let ended = timeout(Duration::from_millis(500), tries.join_next());
                if let Ok(Some(Ok(Ok(_)))) = ended.await
                    && self.store.usage().timeline == 2
                {
                    break;
                }
            }
        };
        timeout(SOON, meeting).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_not_sent_yet_goes_to_the_new_primary() {
    let scene = Scene::new().await;
    let holding = scene.hold_entries().await;
    let store = scene.store.clone();
    let writing: JoinHandle<_> = tokio::spawn(async move { create(&store, "k", "one").await });
    // It has a connection to the earlier primary, which has not prepared its statement.
    scene.one_waits().await;
    scene.take_over().await;
    holding.batch_execute("ROLLBACK").await.unwrap();
    let made = timeout(SOON, writing).await.unwrap().unwrap();
    assert!(matches!(made, Ok(Some(_))), "{made:?}");
    let other = scene.new.node(3, scene.new.settings()).await;
    assert!(found(&other, "k").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_of_the_earlier_primary_is_not_read() {
    let scene = Scene::new().await;
    let made = created(&scene.store, "k", "one").await;
    let holding = scene.hold_entries().await;
    let store = scene.store.clone();
    let reading: JoinHandle<_> = tokio::spawn(async move { store.find(&named("k")).await });
    scene.one_waits().await;
    scene.take_over().await;
    let other = scene.new.node(3, scene.new.settings()).await;
    put(&other, "k", &made, "two").await.unwrap().unwrap();
    holding.batch_execute("ROLLBACK").await.unwrap();
    let read = timeout(SOON, reading).await.unwrap().unwrap();
    let read = read.ok().flatten();
    let read = read.and_then(|row| row.content.as_ref().map(|it| it.as_str().to_owned()));
    assert_ne!(read.as_deref(), Some("one"), "of the earlier primary");
    assert_eq!(token(&scene.store, "k").await.as_deref(), Some("two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_server_is_no_replaced_one() {
    let scene = Scene::new().await;
    scene.take_over().await;
    let uid = scene.store.identity().unwrap().uid.to_string();
    // As pg_upgrade leaves it: another server on timeline 1, with the same store.
    let upgraded = Server::primary().await;
    migrate(&upgraded.settings(), CLUSTER, SALT).await.unwrap();
    upgraded
        .sql(&format!("UPDATE opensecureconf.identity SET uid = '{uid}'"))
        .await;
    scene.name.lead_to(&upgraded);
    scene.new.disconnect_everybody().await;
    let telling = async {
        loop {
            let error = create(&scene.store, "k", "one").await.unwrap_err();
            let words = error.to_string();
            if words.contains("timeline") || words.contains("upgraded") {
                return words;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let words = timeout(SOON, telling).await.unwrap();
    assert!(words.contains("Restart the nodes"), "{words}");
    // As its words say.
    let again = upgraded.node(4, upgraded.settings()).await;
    created(&again, "k", "one").await;
}
