//! Short constructors for the writes of tests.

use std::time::SystemTime;

use opensecureconf_node::{
    cluster::{Change, Expected, Write, Written},
    domain::{Identity, Row, Timestamp},
    store::{
        EntryStore,
        postgres::{PostgresError, PostgresStore},
    },
};

pub(crate) fn named(key: &str) -> Identity {
    Identity::of("", key).unwrap()
}

pub(crate) fn now() -> Timestamp {
    let elapsed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_micros(i64::try_from(elapsed.as_micros()).unwrap())
}

pub(crate) fn write(key: &str, seen: Expected, token: Option<&str>) -> Write {
    Write {
        identity: named(key),
        seen,
        named: None,
        change: token.map_or(Change::Delete, |token| Change::Put {
            category: None,
            token: token.to_owned(),
            seal: None,
        }),
    }
}

pub(crate) async fn create(
    store: &PostgresStore,
    key: &str,
    token: &str,
) -> Result<Option<Written>, PostgresError> {
    store
        .commit_write(&write(key, Expected::NothingLive, Some(token)), None, now())
        .await
}

pub(crate) async fn created(store: &PostgresStore, key: &str, token: &str) -> Written {
    create(store, key, token)
        .await
        .unwrap()
        .expect("the name is free")
}

pub(crate) async fn put(
    store: &PostgresStore,
    key: &str,
    over: &Written,
    token: &str,
) -> Result<Option<Written>, PostgresError> {
    store
        .commit_write(
            &write(key, Expected::Version(over.version), Some(token)),
            None,
            now(),
        )
        .await
}

pub(crate) async fn delete(
    store: &PostgresStore,
    key: &str,
    over: &Written,
) -> Result<Option<Written>, PostgresError> {
    store
        .commit_write(
            &write(key, Expected::Version(over.version), None),
            None,
            now(),
        )
        .await
}

pub(crate) async fn found(store: &PostgresStore, key: &str) -> Option<Row> {
    let row = store.find(&named(key)).await.unwrap();
    row.map(|row| (*row).clone())
}

pub(crate) async fn token(store: &PostgresStore, key: &str) -> Option<String> {
    let row = found(store, key).await?;
    row.content.map(|content| content.as_str().to_owned())
}
