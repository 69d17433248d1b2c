//! Values that lost against a concurrent write, a page at a time.

use crate::domain::{Content, Fingerprint, Row, RowHash};

/// Ciphertext of a page of conflicts, in bytes, before it ends; it has one conflict at least.
pub const CONFLICT_PAGE_BYTES: usize = 1 << 20;

/// Some losing versions of conflicts, the latest first.
#[derive(Debug)]
pub struct ConflictPage {
    /// The versions.
    pub rows: Vec<LostVersion>,
    /// The number before which the next page begins; `None` at the end.
    pub next: Option<i64>,
}

/// A losing version of a conflict.
#[derive(Debug)]
pub struct LostVersion {
    /// The version, as far as it could be read.
    pub row: Row,
    /// The hash with which it was kept.
    pub hash: RowHash,
}

impl LostVersion {
    /// Whether it is the one that was written, by its hash. That of a federated row names its value's fingerprint, beside which its
    /// value is kept.
    pub fn is_as_written(&self) -> bool {
        if self.row.hash() == self.hash {
            return true;
        }
        let token = self.row.content.as_ref().and_then(Content::token);
        token.is_some_and(|token| {
            let content = Content::Fingerprint(Fingerprint::of(token));
            let named = Row {
                content: Some(content),
                ..self.row.clone()
            };
            named.hash() == self.hash
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{Clock, ConfigKey, Environment, Identity, Incarnation, Timestamp, Version};

    fn lost(kept: Content, written: Content) -> LostVersion {
        let row = |content| Row {
            identity: Identity {
                environment: Environment::default(),
                key: ConfigKey::new("k".into()).unwrap(),
            },
            category: None,
            content: Some(content),
            created_at: Timestamp::from_micros(1),
            updated_at: Timestamp::from_micros(2),
            version: Version {
                clock: Clock::from_raw(3),
                incarnation: Incarnation::from_raw(4),
            },
            clocks: BTreeMap::new(),
            extra: None,
        };
        LostVersion {
            hash: row(written).hash(),
            row: row(kept),
        }
    }

    #[test]
    fn a_version_is_as_written_by_the_hash_of_its_value_or_of_its_fingerprint() {
        let token = |text: &str| Content::Token(text.to_owned());
        let fingerprint = |text: &str| Content::Fingerprint(Fingerprint::of(text));
        assert!(lost(token("one"), token("one")).is_as_written());
        assert!(lost(token("one"), fingerprint("one")).is_as_written());
        assert!(!lost(token("one"), token("other")).is_as_written());
        assert!(!lost(token("one"), fingerprint("other")).is_as_written());
    }
}
