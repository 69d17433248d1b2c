//! That changes of the pod template wait.

use kube::runtime::events::EventType;

use super::{News, about_field};
use crate::cluster::resource::{ClusterStatus, OpenSecureConfCluster};

/// That other changes wait than before.
pub(super) fn news(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
) -> Option<News> {
    let pending = after.pending_rollout.as_ref()?;
    let told = before.pending_rollout.as_ref();
    if told.is_some_and(|told| told.accept == pending.accept) {
        return None;
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
    Some(News {
        type_: EventType::Normal,
        reason: "RolloutPending".to_owned(),
        note,
        // Other changes that wait are another event.
        related: about_field(cluster, pending.accept.clone()),
    })
}
