//! Reads every object that later steps decide on. Writes nothing.

mod objects;

use futures::future::try_join_all;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::try_join;

use objects::cluster_key;
pub use objects::{Child, DereferencedObjects, LiveChild, OptionalKind, PendingClaim, SaltSecret};

use super::{
    prune_protection,
    resource::OpenSecureConfCluster,
    rollout::Accepted,
    secrets::{ManagedSecret, ObservedSecret, ObservedSecrets},
    validate::{self, ValidatedCluster, claim_owner},
    volumes::VolumeClaim,
};
use crate::{
    certificate::Certificate,
    names::{
        ANNOTATION_LAYOUT, ANNOTATION_OPERATOR, ClusterName, LABEL_COMPONENT, LABEL_INSTANCE,
        LABEL_MANAGED_BY, LABEL_NAME, NODE_COMPONENT, OPERATOR, PRODUCT,
    },
    rights::refusal,
    service_monitor::ServiceMonitor,
};

/// So many claims are asked for at once: as types of Kubernetes each takes some ten kilobytes.
const CLAIMS: u32 = 100;

/// Reads everything about one cluster.
pub async fn dereference(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<DereferencedObjects, kube::Error> {
    let name = &cluster.name;
    let api_key = &cluster.spec.api_key.secret_ref;
    let (secrets, user_api_key, client_tls, claims, monitor, certificate, foreign_references) = try_join!(
        managed_secrets(client, cluster),
        user_secret(
            client,
            cluster,
            api_key.as_ref().map(|reference| reference.name.clone())
        ),
        user_secret(client, cluster, cluster.client_certificate_secret()),
        claims(client, cluster),
        optional_child::<ServiceMonitor>(client, cluster),
        optional_child::<Certificate>(client, cluster),
        foreign_references(client, cluster),
    )?;
    let (service_monitors, monitor) = monitor;
    let (certificates, certificate) = certificate;
    let (nodes, ca, template, own) = (name.nodes(), name.ca(), name.template(), name.as_str());
    let children = try_join!(
        stateful_set(client, cluster),
        child::<Service>(client, cluster, own),
        child::<Service>(client, cluster, &nodes),
        child::<ConfigMap>(client, cluster, &nodes),
        child::<ConfigMap>(client, cluster, &ca),
        child::<ServiceAccount>(client, cluster, own),
        child::<NetworkPolicy>(client, cluster, own),
        child::<PodDisruptionBudget>(client, cluster, own),
        child::<ConfigMap>(client, cluster, &template),
    )?;
    let (stateful_set, nodes_child) = children.0;
    let accepted = accepted(cluster, children.8.as_ref(), nodes_child.as_ref(), &secrets);
    let children = [
        nodes_child,
        children.1,
        children.2,
        children.3,
        children.4,
        children.5,
        children.6,
        children.7,
        children.8,
        monitor,
        certificate,
    ];
    let api_key = match &cluster.spec.api_key.secret_ref {
        // The user's own Secret stays the user's, whatever its labels.
        Some(reference) => user_api_key
            .as_ref()
            .and_then(|secret| secret.key(&reference.key)),
        None => secrets
            .get(&ManagedSecret::ApiKey)
            .filter(|secret| secret.ours)
            .and_then(|secret| secret.key(ManagedSecret::ApiKey.entry())),
    };
    Ok(DereferencedObjects {
        secrets,
        user_api_key,
        client_tls,
        api_key,
        pending_claims: pending_claims(client, &claims).await?,
        prunable_claims: claims
            .iter()
            .filter_map(|claim| {
                let missing = prune_protection::missing(claim.annotations())?;
                Some((claim.name_any(), missing))
            })
            .collect(),
        claims: claims.iter().map(ResourceExt::name_any).collect(),
        volumes: claims.iter().filter_map(VolumeClaim::read).collect(),
        children: children.into_iter().flatten().collect(),
        stateful_set: stateful_set.map(Box::new),
        accepted,
        service_monitors,
        certificates,
        foreign_references,
    })
}

/// The volume claims of a cluster by their names: those that a user restored may lack its labels. A namespace may have thousands,
/// so they are read in parts, and those of other clusters are dropped with each part.
async fn claims(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<Vec<PersistentVolumeClaim>, kube::Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &cluster.namespace);
    let mut part = ListParams::default().limit(CLAIMS);
    let mut own = Vec::new();
    loop {
        let found = api.list(&part).await?;
        let is_own = |claim: &PersistentVolumeClaim| {
            claim_owner(&claim.name_any()) == Some(cluster.name.as_str())
        };
        own.extend(found.items.into_iter().filter(is_own));
        match found.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => part = part.continue_token(&token),
            None => return Ok(own),
        }
    }
}

