//! Lists: many entries read from one consistent state of the database, without holding them all in memory.

use std::ops::ControlFlow;

use rusqlite::{Connection, ToSql};

use super::{ReadError, Store, columns, row, values};
use crate::domain::{Category, Row, Timestamp};

/// Which entries a list is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only this environment; `""` is the default one.
    pub environment: Option<String>,
    /// Only this category.
    pub category: Option<String>,
    /// Only entries after this (environment, key), in byte order.
    pub after: Option<(String, String)>,
}

/// A live entry, borrowed from the database while it is visited.
#[derive(Debug, Clone, Copy)]
pub struct ListedEntry<'a> {
    /// The environment; `""` is the default one.
    pub environment: &'a str,
    /// The name.
    pub key: &'a str,
    /// The category.
    pub category: Option<&'a str>,
    /// The value's Fernet token.
    pub token: &'a str,
    /// The row's extra fields, with the value's seal.
    pub extra: Option<&'a str>,
    /// When the entry came into being.
    pub created_at: Timestamp,
    /// When this version was written.
    pub updated_at: Timestamp,
}

/// One state of the database, whatever is written meanwhile.
#[derive(Debug)]
pub struct Snapshot<'a>(&'a Connection);

impl Store {
    /// Runs a reader of many entries where blocking is allowed.
    pub async fn snapshot<T, F>(&self, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Result<T, ReadError> + Send + 'static,
    {
        self.readers
            .scan(move |connection| {
                let transaction = connection.unchecked_transaction()?;
                let result = read(&Snapshot(&transaction));
                transaction.finish()?;
                result
            })
            .await
    }
}

impl Snapshot<'_> {
    /// Visits the selected entries in (environment, key) order until the visitor breaks.
    pub fn scan(
        &self,
        selection: &Selection,
        mut visit: impl FnMut(ListedEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let columns = "environment, key, category, token, created_at, updated_at, extra";
        let (sql, parameters) = query(columns, selection);
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut rows = statement.query(parameters.as_slice())?;
        while let Some(row) = rows.next()? {
            // What cannot be read is an entry that no user key opens.
            let entry = ListedEntry::read(row).unwrap_or(ListedEntry::CLOSED);
            if visit(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The first selected entries in (environment, key) order, with their values where those are held here.
    pub fn rows(&self, selection: &Selection, most: usize) -> Result<Vec<Row>, ReadError> {
        let (sql, parameters) = query(row::COLUMNS, selection);
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut rows = statement.query(parameters.as_slice())?;
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(found) = rows.next()?
        {
            // The next part begins after the name of this one's last row.
            if columns::read_identity(found)?.is_some() {
                taken.push(values::attach(self.0, columns::read(found)?)?);
            }
        }
        Ok(taken)
    }
}

impl<'a> ListedEntry<'a> {
    /// Stands for an entry that cannot be read.
    const CLOSED: Self = Self {
        environment: "",
        key: "",
        category: None,
        token: "",
        extra: None,
        created_at: Timestamp::from_micros(0),
        updated_at: Timestamp::from_micros(0),
    };

    fn read(row: &'a rusqlite::Row<'_>) -> Option<Self> {
        let text = |column| row.get_ref(column).ok()?.as_str().ok();
        Some(Self {
            environment: text(0)?,
            key: text(1)?,
            category: row.get_ref(2).ok()?.as_str_or_null().ok()?,
            token: text(3)?,
            created_at: Timestamp::from_micros(row.get(4).ok()?),
            updated_at: Timestamp::from_micros(row.get(5).ok()?),
            extra: row.get_ref(6).ok()?.as_str_or_null().ok()?,
        })
    }

    /// A live row whose value is at hand.
    pub fn of(row: &'a Row) -> Option<Self> {
        let token = row.content.as_ref()?.token()?;
        Some(Self {
            environment: row.identity.environment.as_str(),
            key: row.identity.key.as_str(),
            category: row.category.as_ref().map(Category::as_str),
            token,
            extra: row.extra.as_deref(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Only the conditions that are wanted, so that the index on (environment, key) is used for each of them.
fn query<'s>(columns: &str, selection: &'s Selection) -> (String, Vec<&'s dyn ToSql>) {
    let Selection {
        environment,
        category,
        after,
    } = selection;
    let mut conditions = String::from("token IS NOT NULL");
    let mut parameters: Vec<&dyn ToSql> = Vec::new();
    if let Some(environment) = environment {
        conditions += " AND environment = ?";
        parameters.push(environment);
    }
    if let Some(category) = category {
        conditions += " AND category = ?";
        parameters.push(category);
    }
    if let Some((environment, key)) = after {
        conditions += " AND (environment, key) > (?, ?)";
        parameters.extend([environment as &dyn ToSql, key]);
    }
    let sql = format!(
        "SELECT {columns} FROM entries INDEXED BY entries_identity WHERE {conditions} ORDER BY environment, key"
    );
    (sql, parameters)
}
