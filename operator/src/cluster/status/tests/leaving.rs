//! Nodes that leave, and those that stay.

use super::*;

#[test]
fn while_nodes_leave_the_others_are_ready() {
    let status = shrinking(2, 4, |leaving| {
        leaving.state = MemberState::Leaving;
        leaving.ready = false;
    });
    assert_eq!(condition(&status, "Ready"), Some(("True", "AllNodesReady")));
    assert_eq!(
        condition(&status, "Replicated"),
        Some(("True", "Replicated"))
    );
    assert_eq!(
        condition(&status, "Reconciling"),
        Some(("True", "NodesLeaving"))
    );
    let told = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Reconciling");
    assert_eq!(told.unwrap().message, "2 nodes are leaving; 2 stay");
    assert_eq!(status.nodes_ready, "2/2");
    assert_eq!(status.ready_replicas, 4);
}

#[test]
fn a_node_that_left_and_is_not_removed_yet_makes_nobody_unready() {
    let left = NodeMember {
        name: "prod-1".into(),
        state: MemberState::Left,
        reachable: false,
        ..NodeMember::default()
    };
    let mut stays = answer("aa", 1);
    stays.as_mut().unwrap().members = vec![left];
    let mut lowered = stateful_set(2, 1);
    lowered.metadata.generation = Some(2);
    lowered.spec = serde_json::from_value(serde_json::json!({
        "replicas": 1, "selector": {}, "template": {},
    }))
    .unwrap();
    let status = status(&cluster(1), &lowered, &[(pod(0, true), stays)]);
    assert_eq!(condition(&status, "Ready"), Some(("True", "AllNodesReady")));
    assert_eq!(
        condition(&status, "Reconciling"),
        Some(("True", "NodesLeaving"))
    );
}

#[test]
fn a_leaving_node_does_not_stand_in_for_one_that_is_to_stay() {
    let pods = [0, 1, 2].map(|ordinal| (pod(ordinal, ordinal != 1), answer("aa", 1)));
    let status = status(&cluster(2), &stateful_set(3, 3), &pods);
    assert_eq!(
        condition(&status, "Ready"),
        Some(("False", "NodesNotReady"))
    );
    assert_eq!(status.nodes_ready, "1/2");
}
