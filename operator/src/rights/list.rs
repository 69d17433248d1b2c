//! The one list. `manifests/`, the charts and the table in `SECURITY.md` are made from it, and the tests' API server grants
//! nothing else.

use Need::{Optional, Required};
use Scope::{Clusters, Kubernetes, Operator, OwnLease};

use crate::names::GROUP;

/// Where a right is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In every namespace with clusters: by one `ClusterRole`, or by a `Role` in each watched namespace.
    Clusters,
    /// In the operator's own namespace.
    Operator,
    /// On one object of that namespace: the Lease of the operator's own name.
    OwnLease,
    /// For the whole Kubernetes: only where the operator runs the clusters of all namespaces.
    Kubernetes,
}

/// Whether the operator can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Clusters of a namespace that lacks it are left as they are.
    Required,
    /// Everything else goes on.
    Optional,
}

impl Need {
    /// As documents and metrics spell it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
        }
    }
}

/// The allowed verbs on some kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty is Kubernetes' own.
    pub group: &'static str,
    /// Plural names; a subresource after a slash.
    pub resources: &'static [&'static str],
    /// As RBAC spells them.
    pub verbs: &'static [&'static str],
}

/// A right of the operator, and its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// The right itself.
    pub rule: Rule,
    /// Where it is granted.
    pub scope: Scope,
    /// Whether the operator can do without.
    pub need: Need,
    /// The purpose of the right.
    pub why: &'static str,
    /// The consequence of its absence.
    pub without: &'static str,
}

