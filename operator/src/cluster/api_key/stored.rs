//! The state of a change of the key in the Secret with the clients' key. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    cluster::secrets::ObservedSecret,
    names::{
        ANNOTATION_API_KEY_PHASE, ANNOTATION_API_KEY_ROTATION, ANNOTATION_API_KEY_SINCE,
        API_KEY_ENTRY, previous_entry,
    },
};

/// How far a change of the key has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyPhase {
    /// None is under way.
    #[default]
    Settled,
    /// Nodes get the new key beside the one that clients show.
    Distributing,
    /// Clients read the new key; nodes still accept the old one.
    Exchanged,
    /// A user ended the old key; nodes forget it.
    Ending,
}

impl KeyPhase {
    /// The annotation's text; `None` while no change is under way.
    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Self::Settled => None,
            Self::Distributing => Some("Distributing"),
            Self::Exchanged => Some("Exchanged"),
            Self::Ending => Some("Ending"),
        }
    }

    fn read(text: &str) -> Self {
        let all = [Self::Distributing, Self::Exchanged, Self::Ending];
        let mut named = all.into_iter();
        // A word of another release leads to no step.
        named
            .find(|phase| phase.text() == Some(text))
            .unwrap_or_default()
    }
}

/// The state in the Secret's annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRecord {
    /// The nonce that was taken up last.
    pub nonce: Option<String>,
    /// How far that has come.
    pub phase: KeyPhase,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl KeyRecord {
    /// Reads the annotations.
    pub fn read(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let annotation = |name: &str| annotations?.get(name);
        Self {
            nonce: annotation(ANNOTATION_API_KEY_ROTATION).cloned(),
            phase: annotation(ANNOTATION_API_KEY_PHASE)
                .map_or(KeyPhase::Settled, |text| KeyPhase::read(text)),
            since: annotation(ANNOTATION_API_KEY_SINCE).and_then(|text| text.parse().ok()),
        }
    }
}

/// The keys in the Secret: one a line, without the blanks around them. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct StoredKeys {
    /// The keys that clients read.
    pub(super) current: Vec<Vec<u8>>,
    /// The keys that nodes accept additionally.
    pub(super) beside: Vec<Vec<u8>>,
}

impl StoredKeys {
    pub(super) fn read(secret: &ObservedSecret) -> Self {
        let lines = |entry: &str| {
            let text = secret.entries.get(entry).map(Vec::as_slice);
            let lines = text.unwrap_or_default().split(|byte| *byte == b'\n');
            lines
                .map(<[u8]>::trim_ascii)
                .filter(|line| !line.is_empty())
                .map(<[u8]>::to_vec)
                .collect()
        };
        Self {
            current: lines(API_KEY_ENTRY),
            beside: lines(&previous_entry(API_KEY_ENTRY)),
        }
    }

    /// The key that is given to nodes, where all that callers read stand beside it.
    pub(super) fn new_key(&self) -> Option<&[u8]> {
        if !self.holds_current_beside() {
            return None;
        }
        let mut beside = self.beside.iter();
        let new = beside.find(|key| !self.current.contains(key))?;
        Some(new)
    }

    /// Whether the key that clients read now also stands among the others.
    pub(super) fn holds_current_beside(&self) -> bool {
        self.current.iter().all(|key| self.beside.contains(key))
    }

    /// The entry of the previous keys, with the current key and then this one. The current key comes first: the operator shows
    /// it, and nodes that read one file before and the other after a change of the Secret still accept both keys.
    pub(super) fn beside_with(&self, new: &str) -> Vec<u8> {
        let mut text = self.current.join(&b'\n');
        text.push(b'\n');
        text.extend_from_slice(new.as_bytes());
        text.push(b'\n');
        text
    }
}

impl std::fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredKeys(***)")
    }
}
