//! How many nodes must hold a write before it is answered.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// How many nodes must hold a write before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AckLevel {
    /// This one.
    Local,
    /// Every healthy one, for a quarter of a second at most; the answer is a success in any case.
    #[default]
    Healthy,
    /// Every member of roster and list, for two seconds at most; the answer says how many.
    All,
}

impl AckLevel {
    /// All of them, by the names that settings and requests use.
    pub const NAMES: &[(&str, Self)] = &[
        ("local", Self::Local),
        ("healthy", Self::Healthy),
        ("all", Self::All),
    ];

    /// The level as settings and requests name it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Healthy => "healthy",
            Self::All => "all",
        }
    }

    /// How long a write waits at most.
    pub fn timeout(self) -> Duration {
        match self {
            Self::Local => Duration::ZERO,
            Self::Healthy => Duration::from_millis(250),
            Self::All => Duration::from_secs(2),
        }
    }
}

impl FromStr for AckLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Self::NAMES
            .iter()
            .find(|(word, _)| text.eq_ignore_ascii_case(word))
            .map(|(_, level)| *level)
            .ok_or(UnknownLevel)
    }
}

/// A text names no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be local, healthy or all")]
pub struct UnknownLevel;
