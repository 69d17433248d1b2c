//! Pods that are away beside the one to replace.

use serde_json::json;

use super::*;
use crate::cluster::{resource::prod, validate::validate};

fn pod(ordinal: usize, serves: bool) -> (Pod, Option<NodeDetails>) {
    let status = if serves { "True" } else { "False" };
    let pod = json!({
        "metadata": { "name": format!("prod-{ordinal}") },
        "status": { "conditions": [{ "type": "Ready", "status": status }] },
    });
    (serde_json::from_value(pod).unwrap(), None)
}

#[test]
fn a_budget_is_passed_over_only_beside_pods_that_are_to_leave() {
    let wanted = |replicas: i32| validate(&prod(&format!("{{replicas: {replicas}}}")), "node:1");
    let wanted = wanted(2).unwrap();
    let away = |pods: &[(usize, bool)]| {
        let pods: Vec<_> = pods
            .iter()
            .map(|(ordinal, serves)| pod(*ordinal, *serves))
            .collect();
        only_leaving_are_away(&wanted, &pods)
    };
    assert!(away(&[(0, true), (1, true), (2, false)]), "it leaves");
    assert!(away(&[(0, true), (1, true), (2, false), (3, false)]));
    assert!(!away(&[(0, true), (1, true), (2, true)]), "none is away");
    assert!(!away(&[(0, true), (1, false), (2, true)]), "it is to stay");
    assert!(
        !away(&[(0, true), (1, false), (2, false)]),
        "one is to stay"
    );
    assert!(!away(&[]));

    // Its own end is no less an absence.
    let mut ending = pod(1, true);
    let since = json!("2026-01-01T00:00:00Z");
    ending.0.metadata.deletion_timestamp = serde_json::from_value(since).unwrap();
    assert!(!only_leaving_are_away(
        &wanted,
        &[pod(0, true), ending, pod(2, false)]
    ));
    let mut nameless = pod(2, false);
    nameless.0.metadata.name = Some("stranger".to_owned());
    assert!(
        !only_leaving_are_away(&wanted, &[pod(0, true), pod(1, true), nameless]),
        "it may belong to those that stay"
    );
}
