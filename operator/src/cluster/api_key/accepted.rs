//! Proofs of running nodes about the API keys that they accept. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use opensecureconf_contract::key_proof;
use sha2::{Digest, Sha256};

use crate::{
    cluster::certificates::has_files,
    node::{AccessKey, NodeDetails},
};

/// The proofs in the status of one running node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct AcceptedKeys {
    /// Its name.
    pub(in crate::cluster) node: String,
    /// A proof for each key that it accepts; `None` where the status has no proofs.
    pub(in crate::cluster) proofs: Option<BTreeSet<String>>,
}

/// The accepted keys of each node that runs, or is about to. A node that waits for other containers reads its files anew.
pub(in crate::cluster) fn accepted(pods: &[(Pod, Option<NodeDetails>)]) -> Vec<AcceptedKeys> {
    pods.iter()
        .filter(|(pod, _)| has_files(pod))
        .map(|(pod, details)| AcceptedKeys {
            node: pod.name_any(),
            proofs: details
                .as_ref()
                .and_then(|details| details.api_keys.as_ref())
                .map(|proofs| proofs.iter().cloned().collect()),
        })
        .collect()
}

/// The proof that a node shows if it accepts this key.
pub(super) fn proof(cluster_key: &AccessKey, key: &[u8]) -> Option<String> {
    key_proof(&cluster_key.0, &Sha256::digest(key).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_proof_is_what_nodes_show() {
        let cluster_key = AccessKey(b"the cluster key of the tests".to_vec());
        // As the contract's own test has it.
        let shown = proof(&cluster_key, b"the clients' key");
        assert_eq!(shown.as_deref(), Some("2c89f027a3f8d9ab"));
    }

    #[test]
    fn who_does_not_answer_proves_nothing_and_who_does_not_run_need_not() {
        let pod = |name: &str, state: &serde_json::Value| -> Pod {
            let container = json!({ "name": "node", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state });
            let pod = json!({ "metadata": { "name": name }, "status": { "containerStatuses": [container] } });
            serde_json::from_value(pod).unwrap()
        };
        let runs = json!({ "running": {} });
        let told = NodeDetails {
            api_keys: Some(vec!["b".to_owned(), "a".to_owned()]),
            ..NodeDetails::default()
        };
        let pods = [
            (pod("prod-0", &runs), Some(told)),
            (pod("prod-1", &runs), Some(NodeDetails::default())),
            (pod("prod-2", &runs), None),
            (
                pod(
                    "prod-3",
                    &json!({ "waiting": { "reason": "ImagePullBackOff" } }),
                ),
                None,
            ),
        ];
        let proofs: Vec<_> = accepted(&pods)
            .into_iter()
            .map(|node| (node.node, node.proofs))
            .collect();
        let both = ["a".to_owned(), "b".to_owned()].into();
        assert_eq!(
            proofs,
            [
                ("prod-0".to_owned(), Some(both)),
                ("prod-1".to_owned(), None),
                ("prod-2".to_owned(), None)
            ]
        );
    }
}
