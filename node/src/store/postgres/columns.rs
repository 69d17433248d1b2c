//! Rows to and from SQL.

use tokio_postgres::types::ToSql;

use super::PostgresError;
use crate::{
    domain::{
        Category, Clock, ConfigKey, Content, Environment, Identity, Incarnation, Row, Timestamp,
        Version,
    },
    store::clocks::{decode_clocks, encode_clocks},
};

/// The columns of an entry, in the order in which they are read and written.
pub(super) const COLUMNS: &str = "environment, key, category, token, created_at, updated_at, clock, incarnation, clocks, \
    extra, row_hash";

/// The same, of a table that is called `e`.
pub(super) const COLUMNS_OF_E: &str = "e.environment, e.key, e.category, e.token, e.created_at, e.updated_at, e.clock, \
    e.incarnation, e.clocks, e.extra, e.row_hash";

/// A row as it is written.
#[derive(Debug)]
pub(super) struct Columns {
    environment: Vec<u8>,
    key: Vec<u8>,
    category: Option<Vec<u8>>,
    token: Option<String>,
    created_at: i64,
    updated_at: i64,
    clock: i64,
    incarnation: i64,
    clocks: Vec<u8>,
    extra: Option<String>,
    hash: Vec<u8>,
}

impl Columns {
    pub(super) fn of(row: &Row) -> Self {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Self {
            environment: bytes(row.identity.environment.as_str()),
            key: bytes(row.identity.key.as_str()),
            category: row
                .category
                .as_ref()
                .map(|category| bytes(category.as_str())),
            token: row
                .content
                .as_ref()
                .map(|content| content.as_str().to_owned()),
            created_at: row.created_at.as_micros(),
            updated_at: row.updated_at.as_micros(),
            clock: row.version.clock.raw(),
            incarnation: row.version.incarnation.raw(),
            clocks: encode_clocks(&row.clocks),
            extra: row.extra.clone(),
            hash: row.hash().0.to_vec(),
        }
    }

    /// Parameters 1 to 11 of a statement.
    pub(super) fn into_parameters(self) -> Vec<Box<dyn ToSql + Sync + Send>> {
        vec![
            Box::new(self.environment),
            Box::new(self.key),
            Box::new(self.category),
            Box::new(self.token),
            Box::new(self.created_at),
            Box::new(self.updated_at),
            Box::new(self.clock),
            Box::new(self.incarnation),
            Box::new(self.clocks),
            Box::new(self.extra),
            Box::new(self.hash),
        ]
    }
}

/// Rows as they are written together: an array for each column.
#[derive(Debug, Default)]
pub(super) struct ColumnArrays {
    environment: Vec<Vec<u8>>,
    key: Vec<Vec<u8>>,
    category: Vec<Option<Vec<u8>>>,
    token: Vec<Option<String>>,
    created_at: Vec<i64>,
    updated_at: Vec<i64>,
    clock: Vec<i64>,
    incarnation: Vec<i64>,
    clocks: Vec<Vec<u8>>,
    extra: Vec<Option<String>>,
    hash: Vec<Vec<u8>>,
}

impl ColumnArrays {
    pub(super) fn of(rows: &[Row]) -> Self {
        let mut arrays = Self::default();
        for row in rows {
            let Columns {
                environment,
                key,
                category,
                token,
                created_at,
                updated_at,
                clock,
                incarnation,
                clocks,
                extra,
                hash,
            } = Columns::of(row);
            arrays.environment.push(environment);
            arrays.key.push(key);
            arrays.category.push(category);
            arrays.token.push(token);
            arrays.created_at.push(created_at);
            arrays.updated_at.push(updated_at);
            arrays.clock.push(clock);
            arrays.incarnation.push(incarnation);
            arrays.clocks.push(clocks);
            arrays.extra.push(extra);
            arrays.hash.push(hash);
        }
        arrays
    }

    /// Parameters 1 to 11 of a statement.
    pub(super) fn into_parameters(self) -> Vec<Box<dyn ToSql + Sync + Send>> {
        vec![
            Box::new(self.environment),
            Box::new(self.key),
            Box::new(self.category),
            Box::new(self.token),
            Box::new(self.created_at),
            Box::new(self.updated_at),
            Box::new(self.clock),
            Box::new(self.incarnation),
            Box::new(self.clocks),
            Box::new(self.extra),
            Box::new(self.hash),
        ]
    }
}

/// A parameter of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The row in these columns, beginning with the given one; `None` where there is none (an outer join without a match).
pub(super) fn read(
    found: &tokio_postgres::Row,
    first: usize,
) -> Result<Option<Row>, PostgresError> {
    match examine(found, first)? {
        Some((row, Some(what))) => Err(PostgresError::Damaged {
            key: row.identity.key.as_str().to_owned(),
            environment: row.identity.environment.as_str().to_owned(),
            what,
        }),
        found => Ok(found.map(|(row, _)| row)),
    }
}

/// The same as far as it can be read, and what cannot.
pub(super) fn examine(
    found: &tokio_postgres::Row,
    first: usize,
) -> Result<Option<(Row, Option<&'static str>)>, PostgresError> {
    let Some(environment) = found.try_get::<_, Option<&[u8]>>(first)? else {
        return Ok(None);
    };
    let key: &[u8] = found.try_get(first + 1)?;
    let damaged = |what| PostgresError::Damaged {
        key: String::from_utf8_lossy(key).into_owned(),
        environment: String::from_utf8_lossy(environment).into_owned(),
        what,
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let identity = text(environment)
        .and_then(Environment::new)
        .zip(text(key).and_then(ConfigKey::new))
        .map(|(environment, key)| Identity { environment, key })
        .ok_or_else(|| damaged("its names are none"))?;
    // One that cannot be read does not fit the hash.
    let category = found
        .try_get::<_, Option<&[u8]>>(first + 2)?
        .and_then(|bytes| text(bytes).and_then(Category::new));
    let row = Row {
        identity,
        category,
        content: found
            .try_get::<_, Option<String>>(first + 3)?
            .map(Content::from_text),
        created_at: Timestamp::from_micros(found.try_get(first + 4)?),
        updated_at: Timestamp::from_micros(found.try_get(first + 5)?),
        version: Version {
            clock: Clock::from_raw(found.try_get(first + 6)?),
            incarnation: Incarnation::from_raw(found.try_get(first + 7)?),
        },
        clocks: decode_clocks(found.try_get(first + 8)?),
        extra: found.try_get(first + 9)?,
    };
    let hash: &[u8] = found.try_get(first + 10)?;
    let is_whole = hash == row.hash().0;
    let unreadable = (!is_whole).then_some("its content does not fit its hash");
    Ok(Some((row, unreadable)))
}
