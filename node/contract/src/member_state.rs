//! What a node is to its cluster.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a node is to its cluster, as it says of itself and of others.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// It runs without a cluster.
    Standalone,
    /// It belongs to no cluster yet.
    Blank,
    /// It is admitted and takes a snapshot.
    Joining,
    /// It belongs.
    Member,
    /// It hands over what it has.
    Leaving,
    /// Others hold what it held.
    Left,
    /// A later life of its name was admitted.
    Superseded,
    /// It was removed.
    Removed,
    /// It must take a new snapshot.
    Fenced,
    /// A later release reports it so, or no node has reported it.
    #[default]
    #[serde(other)]
    Unknown,
}

impl MemberState {
    /// The word for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Blank => "blank",
            Self::Joining => "joining",
            Self::Member => "member",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Superseded => "superseded",
            Self::Removed => "removed",
            Self::Fenced => "fenced",
            Self::Unknown => "unknown",
        }
    }

    /// Whether purges and writes to all wait for it.
    pub fn counts(self) -> bool {
        matches!(self, Self::Joining | Self::Member | Self::Leaving)
    }
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_is_written_and_a_later_one_is_unknown() {
        for state in [
            MemberState::Standalone,
            MemberState::Blank,
            MemberState::Joining,
            MemberState::Member,
            MemberState::Leaving,
            MemberState::Left,
            MemberState::Superseded,
            MemberState::Removed,
            MemberState::Fenced,
            MemberState::Unknown,
        ] {
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(text, format!("\"{state}\""));
            assert_eq!(serde_json::from_str::<MemberState>(&text).unwrap(), state);
        }
        let later = serde_json::from_str::<MemberState>(r#""observing""#).unwrap();
        assert_eq!(later, MemberState::Unknown);
    }
}
