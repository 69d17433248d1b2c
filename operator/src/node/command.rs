//! What only the holder of the cluster key may order of a node.

use reqwest::{Client, RequestBuilder};
use serde_json::json;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeCommand<'a> {
    /// Bootstrap the cluster, if this is your incarnation.
    Bootstrap {
        /// The incarnation that is meant.
        incarnation: &'a str,
    },
    /// Leave the cluster.
    Leave,
    /// Remove a member that has left.
    Remove {
        /// Which member.
        name: &'a str,
        /// Which life of it.
        incarnation: &'a str,
    },
}

impl NodeCommand<'_> {
    /// The request that carries it; `base` is such as `http://10.0.0.7:9000`.
    pub(super) fn request(&self, client: &Client, base: &str) -> RequestBuilder {
        match self {
            Self::Bootstrap { incarnation } => client
                .post(format!("{base}/cluster/bootstrap"))
                .json(&json!({ "incarnation": incarnation })),
            Self::Leave => client.post(format!("{base}/cluster/leave")),
            Self::Remove { name, incarnation } => client.post(format!(
                "{base}/cluster/members/{name}/remove?incarnation={incarnation}"
            )),
        }
    }
}

/// Why a node did not carry out an order.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It did not answer.
    #[error("the node at {address} does not answer")]
    Unreachable {
        /// Where.
        address: String,
        /// What failed.
        source: reqwest::Error,
    },
    /// It refused.
    #[error("the node at {address} refused: {text}")]
    Refused {
        /// Where.
        address: String,
        /// Its words.
        text: String,
    },
    /// The operator has no key to show it.
    #[error("there is no cluster key that a header can carry")]
    NoKey,
}
