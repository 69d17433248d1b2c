//! Claims record the incarnation on their volume: the node may not answer any more when that is asked for.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    cluster::{observe, validate::ValidatedCluster, volumes::VolumeClaim},
    names::{ANNOTATION_INCARNATION, FIELD_MANAGER},
    node::NodeDetails,
};

/// Writes new records, and returns whether anything was written. A failure is logged and stops nothing.
pub(in crate::cluster) async fn record(
    client: &Client,
    cluster: &ValidatedCluster,
    claims: &[VolumeClaim],
    pods: &[(Pod, Option<NodeDetails>)],
) -> bool {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &cluster.namespace);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let mut written = false;
    for (claim, incarnation) in news(claims, pods) {
        // Another claim of this name is another volume.
        let patch = json!({ "metadata": {
            "uid": claim.uid, "annotations": { ANNOTATION_INCARNATION: incarnation },
        } });
        match api
            .patch_metadata(&claim.name, &parameters, &Patch::Merge(patch))
            .await
        {
            Ok(_) => written = true,
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => {
                tracing::debug!(error = %error, claim = claim.name, "incarnation_not_recorded");
            }
        }
    }
    written
}

/// The records that claims lack. A blank node gets another incarnation when it joins, so only members of a cluster are
/// recorded.
fn news<'a>(
    claims: &'a [VolumeClaim],
    pods: &'a [(Pod, Option<NodeDetails>)],
) -> impl Iterator<Item = (&'a VolumeClaim, &'a str)> {
    pods.iter().filter_map(|(pod, details)| {
        let details = details.as_ref().filter(|details| {
            details.cluster_uid.is_some() && pod.metadata.deletion_timestamp.is_none()
        })?;
        let ordinal = i32::try_from(observe::ordinal(pod)?).ok()?;
        let claim = claims.iter().find(|claim| claim.of_node(ordinal))?;
        let is_news = claim.incarnation.as_ref() != Some(&details.incarnation);
        (is_news && !claim.is_ending && !details.incarnation.is_empty() && is_of(pod, claim))
            .then_some((claim, details.incarnation.as_str()))
    })
}

/// Whether a pod was made after its claim: an older one runs on another volume that had its name.
fn is_of(pod: &Pod, claim: &VolumeClaim) -> bool {
    let made = pod.creation_timestamp().map(|time| time.0);
    claim.created.is_none() || made.is_none() || claim.created <= made
}
