//! Events: the steps taken for a cluster, and changes of its readiness.

mod growth;
mod https;
mod pending;
mod readiness;

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::{
    Resource, ResourceExt,
    runtime::events::{Event, EventType},
};

use super::{
    api_key::KeyPhase,
    apply::Done,
    namespace_end::is_ending,
    recorder::Recorder,
    resource::{ClusterStatus, OpenSecureConfCluster},
    rollout::LetIn,
    stalled::RIGHTS_MISSING,
};
use crate::rights;

/// An event for a step on a child.
pub(super) async fn announce(cluster: &OpenSecureConfCluster, step: &Done, recorder: &Recorder) {
    let (reason, note, kind, name) = match step {
        Done::Created { kind, name } => {
            let note = format!("created {kind} {name}");
            ("Created", note, kind.as_str(), name)
        }
        Done::Corrected {
            kind,
            name,
            fields,
            manager,
        } => {
            let who = manager.as_deref().unwrap_or("an unnamed client");
            let note = format!(
                "corrected {kind} {name}: {who} had changed {}",
                fields.join(", ")
            );
            let related = fields_of(cluster, kind, name, fields);
            let type_ = EventType::Normal;
            publish(cluster, type_, "Corrected", note, related, recorder).await;
            return;
        }
        Done::Accepted { kind, name, fields } => {
            let note = format!(
                "accepted {} of {kind} {name}: the API server sets it again whatever is written; an admission webhook does so",
                fields.join(", ")
            );
            let related = fields_of(cluster, kind, name, fields);
            let type_ = EventType::Normal;
            publish(cluster, type_, "Accepted", note, related, recorder).await;
            return;
        }
        Done::Deleted { kind, name } => {
            let note = format!("deleted {kind} {name}");
            ("Deleted", note, kind.as_str(), name)
        }
        Done::LetIn(LetIn { number, changes }) => {
            let note = format!(
                "let in what waited: {}; pods are replaced one by one",
                changes.join("; ")
            );
            let related = about_field(cluster, number.clone());
            let (type_, reason) = (EventType::Normal, "RolloutLetIn");
            publish(cluster, type_, reason, note, related, recorder).await;
            return;
        }
        Done::Resized { claim, size } => {
            let note = format!("asked for {size} for volume {claim}");
            ("VolumeResized", note, "PersistentVolumeClaim", claim)
        }
        Done::Remade { name } => {
            let note = format!(
                "StatefulSet {name} is made anew with the size that its volumes have; its pods run on"
            );
            ("Remade", note, "StatefulSet", name)
        }
        Done::Protected { kind, name } => {
            let note = format!("annotated {kind} {name}, so that Argo CD does not prune it");
            ("Protected", note, kind.as_str(), name)
        }
        Done::Renewed { secret } => {
            let note = format!("renewed the certificates in Secret {secret}");
            ("Renewed", note, "Secret", secret)
        }
        Done::AuthorityRefused { secret, why } => {
            let note = format!(
                "the authority in Secret {secret} is of no use: {why}. Another one was made, and what nodes have stays accepted. To use one \
                 of your own, put it there as docs/tls.md says"
            );
            let related = fields_of(cluster, "Secret", secret, &[why.to_string()]);
            let (type_, reason) = (EventType::Warning, "AuthorityRefused");
            publish(cluster, type_, reason, note, related, recorder).await;
            return;
        }
        Done::KeyChanged { secret, phase } => {
            let note = format!("{} Secret {secret}", words_of(*phase));
            // Each phase is another event.
            let related = fields_of(cluster, "Secret", secret, &[format!("{phase:?}")]);
            let (type_, reason) = (EventType::Normal, "ApiKeyRotation");
            publish(cluster, type_, reason, note, related, recorder).await;
            return;
        }
        // A condition reports it, and the user knows the request.
        Done::Refused { .. } | Done::Updated => return,
        Done::TakenOver { secret, from } => {
            let note = format!("took over from {from}, which is not installed any more");
            ("TakenOver", note, "Secret", secret)
        }
        Done::Restored { secret, node } => {
            let note = format!("restored Secret {secret} with the salt of {node}");
            ("Restored", note, "Secret", secret)
        }
    };
    let related = object(cluster, kind, name);
    publish(cluster, EventType::Normal, reason, note, related, recorder).await;
}

fn words_of(phase: KeyPhase) -> &'static str {
    match phase {
        KeyPhase::Distributing => "another API key is given to the nodes, beside the one in",
        KeyPhase::Exchanged => "callers find another API key in",
        KeyPhase::Ending => "the API key before was taken from",
        KeyPhase::Settled => "nodes accept no other API key than the one in",
    }
}

/// An event for a pod that is replaced, and why.
pub(super) async fn announce_replaced(
    cluster: &OpenSecureConfCluster,
    pod: &Pod,
    why: &str,
    recorder: &Recorder,
) {
    let name = pod.name_any();
    let note = format!("replaced pod {name}: {why}");
    // The next pod of this name is another object.
    let related = ObjectReference {
        uid: pod.uid(),
        ..object(cluster, "Pod", &name)
    };
    publish(
        cluster,
        EventType::Normal,
        "Replaced",
        note,
        related,
        recorder,
    )
    .await;
}

