//! Orders to the nodes themselves: one bootstraps the cluster, and leaving ones leave first.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod, core::v1::Secret};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use opensecureconf_contract::bootstrap::{BootstrapStep, decide};

use super::{
    context::Context,
    dereference::DereferencedObjects,
    events::{self, Told},
    hibernation::{self, Rest},
    namespace_end::is_ending,
    observe::{self, Connection},
    readmission::{self, Marks},
    resource::{OpenSecureConfCluster, Retention},
    rules::Rule,
    scaling::{self, ScalePlan, ScaleStep, Situation},
    secrets::{BootstrapRecord, ManagedSecret},
    stalled::Stalled,
    validate::ValidatedCluster,
};
use crate::{
    names::{ANNOTATION_BOOTSTRAP, ANNOTATION_LAYOUT, FIELD_MANAGER, LAYOUT},
    node::{AdminCommand, NodeClient, NodeDetails},
    rights,
};

/// The orders of this reconcile.
#[derive(Debug)]
pub(super) struct MembershipPlan {
    bootstrap: BootstrapStep,
    scaling: ScalePlan,
    /// The nodes that were marked as joining again.
    marked: Marks,
}

impl MembershipPlan {
    /// How many nodes the StatefulSet is to have now.
    pub(super) fn replicas(&self) -> i32 {
        self.scaling.replicas
    }

    /// Whether there are as many nodes as there are to be, and no node comes or leaves.
    pub(super) fn is_at_rest(&self, wanted: i32, there: Option<&StatefulSet>) -> bool {
        let current = there.and_then(|set| set.spec.as_ref()?.replicas);
        self.replicas() == wanted
            && current == Some(wanted)
            && self.blocked().is_none()
            && self.marked.is_empty()
            && !self.has_orders()
    }

    /// Whether the marks change.
    fn marks(&self) -> bool {
        self.scaling.marks != self.marked
    }

    /// Whether the operator must give a node an order, or write a mark.
    pub(super) fn has_orders(&self) -> bool {
        let bootstraps = match self.bootstrap {
            BootstrapStep::Record(_)
            | BootstrapStep::Choose { .. }
            | BootstrapStep::Tell { .. } => true,
            BootstrapStep::Settled
            | BootstrapStep::Wait
            | BootstrapStep::SaltsDiffer
            | BootstrapStep::Lost { .. } => false,
        };
        bootstraps || !self.scaling.steps.is_empty() || self.marks()
    }

    /// The step that a user has to take before it can go on.
    pub(super) fn blocked(&self) -> Option<&str> {
        self.scaling.blocked.as_deref()
    }
}

/// Decides the orders. Writes nothing.
pub(super) fn plan(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    stateful_set: Option<&StatefulSet>,
    pods: &[(Pod, Option<NodeDetails>)],
    (rest, given_up): (Rest, Option<usize>),
) -> MembershipPlan {
    let resting = rest.nodes();
    let rules = cluster.installation.rules;
    let marked = Marks::read(stateful_set);
    // A node without a StatefulSet at present is a member all the same.
    let current = resting.or_else(|| match stateful_set {
        Some(there) => there.spec.as_ref()?.replicas,
        None => hibernation::orphans(pods.iter().map(|(pod, _)| pod)),
    });
    let count = usize::try_from(current.unwrap_or(cluster.spec.replicas)).unwrap_or_default();
    let mut nodes: Vec<Option<NodeDetails>> = vec![None; count];
    for (pod, details) in pods {
        if let Some(node) = observe::ordinal(pod).and_then(|ordinal| nodes.get_mut(ordinal)) {
            node.clone_from(details);
        }
    }
    let answers: Vec<_> = nodes.iter().map(Option::as_ref).collect();
    let going = found.volumes.iter().filter(|claim| claim.is_ending);
    let situation = Situation {
        name: cluster.name.as_str(),
        namespace: &cluster.namespace,
        given_up,
        marks: Some(&marked),
        wanted: resting.unwrap_or(cluster.spec.replicas),
        current,
        nodes: &nodes,
        pods: &pods
            .iter()
            .filter_map(|(pod, _)| observe::ordinal(pod))
            .collect(),
        volumes: &found
            .volumes
            .iter()
            .filter(|claim| !claim.is_ending)
            .map(|claim| claim.ordinal)
            .collect(),
        ending: &pods
            .iter()
            .map(|(pod, _)| pod)
            .filter(|pod| pod.metadata.deletion_timestamp.is_some())
            .filter_map(observe::ordinal)
            .chain(going.map(|claim| claim.ordinal))
            .collect(),
        starting: &match cluster.spec.storage.retention.when_scaled {
            Retention::Retain => BTreeSet::new(),
            Retention::Delete => starting(pods).collect(),
        },
    };
    if let Some(replicas) = resting {
        // As many as there were; no node leaves or goes. A node that had left when the cluster fell asleep joins again.
        let bootstrap = match rest {
            Rest::Waking { .. } => decide(&found.bootstrap().mark, &answers),
            Rest::Awake | Rest::Holding { .. } | Rest::Asleep { .. } => BootstrapStep::Settled,
        };
        let scaling = match rest {
            Rest::Waking { .. } => scaling::removals(&situation),
            Rest::Awake | Rest::Holding { .. } | Rest::Asleep { .. } => ScalePlan {
                marks: marked.clone(),
                ..ScalePlan::default()
            },
        };
        return MembershipPlan {
            bootstrap,
            scaling: ScalePlan {
                replicas,
                ..scaling
            },
            marked,
        };
    }
    let mut scaling = scaling::plan(&situation);
    if !rules.hold(Rule::NodesLeaveBeforeTheyGo) {
        scaling.replicas = cluster.spec.replicas;
    }
    MembershipPlan {
        bootstrap: decide(&found.bootstrap().mark, &answers),
        scaling,
        marked,
    }
}

