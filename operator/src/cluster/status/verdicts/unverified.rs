//! Pods at whose address another program than a node of this cluster answers.

use super::{Truth, Verdict, authority, verdict};
use crate::{cluster::status::Observation, node::Unverified};

/// The reason where that is so.
pub(in crate::cluster) const NOT_VERIFIED: &str = "NodeNotVerified";

/// The pods with what answers at their address, and the step; `None` where all that answer are nodes of this cluster.
pub(super) fn message(seen: &Observation<'_>) -> Option<String> {
    let (first, _) = seen.tls.unverified.first()?;
    let found = seen.tls.unverified.iter();
    let found: Vec<_> = found
        .map(|(pod, why)| format!("what answers at the address of {pod} {why}"))
        .collect();
    let namespace = &seen.cluster.namespace;
    let refuses = |(_, why): &(String, Unverified)| *why == Unverified::EndsHandshake;
    if authority::explains_refusals(seen) {
        return Some(format!(
            "{}: it does not accept the operator's certificate, and does not show that it has the cluster's newest authority. A node takes that up within \
             a few minutes; if this stays, replace the pod, which reads it when it starts: `kubectl delete pod {first} -n {namespace} --wait=false`",
            found.join(", ")
        ));
    }
    if seen.tls.unverified.iter().all(refuses) {
        return Some(format!(
            "{}: it does not accept the operator's certificate, or has none itself. A node takes up a renewed certificate within a few minutes; if this \
             stays, see what its log says of the operator (`kubectl logs {first} -n {namespace} -c node`)",
            found.join(", ")
        ));
    }
    let step = see_and_replace(first, namespace);
    let is_another = |(_, why): &(String, Unverified)| matches!(why, Unverified::OtherNode(_));
    if seen.tls.unverified.iter().all(is_another) {
        return Some(format!(
            "{}; the operator counts it as no node, and gives it no order. That passes within a few minutes where an address went from one pod to another; if it \
             stays, {step}",
            found.join(", ")
        ));
    }
    Some(format!(
        "{}; the operator shows no key to what it cannot verify, and counts it as no node. A node takes up a renewed certificate within a few \
         minutes; if this stays, {step}",
        found.join(", ")
    ))
}

/// The last step with a pod at whose address something else answers.
fn see_and_replace(pod: &str, namespace: &str) -> String {
    format!(
        "see what runs there (`kubectl logs {pod} -n {namespace} -c node`), and replace the pod: `kubectl delete pod {pod} -n {namespace} \
         --wait=false`"
    )
}

/// This condition, where there is such a pod.
pub(super) fn condition(
    seen: &Observation<'_>,
    type_: &'static str,
    holds: Truth,
) -> Option<Verdict> {
    Some(verdict(type_, holds, NOT_VERIFIED, message(seen)?))
}
