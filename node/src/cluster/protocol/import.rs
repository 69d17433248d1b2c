//! Entries of another database, which a command brings to a node.

use serde::{Deserialize, Serialize};

use crate::domain::{Content, Row, Seal, Timestamp};

/// The path at which a node accepts entries of another database.
pub const IMPORT_PATH: &str = "/cluster/v1/import";

/// Entries for a node to add where it has none of that name.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportOrder {
    /// The fingerprint of the salt under which they are encrypted.
    pub salt: String,
    /// Whether to check only.
    pub dry_run: bool,
    /// The entries.
    pub entries: Vec<ImportedEntry>,
}

/// One entry of an import.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportedEntry {
    /// The environment; empty for the default one.
    pub environment: String,
    /// The name.
    pub key: String,
    /// The category.
    pub category: Option<String>,
    /// The value's Fernet token, where it has no seal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A value with its seal. A node that would lose the seal finds no token, and accepts nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealedToken>,
    /// When the entry came into being.
    pub created_at: Timestamp,
}

/// A value that is bound to its entry.
#[derive(Debug, Serialize, Deserialize)]
pub struct SealedToken {
    /// The Fernet token.
    pub token: String,
    /// The seal that binds it.
    pub seal: Seal,
}

impl ImportedEntry {
    /// The value's token and its seal; an empty token where the order names none.
    pub fn value(&mut self) -> (String, Option<Seal>) {
        match self.sealed.take() {
            Some(SealedToken { token, seal }) => (token, Some(seal)),
            None => (self.token.take().unwrap_or_default(), None),
        }
    }
}

impl From<&Row> for ImportedEntry {
    fn from(row: &Row) -> Self {
        let token = row.content.as_ref().and_then(Content::token);
        let token = token.unwrap_or_default().to_owned();
        let (token, sealed) = match row.seal() {
            Some(seal) => (None, Some(SealedToken { token, seal })),
            None => (Some(token), None),
        };
        Self {
            environment: row.identity.environment.as_str().to_owned(),
            key: row.identity.key.as_str().to_owned(),
            category: row
                .category
                .as_ref()
                .map(|category| category.as_str().to_owned()),
            token,
            sealed,
            created_at: row.created_at,
        }
    }
}

/// The outcome for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// It is written, or would be.
    Written,
    /// The node has this very value already.
    Present,
    /// The node has another value under this name, which stays.
    Taken,
    /// It is no entry: a name that is too long, or a value that is no Fernet token.
    Unusable,
}

/// The outcome for each entry, in the order of the request.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportAnswer {
    /// One outcome for each entry.
    pub outcomes: Vec<ImportOutcome>,
}
