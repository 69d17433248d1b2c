//! Why a cluster stands still until a user acts.

use super::{
    apply,
    build::ClusterResources,
    dereference::DereferencedObjects,
    recovery,
    salt::SaltMissing,
    secrets::{self, ManagedSecret},
    validate::{self, ValidatedCluster},
};
use crate::{
    names::ANNOTATION_BOOTSTRAP,
    rights::{self, Lack},
};

/// The reason where the operator lacks a right.
pub(super) const RIGHTS_MISSING: &str = "RightsMissing";

/// The reason and the words of condition `Stalled`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// One word in `CamelCase`.
    pub reason: &'static str,
    /// The fault, and the remedy.
    pub message: String,
}

impl From<validate::Error> for Stalled {
    fn from(error: validate::Error) -> Self {
        Self {
            reason: error.reason(),
            message: format!("{error}. Correct the resource there, and the operator applies it"),
        }
    }
}

impl From<secrets::Error> for Stalled {
    fn from(error: secrets::Error) -> Self {
        Self {
            reason: error.reason(),
            message: error.to_string(),
        }
    }
}

impl From<SaltMissing> for Stalled {
    fn from(missing: SaltMissing) -> Self {
        Self {
            reason: "SaltMissing",
            message: missing.to_string(),
        }
    }
}

impl Stalled {
    /// Where the operator lacks rights in a namespace.
    pub(super) fn rights_missing(namespace: &str, lacks: &[Lack]) -> Self {
        Self::lacking(&format!(
            "in namespace {namespace} the operator may not {}",
            rights::words(lacks.iter())
        ))
    }

    /// The same in the words of the API server that refused a call.
    pub(super) fn refused(words: &str) -> Self {
        Self::lacking(words)
    }

    fn lacking(what: &str) -> Self {
        Self {
            reason: RIGHTS_MISSING,
            message: format!(
                "{what}; this namespace is left as it is. Grant it to the operator's service account (SECURITY.md lists all its rights); the \
                 operator looks again each minute"
            ),
        }
    }

    /// A wait where the API server refuses the content of a child: another try does not help.
    pub(super) fn rejected(error: &apply::Error) -> Option<Self> {
        Some(Self {
            reason: "Rejected",
            message: format!(
                "{}. Correct the field of the resource that these words are about; where a policy or a quota of this cluster refuses it, have \
                 that changed, and the operator tries again by itself",
                error.rejection()?
            ),
        })
    }

    /// Where a child that is wanted has a name that another owner's object has already.
    pub(super) fn name_taken<W>(
        found: &DereferencedObjects,
        resources: &ClusterResources<W>,
    ) -> Option<Self> {
        let wanted = |kind: &str| match kind {
            "NetworkPolicy" => resources.network_policy.is_some(),
            "PodDisruptionBudget" => resources.disruption_budget.is_some(),
            "ServiceMonitor" => resources.service_monitor.is_some(),
            "Certificate" => resources.certificate.is_some(),
            _ => true,
        };
        let child = found
            .children
            .iter()
            .find(|child| !child.ours && wanted(&child.kind))?;
        Some(Self {
            reason: "NameTaken",
            message: format!(
                "{} {} exists and belongs to another owner; it is left alone. Copy what its owner needs of it to another name and delete it, or create this cluster under another name",
                child.kind, child.name
            ),
        })
    }

    /// A wait where no node is left that could report the state of the cluster.
    pub(super) fn bootstrap_node_lost(cluster: &ValidatedCluster, incarnation: &str) -> Self {
        let secret = ManagedSecret::Salt.name(&cluster.name);
        let anew = recovery::begin_anew(cluster, &secret, ANNOTATION_BOOTSTRAP);
        Self {
            reason: "BootstrapNodeLost",
            message: format!(
                "all nodes answer and none belongs to a cluster; the one that bootstrapped it ({incarnation}) is gone with its volume. {anew}"
            ),
        }
    }

    /// A wait where the operator cannot read the resource at all.
    pub(super) fn malformed(error: &str) -> Self {
        Self {
            reason: "Malformed",
            message: format!("the resource cannot be read: {error}; correct that field"),
        }
    }
}
