//! A cluster whose nodes have another mode than its resource. The API server refuses such a change; a definition without its
//! rules does not. Two kinds of nodes behind one Service would answer from different entries.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};

use super::{
    dereference::{DereferencedObjects, is_ours},
    settled::Mandate,
    stalled::Stalled,
    validate::ValidatedCluster,
};
use crate::rights;

/// That nodes with volumes run where nodes shall share a database.
pub(super) fn to_shared(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
) -> Option<Stalled> {
    found.stateful_set.as_deref()?;
    let (name, namespace) = (&cluster.name, &cluster.namespace);
    Some(stalled(format!(
        "StatefulSet {name} runs nodes of this cluster that have volumes, and mode cannot be changed: set it back. To begin anew on the \
         database without what they hold: `kubectl delete statefulset {name} -n {namespace}`"
    )))
}

/// Whether nodes of a shared database run where each node shall have a volume.
///
/// # Errors
/// Where the API server does not answer. An operator that may not read Deployments runs none.
pub(super) async fn from_shared(
    client: &Client,
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    mandate: Mandate<'_>,
) -> Result<Option<Stalled>, kube::Error> {
    // A cluster begins with one of both, and a reconcile that only looks makes nothing.
    if found.stateful_set.is_some() || matches!(mandate, Mandate::Look(_)) {
        return Ok(None);
    }
    let (name, namespace) = (&cluster.name, &cluster.namespace);
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let there = match api.get_metadata_opt(name.as_str()).await {
        Ok(there) => there,
        Err(error) if rights::refusal(&error).is_some() => None,
        Err(error) => return Err(error),
    };
    let ours = there.filter(|there| is_ours(&there.metadata, cluster));
    Ok(ours.map(|_| nodes_share(cluster)))
}

/// That nodes of a shared database run.
pub(super) fn nodes_share(cluster: &ValidatedCluster) -> Stalled {
    let (name, namespace) = (&cluster.name, &cluster.namespace);
    stalled(format!(
        "Deployment {name} runs nodes of this cluster that share a database, and mode cannot be changed: set it back to Shared, with \
         database. To begin anew without what the database holds: `kubectl delete deployment {name} -n {namespace}`"
    ))
}

fn stalled(message: String) -> Stalled {
    Stalled {
        reason: "ModeChanged",
        message,
    }
}
