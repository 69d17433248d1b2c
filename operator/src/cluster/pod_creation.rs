//! Pods that Kubernetes tries to make in vain: a quota, a policy or an admission webhook refuses them, and only events of the
//! StatefulSet report it.

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod, events::v1::Event};
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::validate::ValidatedCluster;
use crate::{node::NodeDetails, rights};

/// The reasons of the StatefulSet controller.
const FAILED: &str = "FailedCreate";
const SUCCEEDED: &str = "SuccessfulCreate";

/// A pod that is not there, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPod {
    /// Its name.
    pub name: String,
    /// The words of the refusal.
    pub words: String,
    /// Since when Kubernetes has refused it in these words, where known.
    pub since: Option<Timestamp>,
}

/// The pods that the StatefulSet lacks and that were refused. Reads events only while pods are missing; empty where they cannot
/// be read.
pub(super) async fn refused(
    client: &Client,
    cluster: &ValidatedCluster,
    stateful_set: Option<&StatefulSet>,
    pods: &[(Pod, Option<NodeDetails>)],
) -> Vec<RefusedPod> {
    let wanted = stateful_set.and_then(|set| set.spec.as_ref()?.replicas);
    let missing: Vec<_> = (0..wanted.unwrap_or_default())
        .map(|ordinal| cluster.name.pod(ordinal))
        .filter(|name| pods.iter().all(|(pod, _)| pod.name_any() != *name))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let api: Api<Event> = Api::namespaced(client.clone(), &cluster.namespace);
    let of_the_set = format!("regarding.kind=StatefulSet,regarding.name={}", cluster.name);
    match api.list(&ListParams::default().fields(&of_the_set)).await {
        Ok(events) => missing
            .into_iter()
            .filter_map(|name| {
                let (words, since) = refusal(&events.items, &name)?;
                Some(RefusedPod { name, words, since })
            })
            .collect(),
        Err(error) => {
            if rights::refusal(&error).is_none() {
                tracing::debug!(error = %error, "events_not_read");
            }
            Vec::new()
        }
    }
}

/// The last refusal of a missing pod, unless the pod could be made since, and the time of the first one.
fn refusal(events: &[Event], pod: &str) -> Option<(String, Option<Timestamp>)> {
    let last = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some(FAILED))
        .filter(|event| subject(event).is_some_and(|subject| is_of(subject, pod)))
        .max_by_key(|event| last_seen(event))?;
    let made = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some(SUCCEEDED))
        .filter(|event| subject(event) == subject(last))
        .filter_map(last_seen)
        .max();
    let overcome = made.is_some_and(|made| Some(made) > last_seen(last));
    let (_, words) = last.note.as_deref()?.split_once(" failed error: ")?;
    let pod_is_forbidden = format!("pods \"{pod}\" is forbidden: ");
    let words = words.strip_prefix(&pod_is_forbidden).unwrap_or(words);
    // One event counts all refusals, also those from before the pod was last made.
    let since = first_seen(last).max(made);
    (!overcome).then(|| (words.to_owned(), since))
}

fn first_seen(event: &Event) -> Option<Timestamp> {
    let of_older_api = event.deprecated_first_timestamp.as_ref();
    let first = event.event_time.as_ref().map(|time| time.0);
    first.or(of_older_api.map(|time| time.0))
}

/// `Pod NAME`, or `Claim NAME Pod NAME`: `Create Pod demo-0 in StatefulSet demo failed error: ...`, in either case of the first letter.
fn subject(event: &Event) -> Option<&str> {
    let (_, rest) = event.note.as_deref()?.split_once(' ')?;
    rest.split_once(" in StatefulSet ")
        .map(|(subject, _)| subject)
}

fn is_of(subject: &str, pod: &str) -> bool {
    let mut words = subject.rsplit(' ');
    words.next() == Some(pod) && words.next() == Some("Pod")
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    let of_series = event
        .series
        .as_ref()
        .map(|series| series.last_observed_time.0);
    let of_older_api = event.deprecated_last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    of_series.or(of_older_api).or(first)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(reason: &str, note: &str, second: u32) -> Event {
        let at = format!("2026-01-01T00:00:{second:02}Z");
        serde_json::from_value(json!({
            "metadata": {}, "reason": reason, "note": note, "eventTime": null, "deprecatedLastTimestamp": at,
        }))
        .unwrap()
    }

    fn words(events: &[Event], pod: &str) -> Option<String> {
        refusal(events, pod).map(|(words, _)| words)
    }

    #[test]
    fn it_is_refused_since_it_was_refused_first_after_it_was_made_last() {
        let mut refused = event(FAILED, QUOTA, 9);
        refused.deprecated_first_timestamp = event(FAILED, QUOTA, 2).deprecated_last_timestamp;
        let since = |events: &[Event]| {
            let (_, since) = refusal(events, "demo-0").unwrap();
            since.unwrap().to_string()
        };
        assert_eq!(
            since(std::slice::from_ref(&refused)),
            "2026-01-01T00:00:02Z"
        );
        let made = event(SUCCEEDED, POD_MADE, 5);
        assert_eq!(since(&[made, refused]), "2026-01-01T00:00:05Z");
    }

    // As Kubernetes 1.35.4 wrote them.
    const QUOTA: &str = "Create Pod demo-0 in StatefulSet demo failed error: pods \"demo-0\" is forbidden: exceeded quota: few, \
                         requested: pods=1, used: pods=0, limited: pods=0";
    const CLAIM_MADE: &str = "Create Claim data-demo-0 Pod demo-0 in StatefulSet demo success";
    const POD_MADE: &str = "Create Pod demo-0 in StatefulSet demo successful";

    #[test]
    fn a_pod_that_a_quota_refuses_is_told_of_in_its_words() {
        let events = [event(FAILED, QUOTA, 5), event(SUCCEEDED, CLAIM_MADE, 7)];
        assert_eq!(
            words(&events, "demo-0").as_deref(),
            Some("exceeded quota: few, requested: pods=1, used: pods=0, limited: pods=0")
        );
        assert_eq!(words(&events, "demo-1"), None);
    }

    #[test]
    fn what_was_refused_and_made_since_is_not_told_of() {
        let made_before = [event(SUCCEEDED, POD_MADE, 1), event(FAILED, QUOTA, 5)];
        assert!(refusal(&made_before, "demo-0").is_some());
        let made_since = [event(FAILED, QUOTA, 5), event(SUCCEEDED, POD_MADE, 6)];
        assert_eq!(refusal(&made_since, "demo-0"), None);
    }

    #[test]
    fn a_claim_that_is_refused_keeps_its_name_and_the_last_words_count() {
        let claim = "create Claim data-demo-0 Pod demo-0 in StatefulSet demo failed error: persistentvolumeclaims \"data-demo-0\" is \
                     forbidden: exceeded quota: disks";
        let events = [event(FAILED, QUOTA, 5), event(FAILED, claim, 6)];
        assert_eq!(
            words(&events, "demo-0").as_deref(),
            Some("persistentvolumeclaims \"data-demo-0\" is forbidden: exceeded quota: disks")
        );
    }
}
