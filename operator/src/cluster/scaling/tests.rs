use MemberState::{Blank, Joining, Leaving, Left, Member};

use super::*;

#[expect(
    clippy::unnecessary_wraps,
    reason = "an answer, where there may be none"
)]
fn node(state: MemberState, members: &[(&str, MemberState)]) -> Option<NodeDetails> {
    Some(NodeDetails {
        state,
        ready: state == Member,
        members: members
            .iter()
            .map(|(name, state)| NodeMember {
                name: (*name).to_owned(),
                state: *state,
                incarnation: format!("{name}'s"),
                ..NodeMember::default()
            })
            .collect(),
        ..NodeDetails::default()
    })
}

fn plan_of(wanted: i32, current: Option<i32>, nodes: &[Option<NodeDetails>]) -> ScalePlan {
    plan_with(wanted, current, nodes, nodes.len())
}

fn plan_with(
    wanted: i32,
    current: Option<i32>,
    nodes: &[Option<NodeDetails>],
    pods: usize,
) -> ScalePlan {
    plan(&Situation {
        name: "prod",
        namespace: "shop",
        given_up: None,
        wanted,
        current,
        nodes,
        pods: &(0..pods).collect(),
        volumes: &BTreeSet::new(),
        ending: &BTreeSet::new(),
        starting: &BTreeSet::new(),
        marks: None,
    })
}

#[test]
fn a_new_cluster_gets_all_its_nodes_at_once() {
    assert_eq!(plan_of(3, None, &[]).replicas, 3);
}

#[test]
fn scaling_up_waits_for_whoever_is_joining() {
    let nodes = [node(Member, &[]), node(Joining, &[])];
    assert_eq!(plan_of(3, Some(2), &nodes).replicas, 2);
    let nodes = [node(Member, &[]), node(Member, &[])];
    assert_eq!(plan_of(3, Some(2), &nodes).replicas, 3);
}

#[test]
fn a_node_is_asked_to_leave_waited_for_taken_away_and_then_forgotten() {
    let knows = |state| node(Member, &[("prod-2", state)]);
    let asked = plan_of(
        2,
        Some(3),
        &[knows(Member), knows(Member), node(Member, &[])],
    );
    assert_eq!(
        (asked.replicas, asked.steps),
        (3, vec![ScaleStep::Leave(2)])
    );
    let waited = plan_of(2, Some(3), &[knows(Leaving), None, node(Leaving, &[])]);
    assert_eq!((waited.replicas, waited.steps), (3, vec![]));
    let gone = plan_of(2, Some(3), &[knows(Left), None, node(Left, &[])]);
    assert_eq!((gone.replicas, gone.steps), (2, vec![]));
    let ends = plan_with(2, Some(2), &[knows(Left), None], 3);
    assert_eq!(ends.steps, [], "it would see its removal and join again");
    let forgotten = plan_of(2, Some(2), &[knows(Left), None]);
    assert_eq!(
        forgotten.steps,
        [ScaleStep::Remove {
            by: 0,
            name: "prod-2".into(),
            incarnation: "prod-2's".into()
        }]
    );
}

#[test]
fn only_one_node_goes_at_a_time() {
    let nodes = [
        node(Member, &[]),
        node(Member, &[]),
        node(Left, &[]),
        node(Left, &[]),
    ];
    assert_eq!(plan_of(1, Some(4), &nodes).replicas, 3);
}

#[test]
fn a_dead_member_stops_it_and_the_message_names_the_way_out() {
    let nodes = [node(Member, &[("prod-1", Member)]), None];
    let plan = plan_of(1, Some(2), &nodes);
    assert_eq!(plan.replicas, 2);
    let message = plan.blocked.unwrap();
    assert!(
        message.contains(
            "kubectl exec prod-0 -n shop -c node -- osc-node members remove prod-1 --incarnation prod-1's --force"
        ),
        "{message}"
    );
}

#[test]
fn a_member_that_went_away_without_leaving_is_told_of() {
    let nodes = [node(Member, &[("prod-1", Member)])];
    let plan = plan_of(1, Some(1), &nodes);
    assert_eq!((plan.replicas, plan.steps), (1, vec![]));
    let message = plan.blocked.unwrap();
    assert!(message.contains("has no pod"), "{message}");
    assert_eq!(plan_with(1, Some(1), &nodes, 2).blocked, None, "it ends");
}