/// Reads only what the certificates of a cluster need, with either workload.
pub(super) async fn for_certificates(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<DereferencedObjects, kube::Error> {
    let (name, ca) = (cluster.name.as_str(), cluster.name.ca());
    let (secrets, set, deployment, map) = try_join!(
        managed_secrets(client, cluster),
        child::<StatefulSet>(client, cluster, name),
        child::<Deployment>(client, cluster, name),
        child::<ConfigMap>(client, cluster, &ca),
    )?;
    Ok(DereferencedObjects {
        secrets,
        user_api_key: None,
        client_tls: None,
        api_key: None,
        claims: Vec::new(),
        volumes: Vec::new(),
        prunable_claims: Vec::new(),
        pending_claims: Vec::new(),
        children: [set, deployment, map].into_iter().flatten().collect(),
        stateful_set: None,
        accepted: None,
        service_monitors: OptionalKind::Unknown,
        certificates: OptionalKind::Unknown,
        foreign_references: None,
    })
}

/// The pod template that a cluster has: from its ConfigMap, otherwise from its workload.
fn accepted(
    cluster: &ValidatedCluster,
    config_map: Option<&Child>,
    set: Option<&Child>,
    secrets: &ObservedSecrets,
) -> Option<Accepted> {
    let recorded = config_map.and_then(|child| {
        let config_map = child.live.as_ref()?;
        Accepted::read(cluster, &config_map.object, &cluster_key(secrets)?)
    });
    recorded.or_else(|| Accepted::adopt(cluster, set?.live.as_ref()?))
}

async fn managed_secrets(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<ObservedSecrets, kube::Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    let read = ManagedSecret::ALL.map(|which| {
        let api = &api;
        async move {
            let secret = api.get_opt(&which.name(&cluster.name)).await?;
            Ok::<_, kube::Error>(secret.map(|secret| {
                let ours = is_ours(&secret.metadata, cluster);
                (which, ObservedSecret::read(secret, ours, &cluster.uid))
            }))
        }
    });
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}

/// A Secret of the user's own, where the resource names one.
pub(super) async fn user_secret(
    client: &Client,
    cluster: &ValidatedCluster,
    name: Option<String>,
) -> Result<Option<ObservedSecret>, kube::Error> {
    let Some(name) = name else {
        return Ok(None);
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    let secret = api.get_opt(&name).await?;
    Ok(secret.map(|secret| ObservedSecret::read(secret, true, &cluster.uid)))
}

/// Whether the pod template or a reference of the spec names objects of another cluster in this namespace, even one whose
/// resource is gone.
async fn foreign_references(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<Option<validate::Error>, kube::Error> {
    let references = &cluster.additions.references;
    let spec = &cluster.spec;
    if references.is_empty() && !validate::names_secrets(spec) {
        return Ok(None);
    }
    let clusters: Api<OpenSecureConfCluster> = Api::namespaced(client.clone(), &cluster.namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &cluster.namespace);
    // Kubernetes gives claims the labels of their template, and keeps them when their cluster goes.
    let of_nodes = format!("{LABEL_NAME}={PRODUCT},{LABEL_COMPONENT}={NODE_COMPONENT}");
    let (all, managed) = (
        ListParams::default(),
        ListParams::default().labels(&format!("{LABEL_MANAGED_BY}={OPERATOR}")),
    );
    let of_nodes = ListParams::default().labels(&of_nodes);
    let (clusters, secrets, claims) = try_join!(
        clusters.list_metadata(&all),
        secrets.list_metadata(&managed),
        claims.list_metadata(&of_nodes)
    )?;
    let clusters: Vec<_> = clusters
        .iter()
        .filter_map(|cluster| ClusterName::new(&cluster.name_any()))
        .collect();
    let labelled: Vec<_> = secrets
        .iter()
        .filter_map(|secret| {
            let owner = secret.labels().get(LABEL_INSTANCE)?;
            Some((secret.name_any(), owner.clone()))
        })
        .collect();
    let left: Vec<_> = claims
        .iter()
        .filter_map(|claim| {
            claim_owner(&claim.name_any())?;
            let owner = claim.labels().get(LABEL_INSTANCE)?;
            Some((claim.name_any(), owner.clone()))
        })
        .collect();
    let checked = references
        .check(&clusters, &labelled, &left)
        .and_then(|()| validate::check_own_secrets(spec, &clusters, &labelled));
    Ok(checked.err())
}

/// The claims without a volume, and whether the classes that they name exist.
async fn pending_claims(
    client: &Client,
    claims: &[PersistentVolumeClaim],
) -> Result<Vec<PendingClaim>, kube::Error> {
    let classes: &Api<StorageClass> = &Api::all(client.clone());
    let pending = claims.iter().filter_map(|claim| {
        let phase = claim.status.as_ref()?.phase.as_deref()?;
        let class = claim.spec.as_ref()?.storage_class_name.clone();
        (phase == "Pending").then(|| (claim.name_any(), class))
    });
    let looked = pending.map(|(name, class)| async move {
        let class_exists = match &class {
            None => None,
            // No class at all: an administrator makes the volumes.
            Some(class) if class.is_empty() => None,
            Some(class) => match classes.get_metadata_opt(class).await {
                Ok(found) => Some(found.is_some()),
                Err(error) if refusal(&error).is_some() => None,
                Err(error) => return Err(error),
            },
        };
        Ok(PendingClaim {
            name,
            class,
            class_exists,
        })
    });
    try_join_all(looked).await
}

/// The StatefulSet, whole where it is this cluster's.
async fn stateful_set(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<(Option<StatefulSet>, Option<Child>), kube::Error> {
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &cluster.namespace);
    let found = api.get_opt(cluster.name.as_str()).await?;
    let child = found
        .as_ref()
        .map(|set| child_of::<StatefulSet, _>(cluster, cluster.name.as_str(), set));
    let ours = found.filter(|set| is_ours(&set.metadata, cluster));
    Ok((ours, child))
}

/// A child in its raw form: its schema may be another release's than our type.
async fn child<K>(
    client: &Client,
    cluster: &ValidatedCluster,
    name: &str,
) -> Result<Option<Child>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &cluster.namespace, &kind);
    let found = api.get_opt(name).await?;
    Ok(found.map(|object| child_of::<K, _>(cluster, name, &object)))
}

pub(super) fn child_of<K: Resource<DynamicType = ()>, O: ResourceExt + Serialize>(
    cluster: &ValidatedCluster,
    name: &str,
    object: &O,
) -> Child {
    let metadata = object.meta();
    let annotations = metadata.annotations.as_ref();
    let ours = is_ours(metadata, cluster);
    let live = || LiveChild::of(object);
    Child {
        kind: K::kind(&()).into_owned(),
        name: name.to_owned(),
        uid: metadata.uid.clone(),
        layout: annotations.and_then(|all| all.get(ANNOTATION_LAYOUT).cloned()),
        operator: annotations.and_then(|all| all.get(ANNOTATION_OPERATOR).cloned()),
        ours,
        live: ours.then(live),
    }
}

/// Whether a kind of another operator is usable, and the cluster's own object of it.
async fn optional_child<K>(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<(OptionalKind, Option<Child>), kube::Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &cluster.namespace);
    let looked = async {
        api.list_metadata(&ListParams::default().limit(1)).await?;
        child::<K>(client, cluster, cluster.name.as_str()).await
    };
    match looked.await {
        Ok(child) => Ok((OptionalKind::Served, child)),
        // An unknown group answers in plain text, so only the code shows that.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok((OptionalKind::Unknown, None)),
        Err(error) => match refusal(&error) {
            Some(words) => Ok((OptionalKind::Forbidden(words.to_owned()), None)),
            None => Err(error),
        },
    }
}

/// By owner where there is one, otherwise by labels: objects that were kept when the resource was deleted are found again.
pub(super) fn is_ours(metadata: &ObjectMeta, cluster: &ValidatedCluster) -> bool {
    if let Some(owner) = controller(metadata) {
        return owner == cluster.uid;
    }
    let label = |name: &str| {
        metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(name))
            .map(String::as_str)
    };
    label(LABEL_MANAGED_BY) == Some(OPERATOR)
        && label(LABEL_INSTANCE) == Some(cluster.name.as_str())
}

/// The identity of the controlling owner.
pub(super) fn controller(metadata: &ObjectMeta) -> Option<&str> {
    let mut owners = metadata.owner_references.iter().flatten();
    owners
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}
