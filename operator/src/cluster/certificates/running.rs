//! Proofs of running nodes about their certificates. Pure.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::{
    names::NODE_CONTAINER,
    node::NodeDetails,
    pki::{Fingerprint, Trust},
};

/// Containers that wait for these reasons have their files already.
const BEGINNING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// The shown and accepted certificates of each node that runs, or is about to. A node that waits for other containers reads its
/// files anew.
pub(in crate::cluster) fn running(pods: &[(Pod, Option<NodeDetails>)]) -> Vec<Trust> {
    pods.iter()
        .filter(|(pod, _)| has_files(pod))
        .map(|(pod, details)| {
            let node = details
                .as_ref()
                .and_then(|details| details.tls.as_ref()?.node.as_ref());
            Trust {
                node: pod.name_any(),
                accepts: node
                    .iter()
                    .flat_map(|node| node.authorities.iter().flatten())
                    .map(|fingerprint| Fingerprint::new(fingerprint))
                    .collect(),
                shows: node
                    .and_then(|node| node.leaf.as_deref())
                    .map(Fingerprint::new),
            }
        })
        .collect()
}

/// Whether a pod's node has read its files, or is about to: it may have their earlier content.
pub(in crate::cluster) fn has_files(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let node = containers
        .into_iter()
        .flatten()
        .find(|container| container.name == NODE_CONTAINER);
    let Some(state) = node.and_then(|container| container.state.as_ref()) else {
        return false;
    };
    let waits = state.waiting.as_ref();
    let begins = waits
        .and_then(|waiting| waiting.reason.as_deref())
        .is_some_and(|reason| BEGINNING.contains(&reason));
    state.running.is_some() || begins
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(state: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "prod-0" },
            "status": { "containerStatuses": [{
                "name": "node", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state,
            }] },
        }))
        .unwrap()
    }

    #[test]
    fn a_node_that_runs_or_begins_counts_and_one_that_waits_does_not() {
        for (state, counts) in [
            (json!({ "running": {} }), true),
            (
                json!({ "waiting": { "reason": "ContainerCreating" } }),
                true,
            ),
            (
                json!({ "waiting": { "reason": "ImagePullBackOff" } }),
                false,
            ),
            (json!({ "terminated": { "exitCode": 1 } }), false),
        ] {
            let pods = [(pod(&state), None)];
            assert_eq!(running(&pods).len(), usize::from(counts), "{state}");
        }
        assert!(
            running(&[(Pod::default(), None)]).is_empty(),
            "not scheduled"
        );
    }

    #[test]
    fn what_runs_beside_a_node_counts_for_nothing() {
        let container = |name: &str, state: serde_json::Value| json!({ "name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state });
        for (node, proxy, counts) in [
            (
                json!({ "running": {} }),
                json!({ "terminated": { "exitCode": 1 } }),
                true,
            ),
            (
                json!({ "terminated": { "exitCode": 1 } }),
                json!({ "running": {} }),
                false,
            ),
            // Containers that run first have begun, and files are mounted before them.
            (
                json!({ "waiting": { "reason": "PodInitializing" } }),
                json!({ "running": {} }),
                true,
            ),
        ] {
            let pod: Pod = serde_json::from_value(json!({
                "metadata": { "name": "prod-0" },
                "status": {
                    "initContainerStatuses": [container("native", json!({ "running": {} }))],
                    "containerStatuses": [container("mesh-proxy", proxy), container("node", node)],
                },
            }))
            .unwrap();
            assert_eq!(has_files(&pod), counts, "{pod:?}");
        }
    }

    #[test]
    fn who_does_not_answer_proves_nothing() {
        let pods = [(pod(&json!({ "running": {} })), Some(NodeDetails::default()))];
        let expected = Trust {
            node: "prod-0".to_owned(),
            ..Trust::default()
        };
        assert_eq!(running(&pods), [expected]);
    }
}
