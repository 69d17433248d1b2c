//! The operator to which a cluster belongs. The salt Secret records it, because its creation is the vote that makes exactly
//! one; the StatefulSet or Deployment repeats it for the time in which the salt is lost. An operator that reads another one's
//! name writes nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    coordination::v1::Lease,
    core::v1::Secret,
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    apply::{Done, Error, failed},
    context::Context,
    dereference::DereferencedObjects,
    events::{announce, announce_foreign},
    reconcile,
    resource::OpenSecureConfCluster,
    secrets::ManagedSecret,
    validate::ValidatedCluster,
};
use crate::{
    names::{ANNOTATION_OPERATOR, ClusterName, FIELD_MANAGER},
    rights,
};

/// Whether this operator runs the cluster; takes it over where its operator is gone, or it never had one.
///
/// # Errors
/// Errors that another try may resolve.
pub(super) async fn is_ours(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    may_write: bool,
    context: &Context,
) -> Result<bool, reconcile::Error> {
    let client = &context.client;
    let from = match recorded(valid, found) {
        Ownership::Ours => return Ok(true),
        Ownership::Unclaimed => None,
        Ownership::Foreign(operator) => {
            let gone = is_gone(client, &operator).await;
            if gone.map_err(reconcile::Error::reading)? != Some(true) {
                stand_back(cluster, valid, &operator, context).await;
                return Ok(false);
            }
            Some(operator)
        }
    };
    if may_write {
        claim(client, valid, found).await?;
        if let Some(from) = from {
            let secret = ManagedSecret::Salt.name(&valid.name);
            announce(
                cluster,
                &Done::TakenOver { secret, from },
                &context.recorder,
            )
            .await;
        }
    }
    Ok(true)
}

/// Reports the operator of the cluster.
async fn stand_back(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    operator: &str,
    context: &Context,
) {
    let (namespace, name) = (valid.namespace.as_str(), valid.name.as_str());
    context.metrics.is_foreign(namespace, name);
    let me = &valid.installation.operator;
    let secret = ManagedSecret::Salt.name(&valid.name);
    let note = format!(
        "operator {operator} runs this cluster, and {me} leaves it alone: let only one of them see this namespace (--namespace, \
         --exclude-namespace). To hand it over: kubectl annotate secret {secret} -n {namespace} {ANNOTATION_OPERATOR}={me} --overwrite"
    );
    tracing::debug!(namespace, name, operator, "foreign_cluster");
    announce_foreign(cluster, note, &context.recorder).await;
}

/// The content of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ownership {
    /// It is this operator's, or no other one's that could be asked: creating the salt decides.
    Ours,
    /// There is a salt that names no operator yet.
    Unclaimed,
    /// It is another operator's: `NAMESPACE/LEASE`.
    Foreign(String),
}

/// Reads the record.
fn recorded(cluster: &ValidatedCluster, found: &DereferencedObjects) -> Ownership {
    let workload = || {
        let name = cluster.name.as_str();
        let there = found.child("StatefulSet", name);
        let there = there.or_else(|| found.child("Deployment", name));
        there.and_then(|child| child.operator.clone())
    };
    let (operator, without) = match found.secrets.get(&ManagedSecret::Salt) {
        Some(salt) => (salt.operator.clone(), Ownership::Unclaimed),
        None => (workload(), Ownership::Ours),
    };
    match operator {
        Some(operator) if operator == cluster.installation.operator => Ownership::Ours,
        Some(operator) => Ownership::Foreign(operator),
        None => without,
    }
}

/// Whether another operator is gone for good: the Lease that its installation creates and removes does not exist. `None` where
/// this operator may not read it.
///
/// # Errors
/// Where the API server does not answer.
async fn is_gone(client: &Client, operator: &str) -> Result<Option<bool>, kube::Error> {
    let Some((namespace, lease)) = operator.split_once('/') else {
        return Ok(None);
    };
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    match api.get_metadata_opt(lease).await {
        Ok(found) => Ok(Some(found.is_none())),
        Err(error) if rights::refusal(&error).is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes this operator into the record, if that still is what was read: of two operators one succeeds.
///
/// # Errors
/// A conflict is the other operator's success.
async fn claim(
    client: &Client,
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
) -> Result<(), Error> {
    let Some(salt) = found.secrets.get(&ManagedSecret::Salt) else {
        return Ok(());
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    let name = ManagedSecret::Salt.name(&cluster.name);
    let patch = json!({ "metadata": {
        "resourceVersion": salt.resource_version,
        "annotations": { ANNOTATION_OPERATOR: cluster.installation.operator },
    } });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch_metadata(&name, &parameters, &Patch::Merge(patch))
        .await
        .map(drop)
        .map_err(|source| failed::<Secret>("claim", &name, source))
}

/// Whether another operator is recorded, as far as the record can be read: asked before reporting the state of a cluster that
/// could not be read.
pub(super) async fn is_foreign(client: &Client, namespace: &str, name: &str, me: &str) -> bool {
    let Some(cluster) = ClusterName::new(name) else {
        return false;
    };
    let salts: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let is_of_another = |annotations: &BTreeMap<String, String>| {
        let recorded = annotations.get(ANNOTATION_OPERATOR);
        recorded.is_some_and(|recorded| recorded != me)
    };
    if let Ok(salt) = salts
        .get_metadata(&ManagedSecret::Salt.name(&cluster))
        .await
    {
        return is_of_another(salt.annotations());
    }
    if let Ok(set) = sets.get_metadata(name).await {
        return is_of_another(set.annotations());
    }
    let deployment = deployments.get_metadata(name).await;
    deployment.is_ok_and(|deployment| is_of_another(deployment.annotations()))
}
