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

/// What a node was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// To found the cluster.
    Found { node: String },
    /// To leave it.
    Leave { node: String },
    /// That another one is removed.
    Removed { node: String },
}

/// An event for something that a node was told.
pub(super) async fn announce_order(
    cluster: &OpenSecureConfCluster,
    told: &Told,
    recorder: &Recorder,
) {
    let (reason, note) = match told {
        Told::Found { node } => ("Founded", format!("{node} was told to found the cluster")),
        Told::Leave { node } => ("Leaving", format!("{node} was told to leave the cluster")),
        Told::Removed { node } => ("Removed", format!("{node} has left and was removed")),
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
        note: Some(shortened(note)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = recorder.publish(&event, &cluster.object_ref(&())).await {
        tracing::warn!(error = %error, reason, "event_not_published");
    }
}

/// The API server refuses events with a note of more than 1 kB.
fn shortened(note: String) -> String {
    const LONGEST: usize = 1000;
    if note.len() <= LONGEST {
        return note;
    }
    let end = note.floor_char_boundary(LONGEST);
    format!("{}...", note.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(shortened("short".to_owned()), "short");
        let long = shortened("ä".repeat(700));
        assert!(long.len() <= 1003 && long.ends_with("ä..."), "{long}");
    }
}
