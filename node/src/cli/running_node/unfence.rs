//! `osc-node unfence`: lets a node go on where no other node could give it a snapshot.

use std::time::Duration;

use opensecureconf_contract::command::{AdminCommand, Unfenced};

use super::RunningNode;
use crate::config::Config;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Instructs the running node with these settings to go on; with `dry_run` only asks which rows may have been deleted.
///
/// # Errors
/// Where the node is not in a cluster, does not answer, or refuses: it is not fenced, or another node can give it a snapshot.
pub(crate) async fn unfence(config: &Config, dry_run: bool) -> anyhow::Result<Unfenced> {
    let node = RunningNode::of(config)?;
    let path = AdminCommand::Unfence { dry_run }.path();
    node.order(&path, &serde_json::json!({}), TIMEOUT).await
}
