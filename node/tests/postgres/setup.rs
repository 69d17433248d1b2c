//! The databases that a node accepts as its store.

use opensecureconf_node::{
    cluster::{AckLevel, Expected},
    domain::Incarnation,
    store::{
        Atomicity, EntryStore, StoreLoss, WriteError,
        postgres::{PostgresError, PostgresStore, Uid, adopt, migrate},
    },
};

use tokio::time::{Duration, sleep, timeout};

use crate::{
    failover::{impatient, pair},
    server::{CLUSTER, SALT, Server},
    world::SOON,
    writes::{created, token, write},
};

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_once_and_the_store_keeps_its_name() {
    let server = Server::primary().await;
    let settings = server.settings();
    let first = migrate(&settings, CLUSTER, SALT).await.unwrap();
    assert_eq!((first.from, first.to), (0, 1));
    let store = server.node(1, settings.clone()).await;
    created(&store, "k", "gAAAA").await;
    let again = migrate(&settings, CLUSTER, SALT).await.unwrap();
    assert_eq!((again.from, again.to), (1, 1));
    assert_eq!(again.identity, first.identity);
    assert_eq!(store.identity().unwrap(), &first.identity);
    assert_eq!(token(&store, "k").await.as_deref(), Some("gAAAA"));
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_at_the_same_time_make_one_store() {
    let server = Server::primary().await;
    let settings = server.settings();
    let all = futures::future::join_all((0..4).map(|_| migrate(&settings, CLUSTER, SALT))).await;
    let names: std::collections::HashSet<_> = all
        .into_iter()
        .map(|migrated| migrated.unwrap().identity.uid.to_string())
        .collect();
    assert_eq!(names.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_what_is_not_its_store() {
    let server = Server::primary().await;
    let settings = server.settings();
    let connect = async |salt: &str| {
        let node = PostgresStore::connect(settings.clone(), salt, Incarnation::from_raw(1));
        node.await.map(|_| ()).unwrap_err()
    };
    assert!(matches!(connect(SALT).await, PostgresError::Empty));
    migrate(&settings, CLUSTER, SALT).await.unwrap();
    assert!(matches!(
        connect("00000000").await,
        PostgresError::OtherSalt { .. }
    ));
    let other = migrate(&settings, "another", SALT).await.unwrap_err();
    assert!(
        matches!(other, PostgresError::OtherCluster { .. }),
        "{other}"
    );
    server
        .sql("UPDATE opensecureconf.identity SET schema = 9, usable_from = 9")
        .await;
    assert!(matches!(
        connect(SALT).await,
        PostgresError::NewerSchema { found: 9, .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_the_next_release_are_used_and_left_as_they_are() {
    let server = Server::primary().await;
    let settings = server.settings();
    migrate(&settings, CLUSTER, SALT).await.unwrap();
    let next = "UPDATE opensecureconf.identity SET schema = 2, usable_from =";
    server.sql(&format!("{next} 1")).await;
    // As the pod of an earlier release does that starts during a rollout, or after a rollback.
    let there = migrate(&settings, CLUSTER, SALT).await.unwrap();
    assert_eq!((there.from, there.to), (2, 2));
    let store = server.node(1, settings.clone()).await;
    created(&store, "k", "gAAAA").await;

    server.sql(&format!("{next} 2")).await;
    let refused = migrate(&settings, CLUSTER, SALT).await.unwrap_err();
    assert!(
        matches!(refused, PostgresError::NewerSchema { found: 2, known: 1 }),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_started_before_writes_nothing_into_another_store() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    created(&store, "k", "gAAAA").await;
    for change in ["uid = repeat('0', 32)", "salt_fingerprint = 'ffffffff'"] {
        server
            .sql(&format!("UPDATE opensecureconf.identity SET {change}"))
            .await;
        let refused = crate::writes::create(&store, "l", "gAAAA")
            .await
            .unwrap_err();
        let words = refused.to_string();
        assert!(words.contains("became another store"), "{words}");
        for atomicity in [Atomicity::All, Atomicity::Each] {
            let writes = ["l", "m"].map(|key| write(key, Expected::NothingLive, Some("gAAAA")));
            let commit = store.commit_batch(writes.into(), AckLevel::default(), atomicity);
            let lost = Err(WriteError::Lost(StoreLoss::Another));
            assert!(commit.await.contains(&lost), "{atomicity:?}");
        }
    }
    assert_eq!(
        server
            .count("SELECT count(*) FROM opensecureconf.entries")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_the_same_command_gave_away_before_is_given() {
    let server = Server::primary().await;
    let settings = server.settings();
    migrate(&settings, CLUSTER, SALT).await.unwrap();
    let uid = Uid::random();
    let given = adopt(&settings, CLUSTER, "another", SALT, &uid).await;
    // The answer was lost, and the command tries again.
    let again = adopt(&settings, CLUSTER, "another", SALT, &uid).await;
    assert_eq!(again.unwrap(), given.unwrap());
    let other = adopt(&settings, CLUSTER, "another", SALT, &Uid::random()).await;
    assert!(matches!(other, Err(PostgresError::OtherCluster { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_had_no_answer_leaves_no_connection_to_the_next_one() {
    let server = Server::primary().await;
    let mut settings = impatient(&server);
    settings.connections = 1;
    migrate(&settings, CLUSTER, SALT).await.unwrap();
    let mut other = server.connect("postgres").await.unwrap();
    let holding = other.transaction().await.unwrap();
    let lock = "LOCK TABLE opensecureconf.identity IN ACCESS EXCLUSIVE MODE";
    holding.batch_execute(lock).await.unwrap();
    let store = PostgresStore::new(settings, SALT, Incarnation::from_raw(1)).unwrap();
    for tries in 1..=2 {
        let refused = store.reach(None).await.unwrap_err();
        assert!(matches!(refused, PostgresError::Slow), "{refused}");
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        assert_eq!(server.count(waiting).await, tries, "each try asked");
    }
    holding.rollback().await.unwrap();
    store.reach(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_entries_cannot_be_counted_now_is_reached() {
    let server = Server::primary().await;
    let settings = server.settings();
    migrate(&settings, CLUSTER, SALT).await.unwrap();
    server
        .sql("ALTER TABLE opensecureconf.entries RENAME TO elsewhere")
        .await;
    let store = PostgresStore::new(settings, SALT, Incarnation::from_raw(1)).unwrap();
    let reached = store.reach(Some(CLUSTER)).await;
    assert_eq!(reached.unwrap().cluster, CLUSTER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_does_not_wait_for_a_lost_standby_without_end() {
    let (primary, mut standby) = pair().await;
    migrate(&primary.settings(), CLUSTER, SALT).await.unwrap();
    standby.kill();
    let settings = impatient(&primary);
    // The tables are current: the commit waits, since it makes sure of the store's name.
    let migrating = timeout(SOON, migrate(&settings, CLUSTER, SALT));
    let ended = migrating.await.expect("it ends").unwrap_err();
    assert!(matches!(ended, PostgresError::Unknown), "{ended}");
    assert!(ended.may_pass(), "`--wait` tries again");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_believe_no_commit_whose_wait_was_cancelled() {
    let (primary, mut standby) = pair().await;
    primary
        .sql("ALTER ROLE postgres SET client_min_messages = 'error'")
        .await;
    migrate(&primary.settings(), CLUSTER, SALT).await.unwrap();
    standby.kill();
    let (settings, uid) = (primary.settings(), Uid::random());
    let cancelling = async {
        loop {
            primary
                .sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                .await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    let commands = async {
        let migrated = migrate(&settings, CLUSTER, SALT).await.map(|_| ());
        let adopted = adopt(&settings, CLUSTER, "another", SALT, &uid).await;
        (migrated, adopted.map(|_| ()))
    };
    let ended = tokio::select! {
        ended = timeout(SOON, commands) => ended.unwrap(),
        () = cancelling => panic!("it has no end"),
    };
    assert!(matches!(ended.0, Err(PostgresError::Unknown)), "{ended:?}");
    assert!(matches!(ended.1, Err(PostgresError::Unknown)), "{ended:?}");
}
