//! Which node bootstraps a cluster. Once, ever: a durable mark names the node's incarnation before the node is instructed,
//! and the first operator that writes that mark has decided. Pure.

use super::bootstrap_mark::BootstrapMark;
use crate::node::NodeDetails;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootstrapStep {
    /// The cluster is founded and the mark says by whom.
    Settled,
    /// The cluster is founded, and the mark does not say so: note this incarnation.
    Record(String),
    /// Mark this incarnation, and only then tell the node.
    Choose {
        /// Which of the nodes.
        node: usize,
        /// Its incarnation.
        incarnation: String,
    },
    /// Tell the node that was chosen: it may not have heard.
    Tell {
        /// Which of the nodes.
        node: usize,
        /// Its incarnation.
        incarnation: String,
    },
    /// Nodes that may know more do not answer yet.
    Wait,
    /// All nodes answer, none belongs to a cluster, and the one that was chosen is gone with its disk.
    Lost {
        /// That incarnation.
        incarnation: String,
    },
}

/// Decides from the mark and from what the nodes, in the order of their ordinals, answered.
pub fn decide(mark: &BootstrapMark, nodes: &[Option<&NodeDetails>]) -> BootstrapStep {
    let answers = || {
        nodes
            .iter()
            .enumerate()
            .filter_map(|(node, details)| Some((node, (*details)?)))
    };
    let founded = answers().find(|(_, details)| details.cluster_uid.is_some());
    if let Some((_, details)) = founded {
        return match mark {
            BootstrapMark::Chosen(_) => BootstrapStep::Settled,
            BootstrapMark::Absent | BootstrapMark::Nobody => {
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
    // A node that holds entries keeps them; otherwise any will do.
    let choice = answers()
        .find(|(_, details)| details.entries > 0)
        .or_else(|| answers().next());
    match choice {
        Some((node, details)) => BootstrapStep::Choose {
            node,
            incarnation: details.incarnation.clone(),
        },
        None => BootstrapStep::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(incarnation: &str, cluster_uid: Option<&str>, entries: i64) -> NodeDetails {
        NodeDetails {
            incarnation: incarnation.to_owned(),
            cluster_uid: cluster_uid.map(str::to_owned),
            entries,
            ..NodeDetails::default()
        }
    }

    fn chosen(incarnation: &str) -> BootstrapMark {
        BootstrapMark::Chosen(incarnation.to_owned())
    }

    #[test]
    fn beside_a_fresh_salt_the_first_node_that_answers_is_chosen() {
        let (b, c) = (node("b", None, 0), node("c", None, 0));
        assert_eq!(
            decide(&BootstrapMark::Nobody, &[None, Some(&b), Some(&c)]),
            BootstrapStep::Choose {
                node: 1,
                incarnation: "b".into()
            }
        );
        assert_eq!(
            decide(&BootstrapMark::Nobody, &[None, None]),
            BootstrapStep::Wait
        );
    }

    #[test]
    fn beside_an_adopted_salt_every_node_is_heard_first() {
        let (a, b) = (node("a", None, 0), node("b", None, 7));
        assert_eq!(
            decide(&BootstrapMark::Absent, &[Some(&a), None]),
            BootstrapStep::Wait
        );
        assert_eq!(
            decide(&BootstrapMark::Absent, &[Some(&a), Some(&b)]),
            BootstrapStep::Choose {
                node: 1,
                incarnation: "b".into()
            },
            "who holds entries keeps them"
        );
    }

    #[test]
    fn a_founded_cluster_is_recorded_once_and_then_left_alone() {
        let (a, b) = (node("a", None, 0), node("b", Some("f"), 0));
        for mark in [BootstrapMark::Absent, BootstrapMark::Nobody] {
            assert_eq!(
                decide(&mark, &[Some(&a), Some(&b), None]),
                BootstrapStep::Record("b".into())
            );
        }
        assert_eq!(
            decide(&chosen("x"), &[Some(&a), Some(&b)]),
            BootstrapStep::Settled
        );
    }

    #[test]
    fn while_somebody_is_chosen_nobody_else_is_told() {
        let (a, b) = (node("a", None, 0), node("b", None, 0));
        assert_eq!(
            decide(&chosen("b"), &[Some(&a), Some(&b)]),
            BootstrapStep::Tell {
                node: 1,
                incarnation: "b".into()
            }
        );
        assert_eq!(
            decide(&chosen("gone"), &[Some(&a), None]),
            BootstrapStep::Wait,
            "the silent one may be it"
        );
        assert_eq!(
            decide(&chosen("gone"), &[Some(&a), Some(&b)]),
            BootstrapStep::Lost {
                incarnation: "gone".into()
            }
        );
    }
}
