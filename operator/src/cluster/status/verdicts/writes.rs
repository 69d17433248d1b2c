//! Nodes that serve and accept no writes.

use kube::ResourceExt;
use opensecureconf_contract::status::{WRITES_ACCEPTED, WRITES_NOT_READY};

use super::{Verdict, leaving::stays, verdict};
use crate::cluster::status::Observation;

/// A node's words where it accepts writes, and where it accepts none because it serves no client yet.
const TAKES: [&str; 2] = [WRITES_ACCEPTED, WRITES_NOT_READY];

/// `Ready` of a cluster with such a node; `None` where there is none.
pub(super) fn refused(seen: &Observation<'_>, wanted: usize) -> Option<Verdict> {
    let said: Vec<_> = seen
        .pods
        .iter()
        .filter(|(pod, _)| stays(&pod.name_any(), wanted))
        .filter_map(|(pod, details)| Some((pod.name_any(), details.as_ref()?.writes.as_deref()?)))
        .filter(|(_, writes)| !TAKES.contains(writes))
        .map(|(name, writes)| {
            let why = writes.strip_prefix("refused: ").unwrap_or(writes);
            format!("{name} refuses creates and updates: {why}")
        })
        .collect();
    if said.is_empty() {
        return None;
    }
    let message = format!(
        "{}; reads go on; look at its volume (kubectl get pvc): grow it where its class allows that, or delete entries",
        said.join("; ")
    );
    Some(verdict("Ready", false, "WritesRefused", message))
}