/// Nodes whose pod may run by now: those that do not answer, except those for which the scheduler finds no room.
fn starting(pods: &[(Pod, Option<NodeDetails>)]) -> impl Iterator<Item = usize> {
    let silent = pods.iter().filter(|(_, details)| details.is_none());
    let silent = silent.filter(|(pod, _)| observe::unscheduled(pod).is_none());
    silent.filter_map(|(pod, _)| observe::ordinal(pod))
}

/// Gives the orders. A failed order is decided anew at the next reconcile.
pub(super) async fn act(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    pods: &[(Pod, Option<NodeDetails>)],
    plan: &MembershipPlan,
    nodes: Option<&Connection>,
    context: &Context,
) -> Option<Stalled> {
    if let BootstrapStep::Lost { incarnation } = &plan.bootstrap {
        return Some(Stalled::bootstrap_node_lost(valid, incarnation));
    }
    if let Some(set) = found.stateful_set.as_deref().filter(|_| plan.marks()) {
        readmission::write(&context.client, valid, set, &plan.scaling.marks).await;
    }
    let nodes = &nodes?.client;
    let orders = Orders {
        valid,
        found,
        pods,
        nodes,
        context,
    };
    let bootstrap = match orders.bootstrap(&plan.bootstrap).await {
        Ok(told) => told,
        Err(stalled) => return Some(stalled),
    };
    for told in bootstrap.into_iter().chain(orders.scaling(plan).await) {
        events::announce_order(cluster, &told, &context.recorder).await;
    }
    None
}

struct Orders<'a> {
    valid: &'a ValidatedCluster,
    found: &'a DereferencedObjects,
    pods: &'a [(Pod, Option<NodeDetails>)],
    nodes: &'a NodeClient,
    context: &'a Context,
}

