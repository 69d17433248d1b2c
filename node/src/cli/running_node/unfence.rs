//! `osc-node unfence`: lets a node go on that nobody could give a snapshot.

use std::time::Duration;

use serde::Deserialize;

use super::RunningNode;
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(10);

/// What the node answered.
#[derive(Debug, Deserialize)]
pub(crate) struct Unfenced {
    /// What it is now, as `/cluster/status?details=true` names it.
    pub(crate) state: String,
    /// How many of its entries may have been deleted elsewhere.
    pub(crate) count: u64,
    /// The first thousand of them.
    pub(crate) entries: Vec<UnfencedEntry>,
}

/// An entry that may have been deleted.
#[derive(Debug, Deserialize)]
pub(crate) struct UnfencedEntry {
    /// Its environment; `None` for the default one.
    pub(crate) environment: Option<String>,
    /// Its name.
    pub(crate) key: String,
}

/// Orders it of the running node with these settings; with `dry_run` only asks what may have been deleted.
///
/// # Errors
/// Where the node is not in a cluster, does not answer, or refuses: it is not fenced, or another node can give it a snapshot.
pub(crate) async fn unfence(config: &Config, dry_run: bool) -> anyhow::Result<Unfenced> {
    let path = format!("/cluster/unfence?dry_run={dry_run}");
    let order = serde_json::json!({});
    RunningNode::of(config)?
        .order(&path, &order, PATIENCE)
        .await
}
