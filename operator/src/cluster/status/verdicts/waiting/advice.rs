//! Remedies for errors of pods, while the operator runs.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::super::{leaving::ordinal, salts};
use crate::cluster::{
    rebuild,
    status::{self, Observation},
    volumes,
};

/// A node's error where the mounted salt is not that of its volume.
const OTHER_SALT: &str = " differs from the salt ";
/// A node's errors where its volume is useless to it.
const USELESS: [&str; 4] = [
    " is damaged (",
    "the database lacks its ",
    "the database belongs to node '",
    "the database belongs to a ",
];
/// The scheduler's message where a volume is on a machine that is not available.
const ELSEWHERE: &str = "volume node affinity conflict";

/// The remedy for a container's message.
pub(super) fn container(seen: &Observation<'_>, pod: &Pod, said: &str) -> Option<String> {
    if said.contains(OTHER_SALT) {
        // A single one among serving nodes is at fault itself; where none serves, it may be the Secret.
        if seen.pods.iter().any(|(_, details)| details.is_some()) {
            let renewal = renewal(seen, pod);
            return Some(format!("to give up what is on that volume: {renewal}"));
        }
        let pods: Vec<_> = seen.pods.iter().map(|(pod, _)| pod.name_any()).collect();
        let put_back = salts::put_back(seen, &pods);
        return Some(format!("if volumes have the right salt: {put_back}"));
    }
    let is_useless = USELESS.iter().any(|words| said.contains(words));
    is_useless.then(|| {
        format!(
            "or have it made anew from the others: {}",
            renewal(seen, pod)
        )
    })
}

/// The scheduler's message, and the remedy.
pub(super) fn unscheduled(seen: &Observation<'_>, pod: &Pod, said: String) -> String {
    if said.contains(ELSEWHERE) {
        return format!(
            "{said} If the machine with its volume is gone for good: {}",
            renewal(seen, pod)
        );
    }
    said
}

/// How to give a volume up: through the resource, where its incarnation is known.
fn renewal(seen: &Observation<'_>, pod: &Pod) -> String {
    let name = pod.name_any();
    let command = match status::incarnation(&name, None, seen.claims) {
        Some(incarnation) => rebuild::command(seen.cluster, &name, &incarnation),
        None => volumes::renewal(seen.cluster, ordinal(&name).as_slice()),
    };
    format!("`{command}`")
}

#[cfg(test)]
mod tests {
    use opensecureconf_node::{crypto::SaltError, store::sqlite::OpenError};

    use super::*;

    #[test]
    fn what_nodes_say_is_recognised() {
        let damaged = OpenError::Damaged {
            path: "db".into(),
            finding: "*** in database main ***".to_owned(),
        };
        let other_name = OpenError::OtherName {
            stored: "prod-1".to_owned(),
            given: "prod-2".to_owned(),
        };
        let incomplete = OpenError::Incomplete("incarnation");
        let other_mode = OpenError::OtherMode(opensecureconf_node::store::sqlite::OtherMode(
            opensecureconf_node::cluster::Mode::Federated,
        ));
        for error in [damaged, other_name, incomplete, other_mode] {
            let said = error.to_string();
            assert!(USELESS.iter().any(|words| said.contains(words)), "{said}");
        }
        let salt = |byte| opensecureconf_node::crypto::Salt::from_bytes(&[byte; 64]).unwrap();
        let differ = SaltError::Differ {
            first_place: "that is mounted",
            first: salt(1).fingerprint(),
            second_place: "in the database",
            second: salt(2).fingerprint(),
        };
        assert!(differ.to_string().contains(OTHER_SALT), "{differ}");
    }
}
