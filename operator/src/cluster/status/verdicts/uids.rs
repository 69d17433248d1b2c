//! Nodes of one resource that belong to different clusters: a volume came back from before the cluster was bootstrapped anew.

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::{
    Verdict,
    leaving::{ordinal, stays},
    verdict,
};
use crate::cluster::{recovery, status::Observation, volumes};

const DIFFERENT_CLUSTER_UID: &str = "DifferentClusterUid";

/// A condition of this type that reports it; `None` where all answering nodes belong to the same cluster, or to none yet.
pub(super) fn differ(
    seen: &Observation<'_>,
    wanted: usize,
    type_: &'static str,
) -> Option<Verdict> {
    let mut clusters = BTreeMap::<&str, Vec<String>>::new();
    for (pod, details) in seen.pods {
        let uid = details
            .as_ref()
            .and_then(|node| node.cluster_uid.as_deref());
        if let Some(uid) = uid.filter(|_| stays(&pod.name_any(), wanted)) {
            clusters.entry(uid).or_default().push(pod.name_any());
        }
    }
    let most = clusters.values().map(Vec::len).max()?;
    let (largest, smaller): (Vec<_>, Vec<_>) =
        clusters.values().partition(|nodes| nodes.len() == most);
    let step = match (largest.as_slice(), smaller.as_slice()) {
        ([_], []) => return None,
        ([these], others) => give_up(
            seen,
            these,
            &others.iter().copied().flatten().collect::<Vec<_>>(),
        ),
        (_, _) => {
            let ways = largest.iter().map(|these| {
                let others = clusters.values().filter(|nodes| nodes != these);
                let others: Vec<_> = others.flatten().collect();
                let step = give_up(seen, these, &others);
                format!("To go on with {}: {step}", these.join(" and "))
            });
            format!(
                "Decide which of them it is. {}",
                ways.collect::<Vec<_>>().join(". ")
            )
        }
    };
    let told = clusters
        .iter()
        .map(|(uid, nodes)| format!("{} to cluster {uid}", nodes.join(" and ")));
    let told = told.collect::<Vec<_>>().join(", ");
    let message = format!(
        "nodes belong to different clusters ({told}): a volume is from before this cluster was bootstrapped anew. They share nothing, and clients \
         reach the one or the other. {step}"
    );
    Some(verdict(type_, false, DIFFERENT_CLUSTER_UID, message))
}

/// The steps by which some nodes go on, and the others join them.
fn give_up(seen: &Observation<'_>, these: &[String], others: &[&String]) -> String {
    let (cluster, namespace) = (seen.cluster, &seen.cluster.namespace);
    let backups = others.iter().map(|pod| recovery::backup(cluster, pod));
    let backups = backups.collect::<Vec<_>>().join(" && ");
    let ordinals: Vec<_> = others.iter().filter_map(|pod| ordinal(pod)).collect();
    let renewal = volumes::renewal(cluster, &ordinals);
    let into = these.first().map(String::as_str).unwrap_or_default();
    let imports = others.iter().map(|pod| {
        format!(
            "`kubectl exec -i {into} -n {namespace} -c node -- osc-node import --from - < {pod}.db`"
        )
    });
    let imports = imports.collect::<Vec<_>>().join(", ");
    format!(
        "Keep what {} holds: `{backups}`, then give up its volume: `{renewal}`. What only it had comes back with {imports}",
        others
            .iter()
            .map(|pod| pod.as_str())
            .collect::<Vec<_>>()
            .join(" and ")
    )
}
