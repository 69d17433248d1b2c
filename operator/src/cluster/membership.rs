//! Orders to the nodes themselves: one founds the cluster, and those that go leave it first.

use std::collections::BTreeMap;

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod, core::v1::Secret};
use kube::{
    Api,
    api::{Patch, PatchParams},
};

use super::{
    context::Context,
    dereference::{ApiKey, Found, Founder},
    events::{self, Told},
    founding::{FoundingStep, decide},
    node_status::{self, NodeDetails, NodeOrder},
    observe,
    resource::OpenSecureConfCluster,
    scaling::{self, ScalePlan, ScaleStep, Situation},
    stalled::Stalled,
    validate::ValidatedCluster,
};
use crate::names::{ANNOTATION_FOUNDER, FIELD_MANAGER};

/// What is to be ordered.
#[derive(Debug)]
pub(super) struct MembershipPlan {
    founding: FoundingStep,
    scaling: ScalePlan,
}

impl MembershipPlan {
    /// How many nodes the StatefulSet is to have now.
    pub(super) fn replicas(&self) -> i32 {
        self.scaling.replicas
    }

    /// What somebody has to do before it can go on.
    pub(super) fn blocked(&self) -> Option<&str> {
        self.scaling.blocked.as_deref()
    }
}

/// Decides. Writes nothing.
pub(super) fn plan(
    cluster: &ValidatedCluster,
    found: &Found,
    stateful_set: Option<&StatefulSet>,
    pods: &[(Pod, Option<NodeDetails>)],
) -> MembershipPlan {
    let current = stateful_set.and_then(|there| there.spec.as_ref()?.replicas);
    let count = usize::try_from(current.unwrap_or(cluster.spec.replicas)).unwrap_or_default();
    let mut nodes: Vec<Option<NodeDetails>> = vec![None; count];
    for (pod, details) in pods {
        if let Some(node) = observe::ordinal(pod).and_then(|ordinal| nodes.get_mut(ordinal)) {
            node.clone_from(details);
        }
    }
    let answers: Vec<_> = nodes.iter().map(Option::as_ref).collect();
    MembershipPlan {
        founding: decide(&found.founder.mark, &answers),
        scaling: scaling::plan(&Situation {
            name: cluster.name.as_str(),
            wanted: cluster.spec.replicas,
            current,
            nodes: &nodes,
            pods: &pods
                .iter()
                .filter_map(|(pod, _)| observe::ordinal(pod))
                .collect(),
        }),
    }
}

/// Orders what was decided. What fails is decided anew at the next reconcile.
pub(super) async fn act(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    found: &Found,
    pods: &[(Pod, Option<NodeDetails>)],
    plan: &MembershipPlan,
    context: &Context,
) -> Option<Stalled> {
    if let FoundingStep::Lost { incarnation } = &plan.founding {
        return Some(Stalled::founding_lost(valid, incarnation));
    }
    let key = found.nodes_key()?;
    let orders = Orders {
        valid,
        found,
        pods,
        key,
        context,
    };
    for told in orders
        .founding(&plan.founding)
        .await
        .into_iter()
        .chain(orders.scaling(plan).await)
    {
        events::announce_order(cluster, &told, &context.recorder).await;
    }
    None
}

struct Orders<'a> {
    valid: &'a ValidatedCluster,
    found: &'a Found,
    pods: &'a [(Pod, Option<NodeDetails>)],
    key: &'a ApiKey,
    context: &'a Context,
}

impl Orders<'_> {
    /// Marks, and only then tells.
    async fn founding(&self, step: &FoundingStep) -> Option<Told> {
        let (node, incarnation) = match step {
            FoundingStep::Record(incarnation) => {
                self.mark(incarnation).await;
                return None;
            }
            FoundingStep::Choose { node, incarnation } => {
                if !self.mark(incarnation).await {
                    return None;
                }
                (*node, incarnation)
            }
            FoundingStep::Tell { node, incarnation } => (*node, incarnation),
            FoundingStep::Settled | FoundingStep::Wait | FoundingStep::Lost { .. } => return None,
        };
        let told = self.order(node, &NodeOrder::Found { incarnation }).await;
        told.then(|| Told::Found {
            node: self.valid.name.pod(i32::try_from(node).unwrap_or_default()),
        })
    }

    async fn scaling(&self, plan: &MembershipPlan) -> Vec<Told> {
        let mut told = Vec::new();
        for step in &plan.scaling.steps {
            match step {
                ScaleStep::Leave(ordinal) => {
                    if self.order(*ordinal, &NodeOrder::Leave).await {
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
                    let order = NodeOrder::Remove { name, incarnation };
                    if self.order(*by, &order).await {
                        told.push(Told::Removed { node: name.clone() });
                    }
                }
            }
        }
        told
    }

    /// Writes the mark, if it still is what was read: the API server's order decides between two operators.
    async fn mark(&self, incarnation: &str) -> bool {
        let api: Api<Secret> = Api::namespaced(self.context.client.clone(), &self.valid.namespace);
        let patch = mark_patch(self.valid, &self.found.founder, incarnation);
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api
            .patch_metadata(&self.valid.name.salt(), &parameters, &Patch::Merge(patch))
            .await
        {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(error = %error, "founder_not_marked");
                false
            }
        }
    }

    async fn order(&self, ordinal: usize, order: &NodeOrder<'_>) -> bool {
        let pod = self
            .pods
            .iter()
            .map(|(pod, _)| pod)
            .find(|pod| observe::ordinal(pod) == Some(ordinal));
        let Some(address) = pod.and_then(observe::address) else {
            return false;
        };
        match node_status::order(&self.context.http, &address, self.key, order).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(error = %error, ordinal, "order_not_carried_out");
                false
            }
        }
    }
}

/// The mark, where the Secret still is what was read. One that was put back by hand gets the labels that it is found by;
/// one that somebody manages stays his.
fn mark_patch(
    cluster: &ValidatedCluster,
    founder: &Founder,
    incarnation: &str,
) -> serde_json::Value {
    let labels = if founder.unmanaged {
        cluster.name.labels()
    } else {
        BTreeMap::new()
    };
    serde_json::json!({
        "metadata": {
            "resourceVersion": founder.resource_version,
            "annotations": { ANNOTATION_FOUNDER: incarnation },
            "labels": labels,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{resource::prod, validate::validate};

    #[test]
    fn a_salt_that_was_put_back_by_hand_gets_its_labels_with_the_mark() {
        let cluster = validate(&prod("{}"), "node:1").unwrap();
        let patch = |unmanaged| {
            let founder = Founder {
                unmanaged,
                ..Founder::default()
            };
            mark_patch(&cluster, &founder, "a")["metadata"]["labels"].clone()
        };
        assert_eq!(patch(true)["app.kubernetes.io/instance"], "prod");
        assert_eq!(patch(false), serde_json::json!({}), "it stays his");
    }
}
