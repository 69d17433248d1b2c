//! Why pods wait, as far as Kubernetes says so.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use super::leaving::stays;
use crate::cluster::{dereference::PendingClaim, status::Observation};

/// What a node's last line begins with where it cannot start.
const COMPLAINT: &str = "osc-node: ";
/// What begins every pod: nothing is wrong.
const UNDER_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// What volumes and containers wait for.
pub(super) fn reasons(seen: &Observation<'_>, wanted: usize) -> Vec<String> {
    let volumes = seen
        .pending_claims
        .iter()
        .filter(|claim| stays(&claim.name, wanted))
        .map(volume);
    let pods = seen
        .pods
        .iter()
        .filter(|(pod, _)| stays(&pod.name_any(), wanted))
        .filter_map(|(pod, _)| container(pod));
    volumes.chain(pods).collect()
}

fn volume(claim: &PendingClaim) -> String {
    let PendingClaim {
        name,
        class,
        class_exists,
    } = claim;
    match (class, class_exists) {
        (Some(class), Some(false)) => format!(
            "volume {name} names StorageClass '{class}', which does not exist; create it, or create the cluster anew with another \
             storage.storageClassName"
        ),
        (Some(class), Some(true)) => format!(
            "volume {name} waits for StorageClass '{class}'; kubectl describe pvc {name} says what for"
        ),
        (Some(class), None) => format!(
            "volume {name} waits for StorageClass '{class}'; if there is none of that name (kubectl get storageclass), create it, or \
             create the cluster anew with another storage.storageClassName"
        ),
        (None, _) => format!(
            "volume {name} waits for a default StorageClass; mark one as the default, or create the cluster anew with storage.storageClassName"
        ),
    }
}

fn container(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let said = containers.into_iter().find_map(waits)?;
    Some(format!("pod {}: {said}", pod.name_any()))
}

/// The complaint that a node ended with; its log lines carry times and are left out.
fn last_words(container: &ContainerStatus) -> Option<&str> {
    let ended = container.last_state.as_ref()?.terminated.as_ref()?;
    let said = ended.message.as_deref()?;
    said.lines()
        .rev()
        .find_map(|line| line.strip_prefix(COMPLAINT))
        .map(str::trim)
}

fn waits(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    match reason {
        _ if UNDER_WAY.contains(&reason) => None,
        _ if reason.contains("Image") => Some(format!("{reason} of image {}", container.image)),
        // Its message counts seconds: a status that changes with it would be written again and again.
        "CrashLoopBackOff" => Some(match last_words(container) {
            Some(words) => format!("{reason}: {words}"),
            None => reason.to_owned(),
        }),
        _ if message.is_empty() => Some(reason.to_owned()),
        _ => Some(format!("{reason}: {message}")),
    }
}
