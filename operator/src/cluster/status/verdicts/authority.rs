//! An authority of the user's own that is refused, and one that has not reached a node yet.

use super::{Truth, Verdict, unverified::NOT_VERIFIED, verdict};
use crate::{
    cluster::{secrets::ManagedSecret, status::Observation},
    names::ANNOTATION_AUTHORITY_REFUSED,
    node::Unverified,
};

/// The reason while the operator's authority stands in the place of a refused one.
pub(in crate::cluster) const AUTHORITY_REFUSED: &str = "AuthorityRefused";

/// Whether all that refuse the operator are nodes to which another authority is being given. Where the key of the authority before
/// is lost, the operator's certificate is of the newest, which such a node does not accept yet.
pub(super) fn explains_refusals(seen: &Observation<'_>) -> bool {
    let Some(waiting) = seen.tls.waiting else {
        return false;
    };
    let mut found = seen.tls.unverified.iter();
    found.all(|(pod, why)| *why == Unverified::EndsHandshake && waiting.nodes.contains(pod))
}

/// `TlsReady` of a cluster whose user's authority is refused: a fault that keeps nodes or clients apart is its reason, otherwise the
/// refusal. Either message has both.
pub(super) fn with_refusal(seen: &Observation<'_>, told: Verdict) -> Verdict {
    let Some(why) = seen.tls.authority_refused else {
        return told;
    };
    let secret = ManagedSecret::NodeAuthority.name(&seen.cluster.name);
    let refused = format!(
        "the authority that was put into Secret {secret} is refused: {why}. The operator made another one in its place. Put a usable one there, as \
         docs/tls.md says, or keep the operator's: `kubectl annotate secret {secret} -n {} {ANNOTATION_AUTHORITY_REFUSED}-`",
        seen.cluster.namespace
    );
    let follows = told.reason == NOT_VERIFIED && explains_refusals(seen);
    let is_graver = told.holds == Truth::False && told.reason != "Disabled" && !follows;
    let (reason, first, second) = if is_graver {
        (told.reason, told.message, refused)
    } else {
        (AUTHORITY_REFUSED, refused, told.message)
    };
    verdict(
        "TlsReady",
        false,
        reason,
        format!("{first}; beside that: {second}"),
    )
}
