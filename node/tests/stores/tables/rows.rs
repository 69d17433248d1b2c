//! The rows that the cases write.

use std::collections::BTreeMap;

use opensecureconf_node::{
    cluster::{FeedRow, Seq, Tables},
    domain::{Clock, Content, Fingerprint, Identity, Incarnation, Row, Timestamp, Version},
};

use super::OWN;
use crate::entry::{named, token};

pub(super) fn seq(number: i64) -> Seq {
    Seq::from_raw(number)
}

pub(super) fn version(clock: i64, incarnation: Incarnation) -> Version {
    Version {
        clock: Clock::from_raw(clock),
        incarnation,
    }
}

/// A live row, written at this clock by this database.
pub(super) fn live(key: &str, clock: i64) -> Row {
    row(
        named(key),
        Some(Content::Token(token(value_at(clock)))),
        clock,
    )
}

/// A deleted row.
pub(super) fn deleted(key: &str, clock: i64) -> Row {
    row(named(key), None, clock)
}

/// A row of a directory: it names the token of `live` by its fingerprint.
pub(super) fn listed(key: &str, clock: i64) -> Row {
    let name = Fingerprint::of(&token(value_at(clock)));
    row(named(key), Some(Content::Fingerprint(name)), clock)
}

/// The row as another database wrote it.
pub(super) fn of_another(mut row: Row) -> Row {
    row.version.incarnation = Incarnation::from_raw(7);
    row
}

pub(super) fn row(identity: Identity, content: Option<Content>, clock: i64) -> Row {
    Row {
        identity,
        category: None,
        content,
        created_at: Timestamp::from_micros(1),
        updated_at: Timestamp::from_micros(clock),
        version: version(clock, OWN),
        clocks: BTreeMap::from([(OWN, Clock::from_raw(clock))]),
        extra: None,
    }
}

/// The value that a row of this clock has.
pub(super) fn value_at(clock: i64) -> u8 {
    u8::try_from(clock).unwrap()
}

/// Writes rows as the changes with these sequences.
pub(super) fn put<E: std::fmt::Debug>(tables: &mut dyn Tables<Error = E>, rows: &[(Row, i64)]) {
    for (row, number) in rows {
        tables.put_row(row, row.hash(), seq(*number)).unwrap();
    }
}

/// The names and sequences of rows.
pub(super) fn places(rows: &[FeedRow]) -> Vec<(&str, i64)> {
    rows.iter()
        .map(|row| (row.row.identity.key.as_str(), row.seq.raw()))
        .collect()
}
