//! Many entries, made as a node makes them and brought in by `COPY`.

use std::{ops::Range, pin::pin};

use opensecureconf_node::{
    crypto::DataKey,
    domain::{Clock, Content, Identity, Incarnation, Row, Timestamp, Version},
};
use tokio::runtime::Runtime;
use tokio_postgres::{
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use super::database::Database;
use crate::node::value;

/// One entry in so many has the other key.
pub(super) const ONE_IN: usize = 1000;
/// How many are brought in at a time.
const TASKS: usize = 2;

const COLUMNS: &str =
    "environment, key, token, created_at, updated_at, clock, incarnation, clocks, extra, row_hash";
const TYPES: [Type; 10] = [
    Type::BYTEA,
    Type::BYTEA,
    Type::TEXT,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::BYTEA,
    Type::TEXT,
    Type::BYTEA,
];

/// The keys of the entries.
pub(super) struct Keys {
    /// Opens all entries except one in [`ONE_IN`].
    pub(super) usual: DataKey,
    /// Opens the others.
    pub(super) rare: DataKey,
}

/// The name of an entry.
pub(super) fn name(number: usize) -> String {
    format!("service-{number:09}")
}

/// Fills the database with so many entries.
pub(super) fn fill(runtime: &Runtime, database: &Database, keys: &Keys, count: usize) {
    std::thread::scope(|scope| {
        for part in 0..TASKS {
            let range = count * part / TASKS..count * (part + 1) / TASKS;
            scope.spawn(move || runtime.block_on(bring(database, keys, range)));
        }
    });
    runtime.block_on(
        database
            .server
            .sql("ANALYZE opensecureconf.entries; CHECKPOINT"),
    );
}

async fn bring(database: &Database, keys: &Keys, numbers: Range<usize>) {
    let client = database.server.connect("postgres").await.unwrap();
    let sql = format!("COPY opensecureconf.entries ({COLUMNS}) FROM STDIN BINARY");
    let sink = client.copy_in(&sql).await.unwrap();
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &TYPES));
    for number in numbers {
        let row = row(keys, number);
        let names = [row.identity.environment.as_str(), row.identity.key.as_str()];
        let (clock, incarnation) = (row.version.clock.raw(), row.version.incarnation.raw());
        let clocks = [incarnation.to_be_bytes(), clock.to_be_bytes()].concat();
        let (names, hash) = (names.map(str::as_bytes), row.hash());
        let columns: [&(dyn ToSql + Sync); 10] = [
            &names[0],
            &names[1],
            &row.content.as_ref().map(Content::as_str),
            &row.created_at.as_micros(),
            &row.updated_at.as_micros(),
            &clock,
            &incarnation,
            &clocks,
            &row.extra,
            &hash.0.as_slice(),
        ];
        writer.as_mut().write(&columns).await.unwrap();
    }
    writer.finish().await.unwrap();
}

fn row(keys: &Keys, number: usize) -> Row {
    let key = if number.is_multiple_of(ONE_IN) {
        &keys.rare
    } else {
        &keys.usual
    };
    let now = Timestamp::from_micros(1_768_471_845_000_000);
    let identity = Identity::of("", &name(number)).unwrap();
    let names = ("", identity.key.as_str());
    let (token, seal) = key
        .seal_value(names, value(number).as_bytes(), now)
        .unwrap();
    let version = Version {
        clock: Clock::at(now),
        incarnation: Incarnation::from_raw(7),
    };
    Row {
        identity,
        category: None,
        content: Some(Content::Token(token)),
        created_at: now,
        updated_at: now,
        version,
        clocks: [(version.incarnation, version.clock)].into(),
        extra: Some(seal.into_extra(None)),
    }
}
