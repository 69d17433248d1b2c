//! Commands that work on the tables run one at a time, and none waits for another session without end.

use std::fs;

use tokio_postgres::Client;

use crate::world::{Node, World};

/// The number in the lock of commands: `OSCf`.
const LOCK: i64 = 0x4F53_4366;

const MIGRATE: &[&str] = &["database", "migrate"];
const ADOPT: &[&str] = &["database", "adopt", "--from", "another"];
const COPY: &[&str] = &[
    "copy",
    "--from",
    "alone/configurations.db",
    "--to",
    "shared",
];

/// A session that has run this in a transaction that it leaves open.
async fn session_with(world: &World, sql: &str) -> Client {
    let session = world.server.connect("postgres").await.unwrap();
    let begun = session.batch_execute(&format!("BEGIN; {sql}")).await;
    begun.unwrap();
    session
}

fn gives_up(world: &World, command: &[&str]) {
    let (code, text) = world.run(command, &[("OSC_DATABASE_TIMEOUT", "1")]);
    assert_eq!(code, Some(1), "{command:?}: {text}");
    let told = "another session works on the tables of the database, and did not end within 1 s";
    assert!(text.contains(told), "{command:?}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gives_up_a_turn_that_does_not_come() {
    let world = World::new().await;
    let folder = world.folder().join("alone");
    fs::create_dir(&folder).unwrap();
    Node::alone_with(&folder, &[("OSC_SALT_SECRET_FILE", "../salt")]).kill();
    let sql = format!("SELECT pg_advisory_xact_lock({LOCK})");
    let other = session_with(&world, &sql).await;
    for command in [MIGRATE, ADOPT, COPY] {
        gives_up(&world, command);
    }
    other.batch_execute("COMMIT").await.unwrap();
    for command in [MIGRATE, COPY] {
        let (code, text) = world.run(command, &[]);
        assert_eq!(code, Some(0), "{command:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_gives_up_tables_that_another_session_holds() {
    let world = World::new().await;
    let other = session_with(&world, "LOCK TABLE opensecureconf.identity").await;
    gives_up(&world, MIGRATE);
    other.batch_execute("COMMIT").await.unwrap();
    let (code, text) = world.run(MIGRATE, &[]);
    assert_eq!(code, Some(0), "{text}");
}
