//! Remedies for nodes with another salt than the Secret.

use super::leaving::ordinal;
use crate::cluster::{
    recovery, resource::MemberStatus, secrets::ManagedSecret, status::Observation, volumes,
};

/// The message about such a node.
pub(super) fn different(
    seen: &Observation<'_>,
    members: &[MemberStatus],
    odd: &MemberStatus,
) -> String {
    let secret = ManagedSecret::Salt.name(&seen.cluster.name);
    let name = &odd.name;
    let mut told = members
        .iter()
        .filter(|member| member.salt_fingerprint.is_some());
    if told.all(|member| member.salt_fingerprint == odd.salt_fingerprint) {
        let put_back = put_back(seen, &[]);
        return format!(
            "{name} has another salt than Secret {secret}, and so has every node that answers. If theirs is the right one: {put_back}"
        );
    }
    let renewal = volumes::renewal(seen.cluster, ordinal(name).as_slice());
    let backup = recovery::backup(seen.cluster, name);
    format!(
        "{name} has another salt than Secret {secret}: values that it stored open nowhere else; stop writing to it. Keep what it holds: \
         `{backup}`, then give its volume up: `{renewal}`"
    )
}

/// How a user makes the operator use the nodes' salt. Pods that cannot start keep the mounted one until they are made anew.
pub(super) fn put_back(seen: &Observation<'_>, pods: &[String]) -> String {
    let secret = ManagedSecret::Salt.name(&seen.cluster.name);
    let namespace = &seen.cluster.namespace;
    let pods = if pods.is_empty() {
        String::new()
    } else {
        format!(
            " && kubectl delete pod {} -n {namespace} --wait=false",
            pods.join(" ")
        )
    };
    format!(
        "`kubectl get secret {secret} -n {namespace} -o yaml > {secret}.yaml` keeps the other one; then have the operator put theirs back: \
         `kubectl delete secret {secret} -n {namespace} --wait=false{pods}`"
    )
}
