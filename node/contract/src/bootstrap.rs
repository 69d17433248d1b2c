//! Which node bootstraps a cluster. Once, ever: a durable mark names the node's incarnation before the node is instructed,
//! and the first writer of that mark has decided. Pure.
//!
//! The operator, `osc-operator local` and `osc-node bootstrap` call [`decide`], and so do the exhaustive search and the simulation of the
//! engine: what they show holds for what runs. `osc-node bootstrap` has no mark: it asks all listed nodes, each time.

use crate::status::NodeDetails;

/// What the durable mark says: an annotation of the salt Secret, or a file of a local cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BootstrapMark {
    /// Nothing: the salt was there before, and so may be a cluster.
    #[default]
    Absent,
    /// The salt was made together with the cluster, and no node was chosen yet.
    Unchosen,
    /// This incarnation was chosen.
    Chosen(String),
}

impl BootstrapMark {
    /// The mark as it is written: empty where no node is chosen.
    pub fn of(text: Option<&str>) -> Self {
        match text.map(str::trim) {
            None => Self::Absent,
            Some("") => Self::Unchosen,
            Some(incarnation) => Self::Chosen(incarnation.to_owned()),
        }
    }

    /// What is written; `None` where nothing is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Unchosen => Some(""),
            Self::Chosen(incarnation) => Some(incarnation),
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootstrapStep {
    /// The cluster is there and the mark says who bootstrapped it.
    Settled,
    /// The cluster is there, and the mark does not say so: note this incarnation, of a node that belongs to it.
    Record(String),
    /// Mark this incarnation, and only then instruct the node.
    Choose {
        /// Which of the nodes.
        node: usize,
        /// Its incarnation.
        incarnation: String,
    },
    /// Instruct the node that was chosen: it may not have heard.
    Tell {
        /// Which of the nodes.
        node: usize,
        /// Its incarnation.
        incarnation: String,
    },
    /// Nodes that may know more do not answer yet.
    Wait,
    /// Nodes have different salts: what one of them has, the others could not read.
    SaltsDiffer,
    /// All nodes answer, none belongs to a cluster, and the one that was chosen is gone with its disk.
    Lost {
        /// That incarnation.
        incarnation: String,
    },
}

/// Decides from the mark and from what the nodes answered; of equal ones the first is chosen.
pub fn decide(mark: &BootstrapMark, nodes: &[Option<&NodeDetails>]) -> BootstrapStep {
    let answers = || {
        nodes
            .iter()
            .enumerate()
            .filter_map(|(node, details)| Some((node, (*details)?)))
    };
    let belongs = answers().find(|(_, details)| details.cluster_uid.is_some());
    if let Some((_, details)) = belongs {
        return match mark {
            BootstrapMark::Chosen(_) => BootstrapStep::Settled,
            BootstrapMark::Absent | BootstrapMark::Unchosen => {
                BootstrapStep::Record(details.incarnation.clone())
            }
        };
    }
    let all_answer = !nodes.is_empty() && nodes.iter().all(Option::is_some);
    if let BootstrapMark::Chosen(incarnation) = mark {
        let chosen = answers().find(|(_, details)| details.incarnation == *incarnation);
        return match chosen {
            Some((node, _)) => BootstrapStep::Tell {
                node,
                incarnation: incarnation.clone(),
            },
            None if all_answer => BootstrapStep::Lost {
                incarnation: incarnation.clone(),
            },
            None => BootstrapStep::Wait,
        };
    }
    // Beside a salt that was there before, a node that does not answer may hold the cluster.
    if *mark == BootstrapMark::Absent && !all_answer {
        return BootstrapStep::Wait;
    }
    let mut salts = answers().filter_map(|(_, details)| details.salt_fingerprint.as_ref());
    if let Some(first) = salts.next()
        && salts.any(|other| other != first)
    {
        return BootstrapStep::SaltsDiffer;
    }
    // A node that holds entries keeps them, and one that has a salt keeps that; otherwise any will do.
    let choice = answers()
        .min_by_key(|(_, details)| (details.entries == 0, details.salt_fingerprint.is_none()));
    match choice {
        Some((node, details)) => BootstrapStep::Choose {
            node,
            incarnation: details.incarnation.clone(),
        },
        None => BootstrapStep::Wait,
    }
}

#[cfg(test)]
mod tests;
