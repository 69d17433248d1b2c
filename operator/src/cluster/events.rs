//! Events: what was done to a cluster, and how its readiness changed.

use kube::{
    Resource,
    runtime::events::{Event, EventType, Recorder},
};

use super::{
    apply::Done,
    resource::{ClusterStatus, OpenSecureConfCluster},
};

/// An event for something done to a child.
pub(super) async fn announce(cluster: &OpenSecureConfCluster, step: &Done, recorder: &Recorder) {
    let (reason, note) = match step {
        Done::Created { kind, name } => ("Created", format!("created {kind} {name}")),
        Done::Deleted { kind, name } => ("Deleted", format!("deleted {kind} {name}")),
    };
    publish(cluster, EventType::Normal, reason, note, recorder).await;
}

/// An event for each change of `Ready`, with the condition's own words.
pub(super) async fn announce_change(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
    recorder: &Recorder,
) {
    let ready = |status: &ClusterStatus| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready")
            .cloned()
    };
    let Some(now) = ready(after) else { return };
    if ready(before).is_some_and(|before| before.reason == now.reason) {
        return;
    }
    let type_ = if now.status == "True" {
        EventType::Normal
    } else {
        EventType::Warning
    };
    publish(cluster, type_, &now.reason, now.message, recorder).await;
}

async fn publish(
    cluster: &OpenSecureConfCluster,
    type_: EventType,
    reason: &str,
    note: String,
    recorder: &Recorder,
) {
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = recorder.publish(&event, &cluster.object_ref(&())).await {
        tracing::warn!(error = %error, reason, "event_not_published");
    }
}
