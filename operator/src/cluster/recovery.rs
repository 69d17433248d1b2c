//! Clusters that none of their nodes can bring back: the order for each node, or the data to keep of it. Pure.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::{observe, stalled::Stalled, validate::ValidatedCluster, volumes};
use crate::node::{FenceReason, MemberState, NodeDetails};

/// The reason where no node can load a snapshot of another.
pub(super) const ALL_NODES_FENCED: &str = "AllNodesFenced";

/// A report that all nodes answer, and each must load a snapshot that none can give; `None` where that is not the case.
pub(super) fn all_fenced(
    cluster: &ValidatedCluster,
    pods: &[(Pod, Option<NodeDetails>)],
) -> Option<Stalled> {
    let wanted = usize::try_from(cluster.spec.replicas).unwrap_or_default();
    let nodes: Vec<_> = pods
        .iter()
        .filter(|(pod, _)| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|(pod, details)| Some((observe::ordinal(pod)?, pod, details.as_ref()?)))
        .filter(|(ordinal, ..)| *ordinal < wanted)
        .collect();
    let is_fenced = |details: &NodeDetails| details.state == MemberState::Fenced;
    let needs = |details: &NodeDetails| is_fenced(details) || details.state == MemberState::Blank;
    let fenced: Vec<_> = nodes
        .iter()
        .filter(|(.., details)| is_fenced(details))
        .collect();
    let all = nodes.len() == wanted && nodes.iter().all(|(.., details)| needs(details));
    if !all || fenced.is_empty() {
        return None;
    }
    let namespace = &cluster.namespace;
    let why = fenced.iter().map(|(_, pod, details)| {
        let why = details.reasons.join("; ");
        let why = why.split("; it joins anew").next().unwrap_or_default();
        format!("{}: {why}", pod.name_any())
    });
    let why = why.collect::<Vec<_>>().join(", ");
    let forgivable = fenced
        .iter()
        .filter(|(.., details)| details.fenced == Some(FenceReason::BelowPurgeMark))
        .max_by_key(|(.., details)| details.entries);
    let step = if let Some((_, pod, _)) = forgivable {
        let pod = pod.name_any();
        format!(
            "Let the one that has most go on with what it has, also with entries that were deleted (--dry-run lists them first), and the others \
             join it: `kubectl exec {pod} -n {namespace} -c node -- osc-node unfence`"
        )
    } else {
        let backups = fenced.iter().map(|(_, pod, _)| {
            let pod = pod.name_any();
            backup(cluster, &pod)
        });
        let backups = backups.collect::<Vec<_>>().join(" && ");
        let ordinals: Vec<_> = nodes.iter().map(|(ordinal, ..)| *ordinal).collect();
        let renewal = volumes::renewal(cluster, &ordinals);
        format!(
            "Keep what they hold: `{backups}`. Then give their volumes up: `{renewal}`. This condition then says how the cluster begins anew and \
             takes those entries in"
        )
    };
    Some(Stalled {
        reason: ALL_NODES_FENCED,
        message: format!(
            "all nodes answer, and each waits for another one to give it what it has ({why}). {step}"
        ),
    })
}

/// The command that copies the rows of a node.
pub(super) fn backup(cluster: &ValidatedCluster, pod: &str) -> String {
    let namespace = &cluster.namespace;
    format!("kubectl exec {pod} -n {namespace} -c node -- osc-node backup --output - > {pod}.db")
}

/// How a cluster begins anew, and imports the entries of backups.
pub(super) fn begin_anew(cluster: &ValidatedCluster, secret: &str, annotation: &str) -> String {
    let ValidatedCluster {
        name, namespace, ..
    } = cluster;
    format!(
        "Let a node bootstrap it anew: `kubectl annotate secret {secret} -n {namespace} {annotation}-`. Once it is Ready, bring the entries of each \
         backup in: `kubectl exec -i {name}-0 -n {namespace} -c node -- osc-node import --from - < backup.db`"
    )
}

#[cfg(test)]
mod tests {
    use MemberState::{Blank, Fenced, Member};

    use super::*;
    use crate::cluster::{resource::prod, validate::validate};

    fn stalled(nodes: &[(MemberState, Option<FenceReason>, u64)]) -> Option<Stalled> {
        let mut cluster = prod("{replicas: 2}");
        cluster.metadata.namespace = Some("shop".to_owned());
        let cluster = validate(&cluster, "node:1").unwrap();
        let pods: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(ordinal, (state, fenced, entries))| {
                let mut pod = Pod::default();
                pod.metadata.name = Some(format!("prod-{ordinal}"));
                let details = NodeDetails {
                    state: *state,
                    fenced: *fenced,
                    entries: *entries,
                    reasons: vec![
                        "it is fenced: it was removed from the cluster; it joins anew".to_owned(),
                    ],
                    ..NodeDetails::default()
                };
                (pod, Some(details))
            })
            .collect();
        all_fenced(&cluster, &pods)
    }

    #[test]
    fn where_deletes_were_missed_the_fullest_node_goes_on() {
        let purged = Some(FenceReason::BelowPurgeMark);
        let told = stalled(&[(Fenced, purged, 1), (Fenced, purged, 2)]).unwrap();
        let command = "`kubectl exec prod-1 -n shop -c node -- osc-node unfence`";
        assert!(told.message.ends_with(command), "{}", told.message);
        assert!(
            told.message
                .contains("prod-0: it is fenced: it was removed from the cluster, prod-1"),
            "{}",
            told.message
        );
    }

    #[test]
    fn otherwise_all_of_them_are_copied_before_their_volumes_go() {
        let other = Some(FenceReason::RolledBack);
        let told = stalled(&[(Fenced, other, 1), (Blank, None, 0)]).unwrap();
        let copy = told
            .message
            .find("osc-node backup --output - > prod-0.db")
            .unwrap();
        let renewal = "kubectl delete pvc data-prod-0 data-prod-1 -n shop --wait=false && kubectl delete pod prod-0 prod-1 -n shop --wait=false";
        assert!(
            copy < told.message.find(renewal).unwrap(),
            "{}",
            told.message
        );
        assert!(!told.message.contains("> prod-1.db"), "it is blank");
    }

    #[test]
    fn one_that_serves_or_does_not_answer_gives_the_others_what_they_need() {
        let other = Some(FenceReason::RolledBack);
        assert_eq!(stalled(&[(Fenced, other, 1), (Member, None, 1)]), None);
        assert_eq!(stalled(&[(Fenced, other, 1)]), None);
        assert_eq!(stalled(&[(Blank, None, 0), (Blank, None, 0)]), None);
    }
}
