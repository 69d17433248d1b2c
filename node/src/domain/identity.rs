//! The names of an entry.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The name of an entry: 1 to 255 characters, any of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct ConfigKey(String);

impl ConfigKey {
    /// Longest name, in characters.
    pub const MAX_CHARACTERS: usize = 255;

    /// The key, or `None` when the text is empty or too long.
    pub fn new(text: String) -> Option<Self> {
        (!text.is_empty() && text.chars().count() <= Self::MAX_CHARACTERS).then_some(Self(text))
    }

    /// The usable part of a damaged name: its beginning, or a mark where it is empty.
    pub(crate) fn of_damaged(text: &str) -> Self {
        if text.is_empty() {
            return Self(char::REPLACEMENT_CHARACTER.to_string());
        }
        Self(text.chars().take(Self::MAX_CHARACTERS).collect())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A label for grouping entries: at most 100 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Category(String);

/// A category has more than [`Category::MAX_CHARACTERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the category is too long")]
pub struct CategoryTooLong;

impl TryFrom<String> for Category {
    type Error = CategoryTooLong;

    fn try_from(text: String) -> Result<Self, CategoryTooLong> {
        Self::new(text).ok_or(CategoryTooLong)
    }
}

impl Category {
    /// Longest category, in characters.
    pub const MAX_CHARACTERS: usize = 100;

    /// The category, or `None` when the text is too long.
    pub fn new(text: String) -> Option<Self> {
        (text.chars().count() <= Self::MAX_CHARACTERS).then_some(Self(text))
    }

    /// The category as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The second part of an entry's identity: at most 100 characters; empty is the default environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct Environment(String);

impl Environment {
    /// Longest environment, in characters.
    pub const MAX_CHARACTERS: usize = 100;

    /// The environment, or `None` when the text is too long.
    pub fn new(text: String) -> Option<Self> {
        (text.chars().count() <= Self::MAX_CHARACTERS).then_some(Self(text))
    }

    /// The stored name of the environment: empty for the default one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The environment's name, or `None` for the default one.
    pub fn name(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }
}

/// The identity of an entry: unique in a cluster, ordered by (environment, key) in byte order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct Identity {
    /// The environment.
    pub environment: Environment,
    /// The name within the environment.
    pub key: ConfigKey,
}

impl Identity {
    /// The identity with these names; `None` when one is empty or too long.
    pub fn of(environment: &str, key: &str) -> Option<Self> {
        Some(Self {
            environment: Environment::new(environment.to_owned())?,
            key: ConfigKey::new(key.to_owned())?,
        })
    }

    /// The informational `id` of answers.
    pub fn id(&self) -> u64 {
        entry_id(self.environment.as_str(), self.key.as_str())
    }
}

/// The informational `id` of an entry: the same on every node and for ever, 1 to 2^53 - 1 (exact in a double).
pub fn entry_id(environment: &str, key: &str) -> u64 {
    let digest = Sha256::new()
        .chain_update(environment)
        .chain_update([0])
        .chain_update(key)
        .finalize();
    let first = digest
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes));
    (first & ((1 << 53) - 1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_low_53_bits_of_the_digest_of_environment_and_key() {
        let identity = |environment: &str, key: &str| Identity {
            environment: Environment::new(environment.into()).unwrap(),
            key: ConfigKey::new(key.into()).unwrap(),
        };
        // python3 -c 'import hashlib; print(int.from_bytes(hashlib.sha256(b"\0database_prod").digest()[:8], "big") & (2**53 - 1))'
        assert_eq!(identity("", "database_prod").id(), ID_DEFAULT);
        assert_ne!(identity("staging", "database_prod").id(), ID_DEFAULT);
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(ConfigKey::new("é".repeat(255)).is_some());
        assert!(ConfigKey::new("é".repeat(256)).is_none());
        assert!(ConfigKey::new(String::new()).is_none());
        assert!(Category::new("é".repeat(100)).is_some());
        assert!(Category::new("é".repeat(101)).is_none());
        assert!(Environment::new("é".repeat(101)).is_none());
    }

    const ID_DEFAULT: u64 = 3_819_502_410_021_257;
}
