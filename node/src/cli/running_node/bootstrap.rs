//! `osc-node bootstrap`: bootstraps a cluster by hand, after every listed node was asked whether it knows of one.

use std::time::Duration;

use anyhow::{Context, bail};
use opensecureconf_contract::{
    bootstrap::{BootstrapMark, BootstrapStep, decide},
    command::{AdminCommand, Bootstrapped},
};
use reqwest::StatusCode;

use super::{RunningNode, Status};
use crate::{
    config::{Config, PeerAddress},
    peers::PeerError,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// A cluster that was bootstrapped.
#[derive(Debug)]
pub(crate) struct BootstrappedCluster {
    /// The node that bootstrapped it.
    pub(crate) node: String,
    /// Its id.
    pub(crate) id: String,
    /// Whether the node belonged to it before.
    pub(crate) before: bool,
}

/// A node that may bootstrap.
struct Candidate {
    address: PeerAddress,
    name: String,
    status: Status,
}

/// Instructs one of the listed nodes to bootstrap the cluster: the one with entries, otherwise one with a salt, otherwise the
/// one whose name comes first, so that commands at the same time choose the same. With `force` no other node is asked, and the
/// node with this configuration is chosen.
///
/// # Errors
/// Where a listed node does not answer or belongs to a cluster, where listed nodes have different salts, or the node refuses.
pub(crate) async fn bootstrap(config: &Config, force: bool) -> anyhow::Result<BootstrappedCluster> {
    let listed = config.cluster.as_ref().map(|cluster| &cluster.peers.now);
    let listed = match listed {
        Some(listed) if !force => listed.as_slice(),
        None if !force => bail!(
            "each listed node is asked first whether it knows of a cluster: give OSC_CLUSTER_ENABLED=true and OSC_CLUSTER_NODES or \
             OSC_CLUSTER_NODES_FILE as the node has them, or --force to ask none of them"
        ),
        _ => &[],
    };
    let node = RunningNode::of(config)?;
    let status = node.status().await?;
    let own = status.node_id.clone().unwrap_or_default();
    let has_bootstrapped = status.details.cluster_uid.is_some();
    let mut candidates = vec![Candidate::new(node.address.clone(), status)];
    for peer in listed {
        let status = node.status_of(peer).await;
        let status = status.map_err(|error| without_status(peer, error))?;
        candidates.push(Candidate::new(peer.clone(), status));
    }
    let chosen = if has_bootstrapped {
        candidates
            .into_iter()
            .next()
            .context("no node can be instructed")?
    } else {
        choose(candidates)?
    };
    let Candidate {
        address,
        name,
        status,
    } = chosen;
    if node.local_orders && name != own {
        bail!(
            "node '{name}' at {address} is the one to begin, and takes orders from its own machine only: run osc-node bootstrap there"
        );
    }
    let order = AdminCommand::Bootstrap {
        incarnation: &status.details.incarnation,
    };
    let answer: Bootstrapped = node
        .order_to(&address, &order.path(), &order.body(), TIMEOUT)
        .await?;
    Ok(BootstrappedCluster {
        node: name,
        id: answer.cluster_uid,
        before: has_bootstrapped,
    })
}

/// Advice for a listed node that does not report its cluster.
fn without_status(peer: &PeerAddress, error: anyhow::Error) -> anyhow::Error {
    let advice = match error.downcast_ref::<PeerError>() {
        Some(PeerError::FalseAnswer) => other_key(peer),
        Some(PeerError::Refused { status, .. }) if *status == StatusCode::FORBIDDEN => {
            other_key(peer)
        }
        Some(PeerError::Refused { .. }) => {
            format!(
                "the listed node {peer} answers, but does not say whether it belongs to a cluster"
            )
        }
        _ => format!(
            "the listed node {peer} does not answer, and may belong to a cluster already; start it, or go on without it: --force"
        ),
    };
    error.context(advice)
}

fn other_key(peer: &PeerAddress) -> String {
    format!(
        "the listed node {peer} has another cluster key: give all nodes of the cluster the same one (OSC_CLUSTER_KEY or \
         OSC_CLUSTER_KEY_FILE)"
    )
}

impl Candidate {
    fn new(address: PeerAddress, status: Status) -> Self {
        let name = status.node_id.clone().unwrap_or_default();
        Self {
            address,
            name,
            status,
        }
    }
}

/// The node that the contract's decision chooses where no node is marked, and all answer.
fn choose(mut candidates: Vec<Candidate>) -> anyhow::Result<Candidate> {
    // Of equal candidates the first is chosen, whichever node asks.
    candidates.sort_by(|one, other| one.name.cmp(&other.name));
    let answers: Vec<_> = candidates
        .iter()
        .map(|candidate| Some(&candidate.status.details))
        .collect();
    match decide(&BootstrapMark::Absent, &answers) {
        BootstrapStep::Choose { node, .. } => {
            let chosen = candidates.into_iter().nth(node);
            chosen.context("no node can be instructed")
        }
        BootstrapStep::SaltsDiffer => bail!(
            "the listed nodes have different salts, and what one has the others could not read: empty the data folders of all but those with one salt"
        ),
        BootstrapStep::Record(incarnation) => {
            let belongs = |candidate: &&Candidate| {
                let details = &candidate.status.details;
                details.incarnation == incarnation && details.cluster_uid.is_some()
            };
            let belongs = candidates.iter().find(belongs);
            let Candidate {
                address,
                name,
                status,
            } = belongs.context("a node belongs to a cluster already")?;
            let uid = status.details.cluster_uid.as_deref().unwrap_or_default();
            bail!(
                "node '{name}' at {address} belongs to a cluster already (cluster uid {uid}); this one is going to join it"
            )
        }
        BootstrapStep::Settled
        | BootstrapStep::Tell { .. }
        | BootstrapStep::Wait
        | BootstrapStep::Lost { .. } => bail!("no node can be instructed"),
    }
}
