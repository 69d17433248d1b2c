//! Tells one node of a local cluster to found it, once: the same decision as on Kubernetes, with a file for the mark.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::join_all;

use super::{files::ClusterFolder, process::NodeProcess};
use crate::cluster::{
    founding::{FoundingStep, decide},
    node_status::{self, NodeOrder},
};

const PAUSE: Duration = Duration::from_millis(100);

/// Returns once the cluster is founded.
pub(super) async fn see_to_it(folder: &ClusterFolder, nodes: &[NodeProcess]) -> anyhow::Result<()> {
    let client = node_status::client()?;
    let (api_key, cluster_key) = (folder.read_api_key()?, folder.read_cluster_key()?);
    loop {
        let answers = join_all(
            nodes
                .iter()
                .map(|node| node_status::ask(&client, node.address(), Some(&api_key))),
        )
        .await;
        let answers: Vec<_> = answers.iter().map(Option::as_ref).collect();
        let mut told = None;
        match decide(&folder.founder()?, &answers) {
            FoundingStep::Settled => return Ok(()),
            FoundingStep::Record(incarnation) => folder.choose_founder(&incarnation)?,
            FoundingStep::Choose { node, incarnation } => {
                folder.choose_founder(&incarnation)?;
                told = Some((node, incarnation));
            }
            FoundingStep::Tell { node, incarnation } => told = Some((node, incarnation)),
            FoundingStep::Wait => {}
            FoundingStep::Lost { .. } => bail!(
                "no node belongs to a cluster any more, and the one that founded it has lost its disk. Restore a backup of a \
                 node; or, to begin anew without the entries, delete {}",
                folder.founder_file().display()
            ),
        }
        if let Some((node, incarnation)) = told {
            let node = nodes.get(node).context("a node that is not there")?;
            let order = NodeOrder::Found {
                incarnation: &incarnation,
            };
            // One that is just starting may not hear it; it is told again.
            if let Err(error) =
                node_status::order(&client, node.address(), &cluster_key, &order).await
            {
                tracing::debug!(error = %error, "node_not_told");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
