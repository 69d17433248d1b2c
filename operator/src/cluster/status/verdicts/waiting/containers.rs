//! Why the containers of a pod do not run, as far as Kubernetes and their messages show it.

use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;

use crate::names::{MIGRATION_CONTAINER, NODE_CONTAINER};

/// The beginning of a node's error where it cannot start.
const COMPLAINT: &str = "osc-node: ";
/// The first states of every pod: nothing is wrong.
const UNDER_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// Longest complaint that is shown, in characters.
const LONGEST: usize = 300;
/// Kubernetes' word for a container that took more memory than its limit.
const OUT_OF_MEMORY: &str = "OOMKilled";

/// Why the first faulty container waits; containers that run before the node come first.
pub(super) fn reason(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let first = status.init_container_statuses.iter().flatten();
    let others = status.container_statuses.iter().flatten();
    let said = first
        .map(|container| ("init container ", container))
        .chain(others.map(|container| ("container ", container)))
        .find_map(|(kind, container)| {
            let said = waits(pod, container)?;
            Some(if container.name == NODE_CONTAINER {
                said
            } else {
                format!("{kind}{}: {said}", container.name)
            })
        })?;
    Some(format!("pod {}: {said}", pod.name_any()))
}

fn waits(pod: &Pod, container: &ContainerStatus) -> Option<String> {
    if is_out_of_memory(container) {
        return Some(format!(
            "{} is too small: {OUT_OF_MEMORY}",
            memory_limit(pod, &container.name)
        ));
    }
    let state = container.state.as_ref()?;
    // Its next try may wait for the database.
    if container.name == MIGRATION_CONTAINER && state.running.is_some() {
        return words_before(container).map(|words| format!("runs again after: {words}"));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    match reason {
        _ if UNDER_WAY.contains(&reason) => None,
        _ if reason.contains("Image") => Some(format!("{reason} of image {}", container.image)),
        // Its message counts seconds: a status that changes with it would be written again and again.
        "CrashLoopBackOff" => Some(match words_before(container) {
            Some(words) => format!("{reason}: {words}"),
            None => reason.to_owned(),
        }),
        _ if message.is_empty() => Some(reason.to_owned()),
        _ => Some(format!("{reason}: {message}")),
    }
}

/// Whether it ended for lack of memory and does not serve since.
fn is_out_of_memory(container: &ContainerStatus) -> bool {
    let ended = |state: Option<&ContainerStateTerminated>| {
        state.is_some_and(|ended| ended.reason.as_deref() == Some(OUT_OF_MEMORY))
    };
    let now = container.state.as_ref();
    let before = container.last_state.as_ref();
    !container.ready
        && (ended(now.and_then(|state| state.terminated.as_ref()))
            || now.is_none_or(|state| state.terminated.is_none())
                && ended(before.and_then(|state| state.terminated.as_ref())))
}

fn memory_limit(pod: &Pod, name: &str) -> String {
    let limit = |container: &Container| {
        let limits = container.resources.as_ref()?.limits.as_ref()?;
        limits.get("memory").map(|limit| limit.0.clone())
    };
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| {
        let first = spec.init_containers.iter().flatten();
        first.chain(&spec.containers)
    });
    let limit = containers
        .filter(|container| container.name == name)
        .find_map(limit);
    match limit {
        Some(limit) => format!("memory limit of {limit}"),
        None => "memory of its machine".to_owned(),
    }
}

fn words_before(container: &ContainerStatus) -> Option<String> {
    last_words(container.last_state.as_ref()?.terminated.as_ref()?)
}

/// The error with which a node ended, in one line; its log lines carry times and are left out.
pub(in crate::cluster) fn last_words(ended: &ContainerStateTerminated) -> Option<String> {
    let said = ended.message.as_deref()?;
    let begin = said
        .rfind(&format!("\n{COMPLAINT}"))
        .map_or(0, |end| end + 1);
    let complaint = said.get(begin..)?.strip_prefix(COMPLAINT)?;
    let lines = complaint
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('{'));
    let line = lines.collect::<Vec<_>>().join(" ");
    let cut = line.char_indices().nth(LONGEST);
    let cut = cut.and_then(|(end, _)| line.get(..end));
    let shown = cut
        .unwrap_or(&line)
        .trim_end_matches([' ', ':', ';', ',', '.']);
    let dots = if cut.is_some() { "..." } else { "" };
    (!shown.is_empty()).then(|| format!("{shown}{dots}"))
}
