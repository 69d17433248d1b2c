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

/// The place of a token's size behind [`withholding`].
const SIZE: usize = 11;

/// The columns of an entry of `e` without a token of more than so many bytes, and behind them the size of the token.
pub(super) fn withholding(more_than: usize) -> String {
    format!(
        "e.environment, e.key, e.category, CASE WHEN octet_length(e.token) <= {more_than} THEN e.token END, e.created_at, \
         e.updated_at, e.clock, e.incarnation, e.clocks, e.extra, e.row_hash, octet_length(e.token)"
    )
}

/// The size of the token in a row of [`withholding`], where it was withheld.
pub(super) fn withheld(
    found: &tokio_postgres::Row,
    first: usize,
    more_than: usize,
) -> Result<Option<usize>, PostgresError> {
    let size: Option<i32> = found.try_get(first + SIZE)?;
    let size = usize::try_from(size.unwrap_or_default()).unwrap_or_default();
    Ok(Some(size).filter(|size| *size > more_than))
}

/// The columns of a written row.
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
    pub(super) fn into_parameters(self) -> Vec<OwnedParameter> {
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

/// The columns of many rows that one statement writes: a list for each column.
#[derive(Debug, Default)]
pub(super) struct ColumnLists {
    environments: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    categories: Vec<Option<Vec<u8>>>,
    tokens: Vec<Option<String>>,
    created_at: Vec<i64>,
    updated_at: Vec<i64>,
    clocks_of_versions: Vec<i64>,
    incarnations: Vec<i64>,
    histories: Vec<Vec<u8>>,
    extras: Vec<Option<String>>,
    hashes: Vec<Vec<u8>>,
}

/// The types of these lists.
pub(super) const COLUMN_LISTS: &str = "$1::bytea[], $2::bytea[], $3::bytea[], $4::text[], $5::bigint[], $6::bigint[], \
    $7::bigint[], $8::bigint[], $9::bytea[], $10::text[], $11::bytea[]";

impl ColumnLists {
    pub(super) fn of(rows: &[Row]) -> Self {
        let mut lists = Self::default();
        for row in rows {
            let columns = Columns::of(row);
            lists.environments.push(columns.environment);
            lists.keys.push(columns.key);
            lists.categories.push(columns.category);
            lists.tokens.push(columns.token);
            lists.created_at.push(columns.created_at);
            lists.updated_at.push(columns.updated_at);
            lists.clocks_of_versions.push(columns.clock);
            lists.incarnations.push(columns.incarnation);
            lists.histories.push(columns.clocks);
            lists.extras.push(columns.extra);
            lists.hashes.push(columns.hash);
        }
        lists
    }

    /// Parameters 1 to 11 of a statement.
    pub(super) fn into_parameters(self) -> Vec<OwnedParameter> {
        vec![
            Box::new(self.environments),
            Box::new(self.keys),
            Box::new(self.categories),
            Box::new(self.tokens),
            Box::new(self.created_at),
            Box::new(self.updated_at),
            Box::new(self.clocks_of_versions),
            Box::new(self.incarnations),
            Box::new(self.histories),
            Box::new(self.extras),
            Box::new(self.hashes),
        ]
    }
}

/// Environments and keys of these names, as lists.
pub(super) fn name_lists(names: &[Identity]) -> (Vec<&[u8]>, Vec<&[u8]>) {
    names
        .iter()
        .map(|name| {
            (
                name.environment.as_str().as_bytes(),
                name.key.as_str().as_bytes(),
            )
        })
        .unzip()
}

/// A parameter of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A parameter that a statement owns, so that it can run elsewhere.
pub(super) type OwnedParameter = Box<dyn ToSql + Sync + Send>;

/// These parameters in the driver's form.
pub(super) fn lent(parameters: &[OwnedParameter]) -> Vec<Parameter<'_>> {
    parameters
        .iter()
        .map(|parameter| &**parameter as Parameter<'_>)
        .collect()
}

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

/// The same as far as it can be read, and the unreadable part.
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
    // An unreadable one does not match the hash.
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
