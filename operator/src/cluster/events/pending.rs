//! That changes of the pod template wait.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Resource,
    runtime::events::{EventType, Recorder},
};

use super::publish;
use crate::cluster::resource::{ClusterStatus, OpenSecureConfCluster};

/// An event where other changes wait than before.
pub(super) async fn announce(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
    recorder: &Recorder,
) {
    let Some(pending) = &after.pending_rollout else {
        return;
    };
    let told = before.pending_rollout.as_ref();
    if told.is_some_and(|told| told.accept == pending.accept) {
        return;
    }
    let fields: Vec<_> = pending
        .changes
        .iter()
        .map(|change| change.field.as_str())
        .collect();
    let note = format!(
        "{} would change, and status.pendingRollout says how; it waits: {}",
        fields.join(", "),
        pending.message
    );
    // Other changes that wait are another event.
    let related = ObjectReference {
        field_path: Some(pending.accept.clone()),
        ..cluster.object_ref(&())
    };
    let (type_, reason) = (EventType::Normal, "RolloutPending");
    publish(cluster, type_, reason, note, related, recorder).await;
}