const READ: &[&str] = &["get", "list", "watch"];
/// Of children that stay for as long as their cluster.
const CHILD: &[&str] = &["get", "list", "watch", "create", "patch"];
/// Of children that can be switched off.
const SWITCHED: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// All rights of the operator. It never deletes Secrets, touches only annotations and the size of volume claims unless a
/// resource names the one to give up, and deletes a StatefulSet without its pods.
pub const RIGHTS: &[Right] = &[
    Right {
        rule: rule(GROUP, &["opensecureconfclusters"], READ),
        scope: Clusters,
        need: Required,
        why: "to see what is wanted",
        without: "clusters of the namespace are not seen; the log and `osc_operator_missing_rights` say so",
    },
    Right {
        rule: rule(GROUP, &["opensecureconfclusters/status"], &["get", "patch"]),
        scope: Clusters,
        need: Required,
        why: "to tell the state of a cluster",
        without: "clusters of the namespace are left as they are; an event, the log and `osc_operator_missing_rights` say so",
    },
    Right {
        // Some clusters demand this of a client that sets owner references that block deletion.
        rule: rule(GROUP, &["opensecureconfclusters/finalizers"], &["update"]),
        scope: Clusters,
        need: Required,
        why: "to own what it makes, where Kubernetes checks that (`OwnerReferencesPermissionEnforcement`, OpenShift)",
        without: STOPPED,
    },
    Right {
        rule: rule("apps", &["statefulsets"], CHILD),
        scope: Clusters,
        need: Required,
        why: "to run the nodes",
        without: STOPPED,
    },
    Right {
        rule: rule("apps", &["statefulsets"], &["delete"]),
        scope: Clusters,
        need: Optional,
        why: "to make a StatefulSet anew once its volumes have grown; its pods run on, and nothing else is deleted with it",
        without: "volumes grow, and nodes that come later begin with the earlier size: `Stalled`, reason `VolumeGrowthForbidden`",
    },
    Right {
        rule: rule("apps", &["deployments"], CHILD),
        scope: Clusters,
        need: Optional,
        why: "to run nodes that share a database (`mode: Shared`)",
        without: "clusters of mode `Shared` are left as they are: `Stalled`, reason `RightsMissing`",
    },
    Right {
        rule: rule("", &["services", "configmaps", "serviceaccounts"], CHILD),
        scope: Clusters,
        need: Required,
        why: "addresses, the list of nodes, the certificates that clients verify them with, the accepted pod template, the pods' identity",
        without: STOPPED,
    },
    Right {
        rule: rule("", &["secrets"], CHILD),
        scope: Clusters,
        need: Required,
        why: "to create salt, keys and certificates once, to renew certificates, to change an API key (`apiKey.rotate`), to note which node bootstraps and that Argo CD does not prune them; to read an API key, a certificate or the address of a database that a cluster names",
        without: STOPPED,
    },
    Right {
        rule: rule("", &["pods", "persistentvolumeclaims"], READ),
        scope: Clusters,
        need: Required,
        why: "to find the nodes and what they wait for, and never to make a salt where volumes exist",
        without: STOPPED,
    },
    Right {
        rule: rule("", &["pods"], &["delete"]),
        scope: Clusters,
        need: Required,
        why: "to replace pods that do not serve, where another pod template is wanted, and the pod of a node that is rebuilt by force",
        without: STOPPED,
    },
    Right {
        rule: rule("", &["pods/eviction"], &["create"]),
        scope: Clusters,
        need: Required,
        why: "to replace pods that serve, one by one, once the others have what they have, and only as far as the PodDisruptionBudget allows it beside drains",
        without: STOPPED,
    },
    Right {
        rule: rule("", &["persistentvolumeclaims"], &["patch"]),
        scope: Clusters,
        need: Optional,
        why: "to have volumes grow (`storage.size`), to note on them who lives there, and to give those of earlier releases the annotations that keep Argo CD from pruning them",
        without: "volumes do not grow: `Stalled`, reason `VolumeGrowthForbidden`, where they are to; those of earlier releases stay without annotations, and the log says so; a node that does not answer is not rebuilt",
    },
    Right {
        rule: rule("", &["persistentvolumeclaims"], &["delete"]),
        scope: Clusters,
        need: Optional,
        why: "to give up the volume of a node that `rebuildMembers` names, with the incarnation that lives on it",
        without: "no node is rebuilt: `RebuildBlocked`, reason `RightsMissing`",
    },
    Right {
        rule: rule("networking.k8s.io", &["networkpolicies"], SWITCHED),
        scope: Clusters,
        need: Required,
        why: "to close the nodes' ports; deleted where `networkPolicy.enabled` is false",
        without: STOPPED,
    },
    Right {
        rule: rule("policy", &["poddisruptionbudgets"], SWITCHED),
        scope: Clusters,
        need: Required,
        why: "to keep nodes from being drained together; deleted where `podDisruptionBudget.enabled` is false",
        without: STOPPED,
    },
    Right {
        rule: rule("monitoring.coreos.com", &["servicemonitors"], SWITCHED),
        scope: Clusters,
        need: Optional,
        why: "to have Prometheus scrape the nodes",
        without: "nodes are not scraped; condition `MonitoringReady` says so",
    },
    Right {
        rule: rule("cert-manager.io", &["certificates"], SWITCHED),
        scope: Clusters,
        need: Optional,
        why: "to ask cert-manager for the clients' certificate (`tls.mode: Issuer`)",
        without: "no such certificate is asked for; condition `TlsReady` says so where one is wanted",
    },
    Right {
        rule: rule("events.k8s.io", &["events"], &["create", "patch"]),
        scope: Clusters,
        need: Optional,
        why: "to tell what was done",
        without: "there are no events; the log says so once for each namespace",
    },
    Right {
        rule: rule("events.k8s.io", &["events"], &["list"]),
        scope: Clusters,
        need: Optional,
        why: "to tell who refuses a pod that Kubernetes may not make: a quota, a policy, an admission webhook",
        without: "`Ready` says that nodes do not serve, and not why",
    },
    Right {
        rule: rule("", &["namespaces"], &["get"]),
        scope: Clusters,
        need: Optional,
        why: "to see that a namespace is being deleted, where no node of a cluster runs in the middle of a rollout: the next cluster follows then",
        without: "the other clusters' rollouts wait until such a cluster is gone",
    },
    Right {
        rule: rule("storage.k8s.io", &["storageclasses"], &["get"]),
        scope: Kubernetes,
        need: Optional,
        why: "to tell a class that does not exist from one that is slow, while a volume is waited for, and whether volumes of a class can grow",
        without: "`Ready` names the class, and not whether it exists; where volumes cannot grow, the API server's own words are shown",
    },
    Right {
        rule: rule("coordination.k8s.io", &["leases"], &["get"]),
        scope: Kubernetes,
        need: Optional,
        why: "to see whether another operator that a cluster names is still installed",
        without: "only an operator that was installed in the same namespace is seen to be gone; else a command hands its clusters over",
    },
    Right {
        // RBAC knows no name of what is yet to be made.
        rule: rule("coordination.k8s.io", &["leases"], &["get", "create"]),
        scope: Operator,
        need: Required,
        why: "one of the operator's pods works at a time; and to see whether another operator of this namespace is still installed",
        without: NO_POD_WORKS,
    },
    Right {
        rule: rule("coordination.k8s.io", &["leases"], &["update"]),
        scope: OwnLease,
        need: Required,
        why: "one of the operator's pods works at a time",
        without: NO_POD_WORKS,
    },
];

const STOPPED: &str =
    "clusters of the namespace are left as they are: `Stalled`, reason `RightsMissing`";

const NO_POD_WORKS: &str = "no pod works; the log says so";

/// The rights of people with Kubernetes' own roles `view`, `edit` and `admin`: to see clusters.
pub const VIEW: &[Rule] = &[
    rule(GROUP, &["opensecureconfclusters"], READ),
    rule(
        GROUP,
        &[
            "opensecureconfclusters/scale",
            "opensecureconfclusters/status",
        ],
        &["get"],
    ),
];

/// The rights with `edit` and `admin`: to make and change clusters, which amounts to the right to make pods.
pub const EDIT: &[Rule] = &[
    rule(
        GROUP,
        &["opensecureconfclusters"],
        &["create", "update", "patch", "delete", "deletecollection"],
    ),
    rule(
        GROUP,
        &["opensecureconfclusters/scale"],
        &["update", "patch"],
    ),
];

const fn rule(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Rule {
    Rule {
        group,
        resources,
        verbs,
    }
}