impl Orders<'_> {
    /// Marks, and only then instructs.
    async fn bootstrap(&self, step: &BootstrapStep) -> Result<Option<Told>, Stalled> {
        let (node, incarnation) = match step {
            BootstrapStep::Record(incarnation) => {
                self.mark(incarnation).await?;
                return Ok(None);
            }
            BootstrapStep::Choose { node, incarnation } => {
                let marks = &self.valid.installation.rules;
                if marks.hold(Rule::MarksComeBeforeOrders) && !self.mark(incarnation).await? {
                    return Ok(None);
                }
                (*node, incarnation)
            }
            BootstrapStep::Tell { node, incarnation } => (*node, incarnation),
            // Condition `SaltMatches` says what to do about different salts.
            BootstrapStep::Settled
            | BootstrapStep::Wait
            | BootstrapStep::SaltsDiffer
            | BootstrapStep::Lost { .. } => {
                return Ok(None);
            }
        };
        let told = self
            .order(node, &AdminCommand::Bootstrap { incarnation })
            .await;
        Ok(told.then(|| Told::Bootstrap {
            node: self.valid.name.pod(i32::try_from(node).unwrap_or_default()),
        }))
    }

    async fn scaling(&self, plan: &MembershipPlan) -> Vec<Told> {
        let mut told = Vec::new();
        for step in &plan.scaling.steps {
            match step {
                ScaleStep::Leave(ordinal) => {
                    if self.order(*ordinal, &AdminCommand::Leave).await {
                        let ordinal = i32::try_from(*ordinal).unwrap_or_default();
                        told.push(Told::Leave {
                            node: self.valid.name.pod(ordinal),
                        });
                    }
                }
                ScaleStep::Remove {
                    by,
                    name,
                    incarnation,
                } => {
                    let order = AdminCommand::Remove {
                        name,
                        incarnation,
                        force: false,
                    };
                    if self.order(*by, &order).await {
                        told.push(Told::Removed { node: name.clone() });
                    }
                }
            }
        }
        told
    }

    /// Writes the mark, if the Secret is unchanged: the API server's order decides between two operators.
    async fn mark(&self, incarnation: &str) -> Result<bool, Stalled> {
        let api: Api<Secret> = Api::namespaced(self.context.client.clone(), &self.valid.namespace);
        let patch = mark_patch(self.valid, &self.found.bootstrap(), incarnation);
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api
            .patch_metadata(
                &ManagedSecret::Salt.name(&self.valid.name),
                &parameters,
                &Patch::Merge(patch),
            )
            .await
        {
            Ok(_) => Ok(true),
            Err(error) => {
                if let Some(words) = rights::refusal(&error) {
                    return Err(Stalled::refused(words));
                }
                if !is_ending(&error) {
                    tracing::warn!(error = %error, "bootstrap_mark_failed");
                }
                Ok(false)
            }
        }
    }

    async fn order(&self, ordinal: usize, order: &AdminCommand<'_>) -> bool {
        let pod = self
            .pods
            .iter()
            .map(|(pod, _)| pod)
            .find(|pod| observe::ordinal(pod) == Some(ordinal));
        let Some(address) = pod.map(|pod| observe::address(self.valid, pod)) else {
            return false;
        };
        if !self.context.may_order() {
            return false;
        }
        match self.nodes.command(&address, order).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(error = %error, ordinal, "admin_command_failed");
                false
            }
        }
    }
}

/// The mark, where the Secret is unchanged. A Secret that was restored by hand gets the labels by which it is found; one that a
/// user manages stays the user's.
fn mark_patch(
    cluster: &ValidatedCluster,
    record: &BootstrapRecord,
    incarnation: &str,
) -> serde_json::Value {
    let labels = if record.unmanaged {
        cluster.name.labels()
    } else {
        BTreeMap::new()
    };
    serde_json::json!({
        "metadata": {
            "resourceVersion": record.resource_version,
            "annotations": { ANNOTATION_BOOTSTRAP: incarnation, ANNOTATION_LAYOUT: LAYOUT },
            "labels": labels,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{resource::prod, validate::validate};

    #[test]
    fn nobody_is_at_rest_while_a_node_is_marked_as_being_let_in() {
        let set: StatefulSet = serde_json::from_value(serde_json::json!({
            "spec": { "selector": {}, "template": {}, "serviceName": "prod-nodes", "replicas": 2 },
        }))
        .unwrap();
        let rests = |marks: &Marks| {
            let plan = MembershipPlan {
                bootstrap: BootstrapStep::Settled,
                scaling: ScalePlan {
                    replicas: 2,
                    marks: marks.clone(),
                    ..ScalePlan::default()
                },
                marked: marks.clone(),
            };
            plan.is_at_rest(2, Some(&set))
        };
        let mut marks = Marks::default();
        assert!(rests(&marks));
        marks.insert("prod-1", "b");
        assert!(!rests(&marks), "the mark would go with the set");
    }

    #[test]
    fn a_salt_that_was_put_back_by_hand_gets_its_labels_with_the_mark() {
        let cluster = validate(&prod("{}"), "node:1").unwrap();
        let patch = |unmanaged| {
            let record = BootstrapRecord {
                unmanaged,
                ..BootstrapRecord::default()
            };
            mark_patch(&cluster, &record, "a")["metadata"]["labels"].clone()
        };
        assert_eq!(patch(true)["app.kubernetes.io/instance"], "prod");
        assert_eq!(patch(false), serde_json::json!({}), "it stays the user's");
    }
}
