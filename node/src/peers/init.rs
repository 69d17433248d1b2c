//! `osc-node init`: founds a cluster by hand, after every listed node was asked whether it knows of one.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::running::RunningNode;
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
struct Founded {
    founding: String,
}

/// Tells the running node with this configuration to found its cluster. Gives the founding's id.
///
/// # Errors
/// Where a listed node does not answer or belongs to a cluster (`force` goes on all the same), or the node refuses.
pub async fn init(config: &Config, force: bool) -> anyhow::Result<String> {
    let (Some(cluster), Some(cluster_keys)) = (&config.cluster, &config.cluster_keys) else {
        bail!(
            "this node belongs to no cluster; run init with the settings of the node that it is about (OSC_CLUSTER_ENABLED=true)"
        )
    };
    let node = RunningNode::of(config)?;
    let me = node
        .status()
        .await
        .with_context(|| format!("the node at {} must be up to be told", node.address))?;
    if !force {
        for peer in &cluster.peers.now {
            let status = node.status_of(peer).await.with_context(|| {
                format!("the listed node {peer} does not answer, and may belong to a cluster already; start it, or go on without it: --force")
            })?;
            if let Some(founding) = status.details.founding
                && status.node_id != me.node_id
            {
                bail!(
                    "node '{}' at {peer} belongs to a cluster already (founding {founding}); this one is going to join it",
                    status.node_id.unwrap_or_default()
                );
            }
        }
    }
    let order = serde_json::json!({ "incarnation": me.details.incarnation });
    let founded: Founded = node
        .order("/cluster/found", cluster_keys, &order, PATIENCE)
        .await?;
    Ok(founded.founding)
}
