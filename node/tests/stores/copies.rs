//! A whole store is copied from a file into the shared database and back: every row stays the same, deletes included.

use futures::future::join_all;
use opensecureconf_node::{
    cluster::{Change, Expected},
    crypto::Salt,
    domain::{Identity, Incarnation, Row, Seal},
    store::{
        EntryStore,
        copy::{CopyError, Ending, Progress, SharedStore, into_shared, out_of_shared},
        postgres::{PostgresSettings, PostgresStore},
    },
};
use tempfile::TempDir;

use crate::{
    entry::{change, commit, create, named, put, put_in, token},
    server::{CLUSTER, Server},
    sqlite::{FILE, Sqlite},
    subject::Subject,
};

const SALT: [u8; 64] = [7; 64];
/// More than are read or written at a time.
const MANY: usize = 1200;

/// An empty shared database, and the salt that its store is to have.
struct Database {
    server: Server,
    settings: PostgresSettings,
    salt: Salt,
}

impl Database {
    async fn new() -> Self {
        let server = Server::primary().await;
        Self {
            settings: server.settings(),
            salt: Salt::from_bytes(&SALT).unwrap(),
            server,
        }
    }

    fn store(&self) -> SharedStore<'_> {
        SharedStore {
            settings: &self.settings,
            cluster: CLUSTER,
            salt: &self.salt,
        }
    }
}

/// Rows of every kind: with a category, a seal, in an environment, changed, deleted, created again; gives their names.
async fn fill(store: &impl EntryStore) -> Vec<Identity> {
    let many: Vec<_> = (0..MANY).map(|number| format!("many-{number}")).collect();
    for some in many.chunks(100) {
        join_all(some.iter().map(|key| create(store, key, 1))).await;
    }
    let keys = ["of a category", "sealed", "changed", "deleted", "again"];
    let sealed = Change::Put {
        category: None,
        token: token(3),
        seal: Some(Seal([7; 16])),
    };
    let changes = [put_in("c", 2), sealed, put(4), put(5), put(6)];
    for (key, made) in keys.into_iter().zip(changes) {
        let name = named(key);
        let made = commit(store, &name, Expected::NothingLive, made);
        made.await.unwrap();
    }
    change(store, "changed", put(7)).await;
    change(store, "deleted", Change::Delete).await;
    change(store, "again", Change::Delete).await;
    create(store, "again", 8).await;
    let elsewhere = Identity::of("staging", "changed").unwrap();
    let made = commit(store, &elsewhere, Expected::NothingLive, put(9));
    made.await.unwrap();
    let keys = keys.into_iter().chain(many.iter().map(String::as_str));
    keys.map(named).chain([elsewhere]).collect()
}

/// The rows of these names.
async fn rows(store: &impl EntryStore, names: &[Identity]) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in names {
        let row = store.find(name).await.unwrap().unwrap();
        rows.push((*row).clone());
    }
    rows
}

#[tokio::test]
async fn every_row_is_the_same_one_in_the_shared_database_and_back_in_a_file() {
    let old = Sqlite::new();
    let names = fill(old.store()).await;
    let before = rows(old.store(), &names).await;
    let file = old.end(&SALT).await;
    let database = Database::new().await;
    let shared = database.store();
    let mut looked_at = 0;
    let mut report = |progress: Progress| looked_at = progress.looked_at;
    let mut ending = Ending::default();
    let copied = into_shared(&file, shared, &mut ending, &mut report);
    let copied = copied.await.unwrap();
    assert!(copied.rest.is_nothing());
    assert_eq!(
        (copied.entries, copied.tombstones),
        (names.len() as u64 - 1, 1)
    );
    assert_eq!(
        (copied.written, looked_at),
        (names.len() as u64, names.len() as u64)
    );

    let folder = TempDir::new().unwrap();
    let incarnation = Incarnation::from_raw(99);
    let back = folder.path().join(FILE);
    let mut report = |_: Progress| ();
    let copied = out_of_shared(shared, &back, incarnation, &mut report).await;
    assert!(copied.unwrap().rest.is_nothing());

    let fingerprint = database.salt.fingerprint().to_string();
    let settings = database.settings.clone();
    let store = PostgresStore::connect(settings, &fingerprint, incarnation);
    assert_eq!(rows(&store.await.unwrap(), &names).await, before);
    let back = Sqlite::of(folder);
    assert_eq!(rows(back.store(), &names).await, before);
    assert_eq!(back.store().live_entries(), names.len() as u64 - 1);
    // Later writes come after all copied rows.
    let latest = before.iter().map(|row| row.version.clock).max().unwrap();
    let next = create(back.store(), "next", 1).await;
    assert!(next.version.clock > latest);
}

#[tokio::test]
async fn a_write_to_the_source_after_the_copy_began_to_read_keeps_it_unfinished() {
    const WRITE: &str = "INSERT INTO opensecureconf.changes (xid, environment, key, clock, incarnation, deleted, changed_at) \
         SELECT pg_current_xact_id(), environment, key, clock, incarnation, false, updated_at FROM opensecureconf.entries LIMIT 1";
    let old = Sqlite::new();
    fill(old.store()).await;
    let file = old.end(&SALT).await;
    let database = Database::new().await;
    let shared = database.store();
    let mut ending = Ending::default();
    into_shared(&file, shared, &mut ending, &mut |_| ())
        .await
        .unwrap();
    let folder = TempDir::new().unwrap();
    let (back, incarnation) = (folder.path().join(FILE), Incarnation::from_raw(99));
    // A node that writes while the copy reads, and is gone before it ends.
    let mut writes = |_: Progress| {
        std::thread::scope(|threads| {
            let write = || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.unwrap().block_on(database.server.sql(WRITE));
            };
            threads.spawn(write);
        });
    };
    let copied = out_of_shared(shared, &back, incarnation, &mut writes).await;
    let rest = copied.unwrap().rest;
    assert_eq!((rest.is_in_use, rest.written_since), (false, 1));
    assert!(!back.exists(), "no node serves it");
    let again = out_of_shared(shared, &back, incarnation, &mut |_| ()).await;
    assert!(again.unwrap().rest.is_nothing());
    assert!(back.exists());
}

#[tokio::test]
async fn a_run_after_one_whose_last_answer_was_lost_finds_the_copy_finished() {
    let old = Sqlite::new();
    create(old.store(), "k", 1).await;
    let file = old.end(&SALT).await;
    let database = Database::new().await;
    let shared = database.store();
    let mut ending = Ending::default();
    let first = into_shared(&file, shared, &mut ending, &mut |_| ()).await;
    let first = first.unwrap();
    // A node may serve the store already: the next run of the same command touches nothing.
    let mut looks = 0;
    let mut report = |_: Progress| looks += 1;
    let again = into_shared(&file, shared, &mut ending, &mut report).await;
    assert_eq!((again.unwrap(), looks), (first, 0));
    // To another command it is a store with entries.
    let mut ending = Ending::default();
    let other = into_shared(&file, shared, &mut ending, &mut |_| ()).await;
    let other = other.unwrap_err();
    assert!(matches!(other, CopyError::NotEmpty), "{other}");
}
