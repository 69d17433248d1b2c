use MemberState::{Fenced, Leaving, Left, Member};

use super::*;

const LIFE: &str = "0123456789abcdef";

fn answer(state: MemberState, incarnation: &str) -> NodeDetails {
    NodeDetails {
        state,
        ready: state == Member,
        incarnation: incarnation.to_owned(),
        ..NodeDetails::default()
    }
}

fn node(ordinal: usize, details: Option<&NodeDetails>) -> NodeSeen<'_> {
    NodeSeen {
        name: format!("prod-{ordinal}"),
        is_ready: details.is_some_and(|details| details.ready),
        has_pod: true,
        details,
        volume: Some(VolumeSeen::default()),
    }
}

/// The volume on which that life was heard of.
fn remembered(node: NodeSeen<'_>) -> NodeSeen<'_> {
    let volume = VolumeSeen {
        incarnation: Some(LIFE),
        is_ending: false,
    };
    NodeSeen {
        volume: Some(volume),
        ..node
    }
}

fn entry(force: bool) -> RebuildMember {
    RebuildMember {
        name: "prod-2".to_owned(),
        incarnation: LIFE.to_owned(),
        force,
    }
}

fn planned(entries: &[RebuildMember], nodes: &[NodeSeen<'_>]) -> RebuildPlan {
    plan(&Situation {
        entries,
        nodes,
        held: None,
        only_node_stays: true,
    })
}

fn give_up() -> RebuildPlan {
    RebuildPlan::GiveUp {
        ordinal: 2,
        incarnation: LIFE.to_owned(),
    }
}

fn reason(plan: &RebuildPlan) -> &'static str {
    match plan {
        RebuildPlan::Blocked(blocked) => blocked.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_leaves_before_its_volume_is_given_up() {
    let other = answer(Member, "other");
    let with = |state: MemberState| {
        let own = answer(state, LIFE);
        let nodes = [
            node(0, Some(&other)),
            node(1, Some(&other)),
            node(2, Some(&own)),
        ];
        planned(&[entry(false)], &nodes)
    };
    assert_eq!(with(Member), RebuildPlan::Leave { ordinal: 2 });
    assert_eq!(with(Leaving), RebuildPlan::Leaving { ordinal: 2 });
    assert_eq!(with(Left), give_up());
    assert_eq!(reason(&with(Fenced)), "NoMember");
}

#[test]
fn a_node_that_left_unheard_keeps_its_volume() {
    let knows = |state: MemberState| NodeDetails {
        members: vec![NodeMember {
            name: "prod-2".to_owned(),
            state,
            ..NodeMember::default()
        }],
        ..answer(Member, "other")
    };
    let with = |state: MemberState| {
        let (other, own) = (knows(state), answer(Left, LIFE));
        let nodes = [
            node(0, Some(&other)),
            node(1, Some(&other)),
            node(2, Some(&own)),
        ];
        planned(&[entry(false)], &nodes)
    };
    assert_eq!(with(Leaving), RebuildPlan::Leaving { ordinal: 2 });
    assert_eq!(with(Left), give_up());
}

#[test]
fn an_entry_that_stays_does_nothing_to_another_life() {
    let other = answer(Member, "other");
    let next = answer(Member, "fedcba9876543210");
    let all = [node(0, Some(&other)), node(1, Some(&other))];
    let with = |last: NodeSeen<'_>, force| {
        let nodes = [all[0].clone(), all[1].clone(), last];
        planned(&[entry(force)], &nodes)
    };
    for force in [false, true] {
        assert_eq!(with(node(2, Some(&next)), force), RebuildPlan::Finished);
        // The node's report counts, not the earlier record.
        let noted = remembered(node(2, Some(&next)));
        assert_eq!(with(noted, force), RebuildPlan::Finished);
        // The next life has not reported yet.
        let joining = RebuildPlan::Joining { ordinal: 2 };
        assert_eq!(with(node(2, None), force), joining);
        let gone = NodeSeen {
            volume: None,
            ..node(2, None)
        };
        assert_eq!(with(gone, force), joining);
    }
}

#[test]
fn a_claim_that_is_deleted_takes_its_pod_along_and_is_then_waited_for() {
    let other = answer(Member, "other");
    let ending = VolumeSeen {
        incarnation: Some(LIFE),
        is_ending: true,
    };
    let with = |has_pod| {
        let last = NodeSeen {
            has_pod,
            volume: Some(ending),
            ..node(2, None)
        };
        let nodes = [node(0, Some(&other)), node(1, Some(&other)), last];
        planned(&[entry(true)], &nodes)
    };
    assert_eq!(with(true), give_up());
    assert_eq!(with(false), RebuildPlan::Joining { ordinal: 2 });
}

#[test]
fn one_that_does_not_answer_is_given_up_by_force_alone() {
    let other = answer(Member, "other");
    let nodes = [
        node(0, Some(&other)),
        node(1, Some(&other)),
        remembered(node(2, None)),
    ];
    let blocked = planned(&[entry(false)], &nodes);
    assert_eq!(reason(&blocked), "DoesNotAnswer");
    assert_eq!(planned(&[entry(true)], &nodes), give_up());
}

#[test]
fn while_another_one_is_down_force_says_so_for_that_case() {
    let (own, other) = (answer(Member, LIFE), answer(Member, "other"));
    let nodes = [node(0, Some(&other)), node(1, None), node(2, Some(&own))];
    let blocked = planned(&[entry(false)], &nodes);
    assert_eq!(reason(&blocked), "NodeDown");
    assert_eq!(planned(&[entry(true)], &nodes), give_up());
}

#[test]
fn what_a_node_holds_that_leaves_is_waited_for() {
    let (mut own, other) = (answer(Leaving, LIFE), answer(Member, "other"));
    own.members = vec![NodeMember {
        name: "prod-1".to_owned(),
        state: Member,
        lag: 7,
        ..NodeMember::default()
    }];
    let nodes = [
        node(0, Some(&other)),
        node(1, Some(&other)),
        node(2, Some(&own)),
    ];
    let RebuildPlan::Blocked(blocked) = planned(&[entry(false)], &nodes) else {
        panic!("it holds what prod-1 lacks");
    };
    let missing = "prod-1 lacks 7 changes of it and is not reached; bring back what is not reached";
    assert_eq!(
        (blocked.reason, blocked.missing.as_str()),
        ("HeadNotHeld", missing)
    );
}

#[test]
fn the_last_one_that_serves_is_never_given_up() {
    let own = answer(Member, LIFE);
    let nodes = [node(0, None), node(1, None), node(2, Some(&own))];
    for force in [false, true] {
        let plan = planned(&[entry(force)], &nodes);
        assert_eq!(reason(&plan), "NoOtherNode", "{force}");
    }
    // No other node serves, and its answer was lost on the way.
    let silent = NodeSeen {
        is_ready: true,
        ..remembered(node(2, None))
    };
    let nodes = [node(0, None), node(1, None), silent];
    assert_eq!(reason(&planned(&[entry(true)], &nodes)), "NoOtherNode");
    // None serves, and its disk is lost as well.
    let down = || remembered(node(2, None));
    let nodes = [node(0, None), remembered(node(1, None)), down()];
    assert_eq!(planned(&[entry(true)], &nodes), give_up());
    assert_eq!(reason(&planned(&[entry(false)], &nodes)), "NoOtherNode");
    // It starts again, and no other volume ever had a life: the others have left, or never came.
    let nodes = [node(0, None), node(1, None), down()];
    assert_eq!(reason(&planned(&[entry(true)], &nodes)), "NoOtherNode");
}

#[test]
fn the_only_node_is_not_given_up_because_it_is_down_for_a_moment() {
    let only = NodeSeen {
        name: "prod-0".to_owned(),
        ..remembered(node(0, None))
    };
    let entry = RebuildMember {
        name: "prod-0".to_owned(),
        ..entry(true)
    };
    assert_eq!(reason(&planned(&[entry], &[only])), "NoOtherNode");
}

#[test]
fn a_node_that_goes_itself_gives_nothing_back() {
    let (other, own) = (answer(Member, "other"), answer(Member, LIFE));
    let with = |first: NodeSeen<'_>| {
        let nodes = [first, node(1, None), node(2, Some(&own))];
        planned(&[entry(true)], &nodes)
    };
    assert_eq!(with(node(0, Some(&other))), give_up());
    let ends = NodeSeen {
        has_pod: false,
        ..node(0, Some(&other))
    };
    assert_eq!(reason(&with(ends)), "NoOtherNode");
    let condemned = VolumeSeen {
        is_ending: true,
        ..VolumeSeen::default()
    };
    let loses_its_disk = NodeSeen {
        volume: Some(condemned),
        ..node(0, Some(&other))
    };
    assert_eq!(reason(&with(loses_its_disk)), "NoOtherNode");
}

#[test]
fn one_after_the_other_in_the_order_of_the_list() {
    let second = RebuildMember {
        name: "prod-1".to_owned(),
        incarnation: "1111111111111111".to_owned(),
        force: false,
    };
    let entries = [entry(false), second];
    let (other, own) = (answer(Member, "other"), answer(Member, LIFE));
    let next = answer(Member, "1111111111111111");
    let nodes = |last| [node(0, Some(&other)), node(1, Some(&next)), last];
    let first = planned(&entries, &nodes(node(2, Some(&own))));
    assert_eq!(first, RebuildPlan::Leave { ordinal: 2 });
    // Its volume is given up, and it does not serve yet.
    let waits = planned(&entries, &nodes(node(2, None)));
    assert_eq!(reason(&waits), "NodeDown");
    let done = answer(Member, "2222222222222222");
    let then = planned(&entries, &nodes(node(2, Some(&done))));
    assert_eq!(then, RebuildPlan::Leave { ordinal: 1 });
}

#[test]
fn a_name_of_no_node_of_the_cluster_is_told_and_one_that_was_scaled_away_is_not() {
    let other = answer(Member, "other");
    let nodes = [node(0, Some(&other)), node(1, Some(&other))];
    assert_eq!(planned(&[entry(true)], &nodes), RebuildPlan::Finished);
    let foreign = RebuildMember {
        name: "shop-2".to_owned(),
        ..entry(true)
    };
    assert_eq!(reason(&planned(&[foreign], &nodes)), "NoSuchNode");
}

#[test]
fn what_is_held_is_told_of_only_while_there_is_something_to_do() {
    let (own, next) = (answer(Member, LIFE), answer(Member, "other"));
    let held = |details: &NodeDetails| {
        let nodes = [
            node(0, Some(&next)),
            node(1, Some(&next)),
            node(2, Some(details)),
        ];
        plan(&Situation {
            entries: &[entry(false)],
            nodes: &nodes,
            held: Some("spec.paused is true"),
            only_node_stays: true,
        })
    };
    assert_eq!(reason(&held(&own)), "OnHold");
    assert_eq!(held(&next), RebuildPlan::Finished);
}
