//! How the readiness of a cluster changed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::EventType;

use super::{News, in_this_version};
use crate::cluster::{
    resource::{ClusterStatus, OpenSecureConfCluster},
    status::PLANNED,
};

/// That `Ready` has another reason than before.
pub(super) fn news(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
) -> Option<News> {
    let now = ready(after)?;
    if ready(before).is_some_and(|before| before.reason == now.reason) {
        return None;
    }
    // Planned work is no alarm.
    let type_ = if now.status == "True" || PLANNED.contains(&now.reason.as_str()) {
        EventType::Normal
    } else {
        EventType::Warning
    };
    Some(News {
        type_,
        reason: now.reason.clone(),
        note: now.message.clone(),
        related: in_this_version(cluster),
    })
}

fn ready(status: &ClusterStatus) -> Option<&Condition> {
    let mut conditions = status.conditions.iter();
    conditions.find(|condition| condition.type_ == "Ready")
}
