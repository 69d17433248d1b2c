//! How the nodes of a cluster share entries.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How the nodes of a cluster share entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every node holds every entry.
    #[default]
    Replica,
    /// Every node knows of every entry; its value stays with the node that received it.
    Federated,
}

impl Mode {
    /// The mode as settings and answers name it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::Federated => "federated",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        [Self::Replica, Self::Federated]
            .into_iter()
            .find(|mode| text.eq_ignore_ascii_case(mode.text()))
            .ok_or(UnknownMode)
    }
}

/// A text names no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mode is 'replica' or 'federated'")]
pub struct UnknownMode;