#[test]
fn a_pod_that_never_belonged_is_simply_taken_away() {
    let nodes = [node(Member, &[]), None];
    assert_eq!(plan_of(1, Some(2), &nodes).replicas, 1);
}

#[test]
fn a_node_that_starts_leaves_before_its_volume_goes_with_it() {
    let planned = |starting: &[usize]| {
        plan(&Situation {
            name: "prod",
            namespace: "shop",
            given_up: None,
            wanted: 1,
            current: Some(2),
            nodes: &[node(Member, &[]), None],
            pods: &(0..2).collect(),
            volumes: &(0..2).collect(),
            ending: &BTreeSet::new(),
            starting: &starting.iter().copied().collect(),
            marks: None,
        })
    };
    let waits = planned(&[1]);
    assert_eq!((waits.replicas, waits.steps), (2, vec![]));
    let told = waits.blocked.unwrap();
    assert!(told.contains("prod-1") && told.contains("Retain"), "{told}");
    assert_eq!(
        planned(&[]).replicas,
        1,
        "its volume stays, or no machine has it"
    );
}

#[test]
fn a_node_that_may_join_at_any_moment_joins_first_and_leaves_then() {
    let plan = plan_of(1, Some(2), &[node(Member, &[]), node(Blank, &[])]);
    assert_eq!((plan.replicas, plan.steps), (2, vec![]));
    assert!(plan.blocked.unwrap().contains("delete its pod"));
    let knows = node(Member, &[("prod-1", Joining)]);
    let plan = plan_of(1, Some(2), &[knows, node(Joining, &[])]);
    assert_eq!(plan.steps, [ScaleStep::Leave(1)]);
}

#[test]
fn while_no_node_serves_none_is_taken_away() {
    let plan = plan_of(1, Some(2), &[None, None]);
    assert_eq!(plan.replicas, 2);
    assert!(plan.blocked.unwrap().contains("what prod-1 holds"));
}

#[test]
fn a_node_that_left_to_be_rebuilt_is_not_let_in_again_on_its_old_volume() {
    let nodes = [node(Member, &[("prod-1", Left)]), node(Left, &[])];
    let plan = plan(&Situation {
        name: "prod",
        namespace: "shop",
        given_up: Some(1),
        wanted: 2,
        current: Some(2),
        nodes: &nodes,
        pods: &(0..2).collect(),
        volumes: &BTreeSet::new(),
        ending: &BTreeSet::new(),
        starting: &BTreeSet::new(),
        marks: None,
    });
    assert_eq!((plan.replicas, plan.steps), (2, vec![]));
}

#[test]
fn a_node_that_has_left_is_not_let_in_again_while_its_pod_ends() {
    let nodes = [node(Member, &[("prod-1", Left)]), node(Left, &[])];
    let steps = |ending: &[usize]| {
        plan(&Situation {
            name: "prod",
            namespace: "shop",
            given_up: None,
            wanted: 2,
            current: Some(2),
            nodes: &nodes,
            pods: &(0..2).collect(),
            volumes: &BTreeSet::new(),
            ending: &ending.iter().copied().collect(),
            starting: &BTreeSet::new(),
            marks: None,
        })
        .steps
    };
    assert_eq!(steps(&[1]), [], "its volume may go with the pod");
    assert_eq!(steps(&[]).len(), 1);
}

#[test]
fn a_node_that_left_unheard_is_not_taken_away() {
    let left = || node(Left, &[]);
    let replicas = |other| plan_of(1, Some(2), &[other, left()]).replicas;
    assert_eq!(replicas(None), 2, "no other node serves");
    assert_eq!(replicas(node(Member, &[("prod-1", Leaving)])), 2);
    assert_eq!(replicas(node(Member, &[("prod-1", Left)])), 1);
}