/// An event for a volume that is given up.
pub(super) async fn announce_given_up(
    cluster: &OpenSecureConfCluster,
    claim: &str,
    incarnation: &str,
    recorder: &Recorder,
) {
    let note = format!(
        "gave up volume {claim} of incarnation {incarnation}, as spec.rebuildMembers asks for: its node takes what it had from the others"
    );
    let related = ObjectReference {
        field_path: Some(incarnation.to_owned()),
        ..object(cluster, "PersistentVolumeClaim", claim)
    };
    let (type_, reason) = (EventType::Normal, "VolumeGivenUp");
    publish(cluster, type_, reason, note, related, recorder).await;
}

/// An order to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// To bootstrap the cluster.
    Bootstrap { node: String },
    /// To leave it.
    Leave { node: String },
    /// The order to remove another node.
    Removed { node: String },
}

/// An event for an order to a node.
pub(super) async fn announce_order(
    cluster: &OpenSecureConfCluster,
    told: &Told,
    recorder: &Recorder,
) {
    let (reason, node, what) = match told {
        Told::Bootstrap { node } => (
            "Bootstrapped",
            node,
            "was instructed to bootstrap the cluster",
        ),
        Told::Leave { node } => ("Leaving", node, "was instructed to leave the cluster"),
        Told::Removed { node } => ("Removed", node, "has left and was removed"),
    };
    let (note, related) = (format!("{node} {what}"), object(cluster, "Pod", node));
    publish(cluster, EventType::Normal, reason, note, related, recorder).await;
}

/// An event that follows from a status.
struct News {
    type_: EventType,
    reason: String,
    note: String,
    related: ObjectReference,
}

/// Events for changes in the status, with the conditions' own words.
pub(super) async fn announce_change(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
    recorder: &Recorder,
) {
    let all = [
        https::news(cluster, before, after),
        growth::news(cluster, before, after),
        pending::news(cluster, before, after),
        readiness::news(cluster, before, after),
    ];
    for news in all.into_iter().flatten() {
        let News {
            type_,
            reason,
            note,
            related,
        } = news;
        publish(cluster, type_, &reason, note, related, recorder).await;
    }
}

/// The resource in the version that an event concerns: a later version may be reported in other words.
fn in_this_version(cluster: &OpenSecureConfCluster) -> ObjectReference {
    ObjectReference {
        resource_version: cluster.metadata.resource_version.clone(),
        ..cluster.object_ref(&())
    }
}

/// A part of the resource: another part is another event.
fn about_field(cluster: &OpenSecureConfCluster, field: String) -> ObjectReference {
    ObjectReference {
        field_path: Some(field),
        ..cluster.object_ref(&())
    }
}

/// An event that another operator runs this cluster.
pub(super) async fn announce_foreign(
    cluster: &OpenSecureConfCluster,
    note: String,
    recorder: &Recorder,
) {
    let related = cluster.object_ref(&());
    let reason = "ForeignOperator";
    publish(cluster, EventType::Warning, reason, note, related, recorder).await;
}

/// An event that the status itself may not be written.
pub(super) async fn announce_untold(
    cluster: &OpenSecureConfCluster,
    words: &str,
    recorder: &Recorder,
) {
    let (reason, note) = (
        RIGHTS_MISSING,
        format!("the state of this cluster is unknown: {words}"),
    );
    let related = cluster.object_ref(&());
    publish(cluster, EventType::Warning, reason, note, related, recorder).await;
}

/// An object of the cluster that an event concerns.
fn object(cluster: &OpenSecureConfCluster, kind: &str, name: &str) -> ObjectReference {
    ObjectReference {
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        namespace: cluster.metadata.namespace.clone(),
        ..ObjectReference::default()
    }
}

/// Fields of a child: other fields of the same child make another event.
fn fields_of(
    cluster: &OpenSecureConfCluster,
    kind: &str,
    name: &str,
    fields: &[String],
) -> ObjectReference {
    ObjectReference {
        field_path: Some(fields.join(",")),
        ..object(cluster, kind, name)
    }
}

/// Kubernetes folds events of one reason about one object, and keeps the first one's words: `related` keeps others apart.
async fn publish(
    cluster: &OpenSecureConfCluster,
    type_: EventType,
    reason: &str,
    note: String,
    related: ObjectReference,
    recorder: &Recorder,
) {
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(shortened(note)),
        action: "Reconcile".to_owned(),
        secondary: Some(related),
    };
    if let Err(error) = recorder.publish(&event, &cluster.object_ref(&())).await {
        // A right that is missing was reported once for the whole namespace.
        if let Some(words) = rights::refusal(&error) {
            tracing::debug!(words, reason, "event_forbidden");
        } else if is_ending(&error) {
            tracing::debug!(reason, "event_of_a_namespace_that_ends");
        } else {
            tracing::warn!(error = %error, reason, "event_not_published");
        }
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
