//! Nodes of one resource that belong to different clusters: a volume came back from before the cluster was bootstrapped anew.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

use super::{
    Verdict,
    leaving::{ALL, ordinal, stays},
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
    if clusters.len() < 2 {
        return None;
    }
    let silent = silent(seen, wanted, clusters.values().flatten());
    let most = clusters.values().map(Vec::len).max()?;
    // Nodes that have not answered may belong to any of them.
    let perhaps_largest = clusters
        .values()
        .filter(|nodes| nodes.len() + silent.len() >= most);
    let ways = perhaps_largest.map(|these| {
        let others = clusters.values().filter(|nodes| *nodes != these);
        (
            these,
            give_up(seen, these, &others.flatten().collect::<Vec<_>>()),
        )
    });
    let ways: Vec<_> = ways.collect();
    let step = match ways.as_slice() {
        [(_, step)] => step.clone(),
        ways => {
            let wait = match silent.as_slice() {
                [] => String::new(),
                [node] => format!(
                    "{node} has not told yet to which it belongs: wait for it if it can come back. "
                ),
                nodes => format!(
                    "{} have not told yet to which they belong: wait for them if they can come back. ",
                    nodes.join(" and ")
                ),
            };
            let ways = ways
                .iter()
                .map(|(these, step)| format!("To go on with {}: {step}", these.join(" and ")));
            format!(
                "{wait}Decide which of them it is. {}",
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

/// The wanted nodes that are none of these. Nodes without a StatefulSet have no names before they answer.
fn silent<'a>(
    seen: &Observation<'_>,
    wanted: usize,
    told: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    if wanted == ALL {
        return Vec::new();
    }
    let told: BTreeSet<_> = told.collect();
    (0..wanted)
        .map(|ordinal| format!("{}-{ordinal}", seen.cluster.name))
        .filter(|name| !told.contains(name))
        .collect()
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
