//! Lists: many entries of one state of a store, visited in place, without holding them all in memory.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use super::ReadError;
use super::clocks::decode_clocks;
use crate::domain::{Category, Content, Identity, Row, Timestamp, Version};

/// How long a list waits for its turn while slow clients hold all of them.
pub const LIST_WAIT: Duration = Duration::from_secs(5);

/// The least stack of a visitor, in bytes: it may read the value of an entry there, however deep that is (a test in `api`
/// compares it with `json::STACK`, which stores do not know).
pub const VISITOR_STACK: usize = 8 << 20;

/// The bytes of values after which a snapshot gives no more rows at once: a caller that wants more asks again.
pub const ROWS_BYTES: usize = 1 << 20;

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
    /// What else its row's hash covers; `None` where the hash was compared when the row was read.
    pub hashed: Option<Hashed<'a>>,
}

/// The rest of a row whose hash was not compared yet: most values have a seal, which says more.
#[derive(Debug, Clone, Copy)]
pub struct Hashed<'a> {
    /// The row's version.
    pub version: Version,
    /// The highest clock of each writer, as they are stored.
    pub clocks: &'a [u8],
    /// The hash with which the row was written.
    pub hash: &'a [u8],
}

/// The reach of a scan: `rows` rows at most, and until a time, but one row at least.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Rows to look at, including deleted ones and those of other categories.
    pub rows: usize,
    /// When it ends.
    pub until: Instant,
}

/// How far a scan came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Rows that were looked at.
    pub looked_at: usize,
    /// The (environment, key) of the last one, where the reach ended before the rows did.
    pub stopped_at: Option<(String, String)>,
}

/// One state of the store, whatever is written meanwhile. Its readers may block, also on the caller's runtime.
pub trait EntrySnapshot {
    /// Visits the selected entries in (environment, key) order until the visitor breaks, within a reach.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn scan(
        &self,
        selection: &Selection,
        reach: Reach,
        visit: &mut dyn FnMut(ListedEntry<'_>) -> ControlFlow<()>,
    ) -> Result<Scanned, ReadError>;

    /// The first selected entries in (environment, key) order within a reach, with values where this node holds them. It ends
    /// early with [`ROWS_BYTES`] of them, as [`GatheredRows`] does.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn rows(&self, selection: &Selection, reach: Reach) -> Result<(Vec<Row>, Scanned), ReadError>;
}

/// Rows, as long as they take no more memory than [`ROWS_BYTES`] and one row more.
#[derive(Debug, Default)]
pub struct GatheredRows {
    rows: Vec<Row>,
    bytes: usize,
}

impl GatheredRows {
    /// Takes a row, and breaks where it is the last.
    pub fn take(&mut self, row: Row) -> ControlFlow<()> {
        self.bytes += row.content.as_ref().map_or(0, |it| it.as_str().len());
        self.rows.push(row);
        if self.bytes < ROWS_BYTES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    /// All rows, and how far the scan came that gave them.
    pub fn end(self, mut scanned: Scanned) -> (Vec<Row>, Scanned) {
        if self.bytes >= ROWS_BYTES {
            let names = |row: &Row| {
                let Identity { environment, key } = &row.identity;
                (environment.as_str().to_owned(), key.as_str().to_owned())
            };
            scanned.stopped_at = self.rows.last().map(names);
        }
        (self.rows, scanned)
    }
}

impl<'a> ListedEntry<'a> {
    /// A live row with its value.
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
            hashed: None,
        })
    }

    /// Whether its row is the one that was written, by the row's hash.
    pub fn is_as_written(&self) -> bool {
        let Some(hashed) = self.hashed else {
            return true;
        };
        let category = self.category.map(|it| Category::new(it.to_owned()));
        let (Some(identity), Some(category)) = (
            Identity::of(self.environment, self.key),
            category.map_or(Some(None), |it| it.map(Some)),
        ) else {
            return false;
        };
        let row = Row {
            identity,
            category,
            content: Some(Content::Token(self.token.to_owned())),
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: hashed.version,
            clocks: decode_clocks(hashed.clocks),
            extra: self.extra.map(str::to_owned),
        };
        row.hash().0.as_slice() == hashed.hash
    }
}
