//! What the holder of the cluster key may order of a node.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::{MemberState, route};

/// An order about the membership of a node; each is a `POST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminCommand<'a> {
    /// Bootstrap the cluster, if this is your incarnation.
    Bootstrap {
        /// The incarnation that is meant.
        incarnation: &'a str,
    },
    /// Leave the cluster.
    Leave,
    /// Remove a member: one that has left, or by force one that is dead.
    Remove {
        /// Which member.
        name: &'a str,
        /// Which life of it.
        incarnation: &'a str,
        /// Whether it has not left.
        force: bool,
    },
    /// Go on with what you have, although you may have missed deletes.
    Unfence {
        /// Whether nothing is done.
        dry_run: bool,
    },
}

impl AdminCommand<'_> {
    /// Path and query of the request.
    pub fn path(&self) -> String {
        match self {
            Self::Bootstrap { .. } => route::BOOTSTRAP.to_owned(),
            Self::Leave => route::LEAVE.to_owned(),
            Self::Remove {
                name,
                incarnation,
                force,
            } => {
                let (segment, query) = named(name, "name");
                let members = route::MEMBERS;
                format!("{members}{segment}/remove?incarnation={incarnation}&force={force}{query}")
            }
            Self::Unfence { dry_run } => format!("{}?dry_run={dry_run}", route::UNFENCE),
        }
    }

    /// Its body, as JSON; `None` where it has none.
    pub fn body(&self) -> Option<BootstrapOrder> {
        match self {
            Self::Bootstrap { incarnation } => Some(BootstrapOrder {
                incarnation: (*incarnation).to_owned(),
            }),
            Self::Leave | Self::Remove { .. } | Self::Unfence { .. } => None,
        }
    }
}

/// What a node answers to an order about its membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AdminAnswer {
    /// It bootstrapped the cluster, now or before.
    Bootstrapped(Bootstrapped),
    /// Anything else was done.
    State(StateAnswer),
}

/// The body of the order to bootstrap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootstrapOrder {
    /// The incarnation that is meant.
    pub incarnation: String,
}

/// The answer to the order to bootstrap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrapped {
    /// The cluster's identity.
    pub cluster_uid: String,
}

/// The answer to other orders about membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateAnswer {
    /// What the node is now, or the removed member.
    pub state: MemberState,
}

/// The answer to the order to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfenced {
    /// What the node is now.
    pub state: MemberState,
    /// How many of its entries may have been deleted elsewhere.
    pub count: u64,
    /// The first thousand of them.
    pub entries: Vec<UnfencedEntry>,
}

/// An entry that may have been deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfencedEntry {
    /// Its environment; `None` for the default one.
    pub environment: Option<String>,
    /// Its name.
    pub key: String,
}

/// The level of the log, as it is ordered and answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelBody {
    /// Its name.
    pub level: String,
}

/// A name as a segment of a path, and what the query adds: every URL library takes two names for steps in a tree of folders, in
/// whatever spelling, so that the query has them.
pub fn named(name: &str, parameter: &str) -> (String, String) {
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    match name {
        "." | ".." => ("-".to_owned(), format!("&{parameter}={encoded}")),
        _ => (encoded, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_has_one_request() {
        let incarnation = "3f1d2c5b7a904e21";
        let remove = |name, force| AdminCommand::Remove {
            name,
            incarnation,
            force,
        };
        for (command, path) in [
            (
                AdminCommand::Bootstrap { incarnation },
                "/cluster/bootstrap",
            ),
            (AdminCommand::Leave, "/cluster/leave"),
            (
                AdminCommand::Unfence { dry_run: true },
                "/cluster/unfence?dry_run=true",
            ),
            (
                remove("prod-2", false),
                "/cluster/members/prod%2D2/remove?incarnation=3f1d2c5b7a904e21&force=false",
            ),
            (
                remove("..", true),
                "/cluster/members/-/remove?incarnation=3f1d2c5b7a904e21&force=true&name=%2E%2E",
            ),
        ] {
            assert_eq!(command.path(), path);
        }
        let body = AdminCommand::Bootstrap { incarnation }.body();
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"incarnation":"3f1d2c5b7a904e21"}"#
        );
    }
}
