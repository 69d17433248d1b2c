//! A row: one entry or tombstone as it is stored and, later, as it travels.

use std::{collections::BTreeMap, fmt};

use sha2::{Digest, Sha256};

use super::{Category, Clock, Content, Identity, Incarnation, Seal, Timestamp, Version};

/// SHA-256 over every field of a row: shows damage, and orders two rows of equal version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct RowHash(pub [u8; 32]);

impl fmt::Display for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each row that travels shows its hash: one text, not 32 numbers that are formatted.
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
        let mut text = String::with_capacity(2 * self.0.len());
        for byte in self.0 {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0xf));
        }
        f.write_str(&text)
    }
}

/// The place of a row in the order of all versions of its entry: total, so every node picks the same winner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct Stamp {
    /// Clock and writer.
    pub version: Version,
    /// Decides between two rows of one version, which only a duplicated database can make.
    pub hash: RowHash,
}

/// One version of one entry. Ciphertext at most: without the user key none of it can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct Row {
    /// Which entry.
    pub identity: Identity,
    /// The entry's category; `None` for entries without one and for tombstones.
    pub category: Option<Category>,
    /// The value, or its fingerprint; `None` marks a tombstone.
    pub content: Option<Content>,
    /// When the entry came into being.
    pub created_at: Timestamp,
    /// When this version was written.
    pub updated_at: Timestamp,
    /// Which version this is.
    pub version: Version,
    /// The highest clock of each database in this version's history, the writer's own included.
    pub clocks: BTreeMap<Incarnation, Clock>,
    /// The value's seal, and fields of a newer release, as JSON text: kept, hashed and passed on exactly as they came, also by
    /// releases without seals.
    pub extra: Option<String>,
}

impl Row {
    /// The hash of all fields, each with its length before it so that no two rows share an encoding.
    pub fn hash(&self) -> RowHash {
        // Destructured in full: a field that is not hashed would not be protected.
        let Self {
            identity,
            category,
            content,
            created_at,
            updated_at,
            version,
            clocks,
            extra,
        } = self;
        let mut hash = FieldHash(Sha256::new_with_prefix(b"opensecureconf row 1"));
        hash.field(Some(identity.environment.as_str().as_bytes()));
        hash.field(Some(identity.key.as_str().as_bytes()));
        hash.field(
            category
                .as_ref()
                .map(|category| category.as_str().as_bytes()),
        );
        hash.field(content.as_ref().map(|content| content.as_str().as_bytes()));
        hash.number(created_at.as_micros());
        hash.number(updated_at.as_micros());
        hash.number(version.clock.raw());
        hash.number(version.incarnation.raw());
        hash.number(i64::try_from(clocks.len()).unwrap_or(i64::MAX));
        for (incarnation, clock) in clocks {
            hash.number(incarnation.raw());
            hash.number(clock.raw());
        }
        if let Some(extra) = extra {
            hash.field(Some(extra.as_bytes()));
        }
        RowHash(hash.0.finalize().into())
    }

    /// The row's place among all versions of its entry.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            version: self.version,
            hash: self.hash(),
        }
    }

    /// Whether the writer of this version knew the other one, directly or through others.
    pub fn contains(&self, other: &Self) -> bool {
        self.clocks
            .get(&other.version.incarnation)
            .is_some_and(|clock| *clock >= other.version.clock)
    }

    /// The seal that binds the value to this entry; `None` for values from before there were seals.
    pub fn seal(&self) -> Option<Seal> {
        self.extra.as_deref().and_then(Seal::of_extra)
    }

    /// Replaces the seal with that of another value of the entry.
    pub fn set_seal(&mut self, seal: Option<Seal>) {
        let extra = seal.map(|seal| seal.into_extra(self.extra.as_deref()));
        self.extra = extra;
    }

    /// Whether the entry is deleted.
    pub fn is_tombstone(&self) -> bool {
        self.content.is_none()
    }
}

struct FieldHash(Sha256);

impl FieldHash {
    fn field(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            None => self.number(-1),
            Some(bytes) => {
                self.number(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
                self.0.update(bytes);
            }
        }
    }

    fn number(&mut self, number: i64) {
        self.0.update(number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ConfigKey, Environment};

    #[test]
    fn a_change_in_any_field_changes_the_hash() {
        let row = Row {
            identity: Identity {
                environment: Environment::default(),
                key: ConfigKey::new("k".into()).unwrap(),
            },
            category: None,
            content: Some(Content::Token("gAAAA".into())),
            created_at: Timestamp::from_micros(1),
            updated_at: Timestamp::from_micros(2),
            version: Version {
                clock: Clock::from_raw(3),
                incarnation: Incarnation::from_raw(4),
            },
            clocks: BTreeMap::new(),
            extra: None,
        };
        let changes: [fn(&mut Row); 9] = [
            |row| row.identity.key = ConfigKey::new("l".into()).unwrap(),
            |row| row.identity.environment = Environment::new("k".into()).unwrap(),
            |row| row.category = Category::new(String::new()),
            |row| row.content = None,
            |row| row.created_at = Timestamp::from_micros(9),
            |row| row.updated_at = Timestamp::from_micros(9),
            |row| row.version.clock = Clock::from_raw(9),
            |row| {
                row.clocks
                    .insert(Incarnation::from_raw(4), Clock::from_raw(3));
            },
            |row| row.extra = Some("{}".into()),
        ];
        let hashes: std::collections::BTreeSet<_> = changes
            .iter()
            .map(|change| {
                let mut changed = row.clone();
                change(&mut changed);
                changed.hash()
            })
            .chain([row.hash()])
            .collect();
        assert_eq!(hashes.len(), changes.len() + 1);
    }
}
