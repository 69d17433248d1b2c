//! A look at a cluster whose resource says nothing that could be built, or in whose namespace the operator lacks rights: its
//! workload, its pods, and the answers of its nodes, as far as they may be read. Writes nothing.

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::Pod,
};
use kube::{Api, Client};
use opensecureconf_contract::{Mode as NodeMode, setting};
use serde::de::DeserializeOwned;

use super::{connect, pass::salt_fingerprint};
use crate::{
    cluster::{
        context::Context,
        dereference::{self, DereferencedObjects},
        layout,
        observe::{self, UnverifiedPods},
        resource::{Mode, OpenSecureConfCluster},
        status::{Asked, Glimpse, Running},
        validate::{self, ValidatedCluster},
    },
    node::NodeDetails,
};

/// What was seen.
#[derive(Debug)]
pub(in crate::cluster) struct Looked {
    cluster: ValidatedCluster,
    set: Option<StatefulSet>,
    deployment: Option<Deployment>,
    pods: Vec<(Pod, Option<NodeDetails>)>,
    /// The fingerprint of the salt, and the pods that are no nodes; `None` where no node could be asked.
    asked: Option<(Option<String>, UnverifiedPods)>,
}

impl Looked {
    /// For the status.
    pub(in crate::cluster) fn glimpse(&self) -> Glimpse<'_> {
        let running = match &self.deployment {
            Some(deployment) if self.set.is_none() => Running::Deployment(Some(deployment)),
            _ => Running::StatefulSet(self.set.as_ref()),
        };
        let asked = self.asked.as_ref();
        Glimpse {
            cluster: &self.cluster,
            running,
            pods: &self.pods,
            asked: asked.map(|(salt, unverified)| Asked {
                salt_fingerprint: salt.as_deref(),
                unverified,
            }),
        }
    }

    /// By objects that were read, and pods that were asked.
    pub(super) fn of(
        known: &ValidatedCluster,
        found: &DereferencedObjects,
        pods: Vec<(Pod, Option<NodeDetails>)>,
        unverified: UnverifiedPods,
    ) -> Self {
        let workload = (
            child(known, found, "StatefulSet"),
            child(known, found, "Deployment"),
        );
        let asked = Some((salt_fingerprint(found), unverified));
        Self::with(known, workload, pods, asked)
    }

    fn with(
        known: &ValidatedCluster,
        (set, deployment): (Option<StatefulSet>, Option<Deployment>),
        pods: Vec<(Pod, Option<NodeDetails>)>,
        asked: Option<(Option<String>, UnverifiedPods)>,
    ) -> Self {
        let mut cluster = known.clone();
        let of_set = set.as_ref().and_then(|set| set.spec.as_ref());
        let of_deployment = deployment.as_ref().and_then(|there| there.spec.as_ref());
        let replicas = of_set
            .map(|spec| spec.replicas)
            .or_else(|| of_deployment.map(|spec| spec.replicas))
            .flatten();
        cluster.spec.replicas = replicas.unwrap_or(cluster.spec.replicas);
        if set.as_ref().is_some_and(is_federated) {
            cluster.spec.mode = Mode::Federated;
        }
        Self {
            cluster,
            set,
            deployment,
            pods,
            asked,
        }
    }
}

/// Reads and asks; `None` where the pods or their workload cannot be read.
pub(in crate::cluster) async fn look(
    cluster: &OpenSecureConfCluster,
    context: &Context,
) -> Option<Looked> {
    let mut known = validate::identity(cluster, &context.installation)?;
    known.spec.replicas = cluster.spec.replicas;
    let client = &context.client;
    let pods = observe::pods(client, &known).await.ok()?;
    if let Ok(found) = dereference::for_certificates(client, &known).await
        && layout::unsupported(&known, &found).is_none()
        && let Some(nodes) = connect(&known, &found, context)
    {
        let (pods, unverified) = observe::nodes(pods, Some(&nodes), &known).await;
        return Some(Looked::of(&known, &found, pods, unverified));
    }
    // Without its workload nothing says how many nodes there should be.
    let workload = (
        own(client, &known).await.ok()?,
        own(client, &known).await.ok()?,
    );
    let (pods, _) = observe::nodes(pods, None, &known).await;
    Some(Looked::with(&known, workload, pods, None))
}

/// A workload, if there is one.
async fn own<K>(client: &Client, cluster: &ValidatedCluster) -> kube::Result<Option<K>>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &cluster.namespace);
    let found = api.get_opt(cluster.name.as_str()).await?;
    Ok(found.filter(|found: &K| dereference::is_ours(found.meta(), cluster)))
}

/// A workload among the objects that were read.
fn child<K: DeserializeOwned>(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    kind: &str,
) -> Option<K> {
    let live = found.child(kind, cluster.name.as_str())?.live.as_ref()?;
    serde_json::from_value(live.object.clone()).ok()
}

/// Whether nodes hold parts only, as their pods say: the resource cannot be relied on.
fn is_federated(set: &StatefulSet) -> bool {
    let pod = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let containers = pod.into_iter().flat_map(|pod| &pod.containers);
    let mut variables = containers.flat_map(|container| container.env.iter().flatten());
    variables.any(|variable| {
        variable.name == setting::CLUSTER_MODE.variable
            && variable.value.as_deref() == Some(NodeMode::Federated.text())
    })
}
