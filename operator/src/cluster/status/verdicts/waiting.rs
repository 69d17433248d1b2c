//! Why pods wait, as far as Kubernetes reports it.

mod advice;
mod containers;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

pub(in crate::cluster) use containers::last_words;

use super::leaving::stays;
use crate::cluster::{
    dereference::PendingClaim, observe, resource::MemberStatus, status::Observation,
};

/// Why pods cannot be made or scheduled, and why volumes and containers wait.
pub(super) fn reasons(seen: &Observation<'_>, wanted: usize) -> Vec<String> {
    let refused = seen
        .refused_pods
        .iter()
        .filter(|pod| stays(&pod.name, wanted))
        .map(|pod| (pod.name.clone(), format!("FailedCreate: {}", pod.words)));
    let unscheduled = staying(seen, wanted).filter_map(|pod| {
        let words = advice::unscheduled(seen, pod, unscheduled(pod)?);
        Some((pod.name_any(), words))
    });
    let volumes = seen
        .pending_claims
        .iter()
        .filter(|claim| stays(&claim.name, wanted) && counts(seen, claim))
        .map(|claim| volume(claim, &seen.cluster.namespace));
    let containers = containers(seen, wanted);
    let pods = together(refused.chain(unscheduled));
    pods.into_iter().chain(volumes).chain(containers).collect()
}

/// Why containers wait, each with its remedy.
pub(super) fn containers(seen: &Observation<'_>, wanted: usize) -> Vec<String> {
    let said = staying(seen, wanted).filter_map(|pod| Some((pod, containers::reason(pod)?)));
    let mut told = Vec::new();
    let mut advice = Vec::new();
    for (pod, said) in said {
        // A remedy for several of them is given once, after all of them.
        let new = advice::container(seen, pod, &said);
        advice.extend(new.filter(|new| !advice.contains(new)));
        told.push(said);
    }
    told.extend(advice);
    told
}

/// The pods that a user can learn more of: an unscheduled one has no logs, and its events repeat the status.
pub(super) fn where_to_look(seen: &Observation<'_>, members: &[&MemberStatus]) -> Option<String> {
    let is_explained = |name: &str| {
        let mut pods = seen.pods.iter();
        pods.any(|(pod, _)| pod.name_any() == name && unscheduled(pod).is_some())
    };
    let names: Vec<_> = members
        .iter()
        .filter(|member| !member.ready && !is_explained(&member.name))
        .map(|member| member.name.as_str())
        .collect();
    (!names.is_empty()).then(|| format!("look at the events and logs of pod {}", names.join(", ")))
}

/// What a user can look at where there is neither a pod nor a refusal to make one.
pub(super) fn without_pods(seen: &Observation<'_>) -> Option<String> {
    let (name, namespace) = (&seen.cluster.name, &seen.cluster.namespace);
    let is_silent = seen.pods.is_empty() && seen.refused_pods.is_empty();
    is_silent.then(|| {
        format!(
            "no pod is there yet: `kubectl describe statefulset {name} -n {namespace}` shows what it waits for"
        )
    })
}

fn staying<'a>(seen: &Observation<'a>, wanted: usize) -> impl Iterator<Item = &'a Pod> {
    let pods = seen.pods.iter().map(|(pod, _)| pod);
    pods.filter(move |pod| stays(&pod.name_any(), wanted))
}

/// The scheduler's words.
fn unscheduled(pod: &Pod) -> Option<String> {
    let said = observe::unscheduled(pod)?;
    let reason = said.reason.as_deref().unwrap_or("Unschedulable");
    Some(match said.message.as_deref() {
        Some(message) if !message.is_empty() => format!("{reason}: {message}"),
        _ => reason.to_owned(),
    })
}

/// Reports the same message on several pods once.
fn together(told: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (pod, words) in told {
        match groups.iter_mut().find(|(said, _)| *said == words) {
            Some((_, pods)) => pods.push(pod),
            None => groups.push((words, vec![pod])),
        }
    }
    let sentence = |(words, pods): (String, Vec<String>)| match pods.as_slice() {
        [pod] => format!("pod {pod}: {words}"),
        pods => format!("pods {}: {words}", pods.join(", ")),
    };
    groups.into_iter().map(sentence).collect()
}

/// Most volumes are made only once their pod is scheduled, so a missing volume matters only then, unless no class ever makes
/// it.
fn counts(seen: &Observation<'_>, claim: &PendingClaim) -> bool {
    let class = claim.class.as_deref().unwrap_or_default();
    let is_absent = class.is_empty() || claim.class_exists == Some(false);
    let mut pods = seen.pods.iter().map(|(pod, _)| pod);
    let pod = pods.find(|pod| claim.name.strip_prefix("data-") == Some(pod.name_any().as_str()));
    is_absent || pod.is_some_and(|pod| unscheduled(pod).is_none())
}

fn volume(claim: &PendingClaim, namespace: &str) -> String {
    let PendingClaim {
        name,
        class,
        class_exists,
    } = claim;
    let anew = format!(
        "delete the cluster and this claim, which stays (kubectl delete pvc {name} -n {namespace}), and create the cluster anew with another \
         storage.storageClassName"
    );
    match (class.as_deref(), class_exists) {
        (Some(""), _) => format!(
            "volume {name} waits for a PersistentVolume without a class (storage.storageClassName is empty); create one of its size"
        ),
        (Some(class), Some(false)) => format!(
            "volume {name} names StorageClass '{class}', which does not exist; create it, or {anew}"
        ),
        (Some(class), Some(true)) => format!(
            "volume {name} waits for StorageClass '{class}'; kubectl describe pvc {name} -n {namespace} says what for"
        ),
        (Some(class), None) => format!(
            "volume {name} waits for StorageClass '{class}'; if there is none of that name (kubectl get storageclass), create it, or {anew}"
        ),
        (None, _) => format!(
            "volume {name} waits for a default StorageClass; mark one as the default, or {anew}"
        ),
    }
}
