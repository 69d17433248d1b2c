//! The verdicts on a cluster that sleeps, or is paused.

use super::{Truth, Verdict, verdict};
use crate::cluster::{
    hibernation::Rest,
    observe,
    rebuild::RebuildPlan,
    status::{self, Observation},
};

/// The reason while nodes fall asleep.
pub(super) const HIBERNATING: &str = "Hibernating";
/// The reason while they come back.
pub(super) const WAKING: &str = "Waking";
/// The reason while a node is rebuilt.
pub(super) const REBUILDING: &str = "Rebuilding";
/// The reason while they sleep.
pub(super) const HIBERNATED: &str = "Hibernated";

/// `Ready`, and `Reconciling` until then, of nodes that sleep or fall asleep.
pub(super) fn resting(seen: &Observation<'_>) -> Option<Vec<Verdict>> {
    let message = match seen.course.rest {
        Rest::Awake | Rest::Waking { .. } => return None,
        Rest::Holding { .. } => {
            "nodes stop once Kubernetes has heard that their volumes are kept".to_owned()
        }
        Rest::Asleep { .. } if !seen.pods.is_empty() => match seen.pods.len() {
            1 => "1 node stops; its volume is kept".to_owned(),
            count => format!("{count} nodes stop; their volumes are kept"),
        },
        Rest::Asleep { nodes } => {
            let kept = match nodes {
                1 => "the volume of its node is".to_owned(),
                nodes => format!("the volumes of its {nodes} nodes are"),
            };
            let message = format!(
                "no node runs, and {kept} kept, with salt and keys; set hibernate to false to wake the cluster"
            );
            return Some(vec![verdict("Ready", true, HIBERNATED, message)]);
        }
    };
    Some(vec![
        verdict("Ready", false, HIBERNATING, message.clone()),
        verdict("Reconciling", true, HIBERNATING, message),
    ])
}

/// The reasons of `Ready` and `Reconciling` while nodes start.
pub(super) fn reasons(seen: &Observation<'_>) -> (&'static str, &'static str) {
    match seen.course.rest {
        Rest::Waking { .. } => (WAKING, WAKING),
        Rest::Awake if is_rebuilding(seen) => (REBUILDING, REBUILDING),
        Rest::Awake | Rest::Holding { .. } | Rest::Asleep { .. } => {
            ("NodesNotReady", "NodesStarting")
        }
    }
}

/// No node can be asked, as intended.
pub(super) fn asleep(seen: &Observation<'_>, ready: usize, verdicts: &mut [Verdict]) {
    if !matches!(seen.course.rest, Rest::Asleep { .. }) || ready > 0 {
        return;
    }
    let told = verdicts.iter_mut().filter_map(|told| {
        let holds = match told.type_ {
            "Available" => Truth::False,
            "SaltMatches" | "Replicated" | "DatabaseReachable" => Truth::Unknown,
            "TlsReady" if told.holds == Truth::Unknown => Truth::Unknown,
            _ => return None,
        };
        Some((told, holds))
    });
    for (told, holds) in told {
        let message = "no node runs: hibernate is true";
        *told = verdict(told.type_, holds, HIBERNATED, message);
    }
}

/// `Paused`, which is there only while it is true.
pub(super) fn paused(seen: &Observation<'_>) -> Option<Verdict> {
    let pause = seen.course.pause?;
    Some(verdict("Paused", true, "Paused", pause.message()))
}

/// Whether one node is rebuilt and all others serve.
fn is_rebuilding(seen: &Observation<'_>) -> bool {
    let rebuilt = match seen.rebuild {
        RebuildPlan::Leave { ordinal }
        | RebuildPlan::Leaving { ordinal }
        | RebuildPlan::GiveUp { ordinal, .. }
        | RebuildPlan::Joining { ordinal } => *ordinal,
        RebuildPlan::Finished | RebuildPlan::Blocked(_) => return false,
    };
    let wanted = usize::try_from(seen.cluster.spec.replicas).unwrap_or_default();
    let serves = |ordinal: usize| {
        let mut pods = seen.pods.iter().map(|(pod, _)| pod);
        pods.any(|pod| observe::ordinal(pod) == Some(ordinal) && status::is_ready(pod))
    };
    (0..wanted).all(|ordinal| ordinal == rebuilt || serves(ordinal))
}