#[test]
fn a_node_that_has_left_and_is_wanted_again_is_removed_so_that_it_joins_anew() {
    let nodes = [node(Member, &[("prod-1", Left)]), node(Left, &[])];
    let plan = plan_of(2, Some(2), &nodes);
    assert_eq!(plan.replicas, 2);
    assert!(matches!(&plan.steps[..], [ScaleStep::Remove { name, .. }] if name == "prod-1"));
}

/// The plan for two nodes where this life of the last one is marked as joining again.
fn marked_plan(wanted: i32, nodes: &[Option<NodeDetails>], life: Option<&str>) -> ScalePlan {
    let mut marks = Marks::default();
    if let Some(life) = life {
        marks.insert("prod-1", life);
    }
    plan(&Situation {
        name: "prod",
        namespace: "shop",
        given_up: None,
        wanted,
        current: Some(2),
        nodes,
        pods: &(0..2).collect(),
        volumes: &BTreeSet::new(),
        ending: &BTreeSet::new(),
        starting: &BTreeSet::new(),
        marks: Some(&marks),
    })
}

fn life(state: MemberState, incarnation: &str) -> Option<NodeDetails> {
    node(state, &[]).map(|node| NodeDetails {
        incarnation: incarnation.to_owned(),
        ..node
    })
}

#[test]
fn who_is_let_in_again_is_not_taken_away_before_it_is_in_whatever_is_asked_for() {
    let knows = |state| node(Member, &[("prod-1", state)]);
    let (old, left) = ("prod-1's", [knows(Left), life(Left, "prod-1's")]);
    // Marked first, and ordered only once the mark can be read.
    let first = marked_plan(2, &left, None);
    assert!(first.marks.has("prod-1", old));
    assert_eq!(first.steps, []);
    // Another operator reads it, whose resource has one node less.
    for wanted in [1, 2] {
        let then = marked_plan(wanted, &left, Some(old));
        assert_eq!((then.replicas, then.steps.len()), (2, 1), "{wanted}");
        assert_eq!(then.marks, first.marks, "{wanted}");
    }
    // Others know it as removed, and no node knows its next life yet.
    for unheard in [None, life(Blank, "next"), life(Left, old)] {
        let nodes = [node(Member, &[]), unheard];
        let plan = marked_plan(1, &nodes, Some(old));
        assert_eq!((plan.replicas, plan.steps), (2, vec![]));
        assert_eq!(plan.blocked.is_some(), nodes[1].is_none());
    }
    // It has joined, and leaves like any other.
    let nodes = [knows(Joining), life(Joining, "next")];
    let plan = marked_plan(1, &nodes, Some(old));
    assert!(plan.marks.is_empty());
    assert_eq!(plan.steps, [ScaleStep::Leave(1)]);
    // No mark lets it in: it goes.
    assert_eq!(marked_plan(1, &left, None).replicas, 1);
}

#[test]
fn a_node_that_joined_while_it_was_taken_away_comes_back_and_leaves() {
    let joined = |state| node(Member, &[("prod-2", state)]);
    let planned = |wanted, nodes: &[Option<NodeDetails>], volumes: &[usize]| {
        plan(&Situation {
            name: "prod",
            namespace: "shop",
            given_up: None,
            wanted,
            current: Some(2),
            nodes,
            pods: &(0..2).collect(),
            volumes: &volumes.iter().copied().collect(),
            ending: &BTreeSet::new(),
            starting: &BTreeSet::new(),
            marks: None,
        })
    };
    let all = [joined(Member), joined(Member)];
    for wanted in [1, 2] {
        let back = planned(wanted, &all, &[0, 1, 2]);
        assert_eq!((back.replicas, back.steps, back.blocked), (3, vec![], None));
    }
    let again = [joined(Member), joined(Member), node(Member, &[])];
    let leaves = plan_of(2, Some(3), &again);
    assert_eq!(leaves.steps, [ScaleStep::Leave(2)]);

    // Its volume is gone, or one node has heard that it left.
    assert_eq!(planned(2, &all, &[0, 1]).replicas, 2);
    for one in [joined(Left), node(Member, &[]), None] {
        let nodes = [joined(Member), one];
        assert_eq!(planned(2, &nodes, &[0, 1, 2]).replicas, 2);
    }
}
