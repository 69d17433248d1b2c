//! Instructs one node of a local cluster to bootstrap it, once: the same decision as on Kubernetes, with a file for the mark.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::join_all;
use opensecureconf_contract::bootstrap::{BootstrapStep, decide};

use super::{files::ClusterFolder, process::NodeProcess};
use crate::node::{AdminCommand, NodeClient};

const PAUSE: Duration = Duration::from_millis(100);

/// Returns once the cluster is bootstrapped.
pub(super) async fn ensure_bootstrapped(
    folder: &ClusterFolder,
    client: &NodeClient,
    nodes: &[NodeProcess],
) -> anyhow::Result<()> {
    loop {
        let answers = join_all(nodes.iter().map(|node| client.status(node.address()))).await;
        let answers: Vec<_> = answers.iter().map(Option::as_ref).collect();
        let mut told = None;
        match decide(&folder.bootstrap_mark()?, &answers) {
            BootstrapStep::Settled => return Ok(()),
            BootstrapStep::Record(incarnation) => folder.choose_bootstrap_node(&incarnation)?,
            BootstrapStep::Choose { node, incarnation } => {
                folder.choose_bootstrap_node(&incarnation)?;
                told = Some((node, incarnation));
            }
            BootstrapStep::Tell { node, incarnation } => told = Some((node, incarnation)),
            BootstrapStep::Wait => {}
            BootstrapStep::SaltsDiffer => bail!(
                "the nodes have different salts, and what one has the others could not read: delete the data folders of all but those with \
                 one salt"
            ),
            BootstrapStep::Lost { .. } => bail!(
                "no node belongs to a cluster any more, and the one that bootstrapped it has lost its disk. Restore a backup of a \
                 node; or, to begin anew without the entries, delete {}",
                folder.bootstrap_file().display()
            ),
        }
        if let Some((node, incarnation)) = told {
            let node = nodes.get(node).context("a node that is not there")?;
            let order = AdminCommand::Bootstrap {
                incarnation: &incarnation,
            };
            // A node that is just starting may miss the order; it is instructed again.
            if let Err(error) = client.command(node.address(), &order).await {
                tracing::debug!(error = %error, "bootstrap_request_failed");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
