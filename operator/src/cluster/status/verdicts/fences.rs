//! Nodes that serve reads, and that no node relies on until a user decides.

use kube::ResourceExt;

use super::{Verdict, leaving::stays, verdict};
use crate::{
    cluster::{recovery, status::Observation},
    node::{FenceReason, MemberState},
};

/// `Ready` of a cluster with such a node; `None` where there is none.
pub(super) fn suspended(seen: &Observation<'_>, wanted: usize) -> Option<Verdict> {
    let staying = seen
        .pods
        .iter()
        .filter(|(pod, _)| stays(&pod.name_any(), wanted));
    let (pod, reason) = staying
        .filter_map(|(pod, details)| Some((pod, details.as_ref()?)))
        .filter(|(_, details)| details.state == MemberState::Member)
        .find_map(|(pod, details)| Some((pod.name_any(), details.fenced?)))?;
    let namespace = &seen.cluster.namespace;
    let step = match reason {
        FenceReason::BelowPurgeMark => format!(
            "it missed deletes that are purged elsewhere. Start a member that has them; where none is left, let it go on with what it has, also \
             with entries that were deleted (--dry-run lists them first): `kubectl exec {pod} -n {namespace} -c node -- osc-node unfence`"
        ),
        _ => format!(
            "its volume is of an earlier day than what others know of it. Start a member that has the later entries; where none is left, keep \
             what this one holds: `{}`",
            recovery::backup(seen.cluster, &pod)
        ),
    };
    let message = format!("{pod} serves reads and takes no writes: {step}");
    Some(verdict("Ready", false, "NodeSuspended", message))
}
