//! That volumes grow.

use kube::runtime::events::EventType;

use super::{News, about_field};
use crate::cluster::{
    resource::{ClusterStatus, OpenSecureConfCluster},
    status::VOLUMES_GROWING,
};

/// An event where another volume has its new size.
pub(super) fn news(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
) -> Option<News> {
    let note = growth(after).filter(|now| growth(before) != Some(*now))?;
    Some(News {
        type_: EventType::Normal,
        reason: VOLUMES_GROWING.to_owned(),
        note: note.to_owned(),
        related: about_field(cluster, note.to_owned()),
    })
}

fn growth(status: &ClusterStatus) -> Option<&str> {
    let mut conditions = status.conditions.iter();
    let growth = conditions.find(|condition| condition.reason == VOLUMES_GROWING)?;
    Some(&growth.message)
}
