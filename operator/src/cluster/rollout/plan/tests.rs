use super::*;
use crate::node::NodeMember;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A node that lacks nothing, and knows two others that lack nothing.
fn in_sync() -> NodeDetails {
    NodeDetails {
        ready: true,
        state: MemberState::Member,
        salt_fingerprint: Some("aa".to_owned()),
        members: ["prod-0", "prod-1", "prod-2"].map(member).into(),
        ..NodeDetails::default()
    }
}

fn member(name: &str) -> NodeMember {
    NodeMember {
        name: name.to_owned(),
        state: MemberState::Member,
        reachable: true,
        ..NodeMember::default()
    }
}

fn pod<'a>(ordinal: usize, revision: &'a str, node: &'a NodeDetails) -> PodSeen<'a> {
    PodSeen {
        ordinal,
        revision: Some(revision),
        state: PodState::Ready,
        since: Some(at(0)),
        node: Some(node),
    }
}

/// The same pod, not serving and with a silent node.
fn broken(pod: PodSeen<'_>) -> PodSeen<'_> {
    PodSeen {
        state: PodState::NotReady,
        node: None,
        ..pod
    }
}

fn ending(pod: PodSeen<'_>) -> PodSeen<'_> {
    PodSeen {
        state: PodState::Ending,
        ..pod
    }
}

fn situation<'a>(pods: &'a [PodSeen<'a>]) -> Situation<'a> {
    Situation {
        name: "prod",
        revision: Some("new"),
        wanted: 3,
        there: 3,
        pods,
        refused: &[],
        was_rolling: true,
        unjudged_for: Duration::ZERO,
        answer_timeout: Duration::from_mins(10),
        now: at(60),
    }
}

fn planned(pods: &[PodSeen<'_>]) -> RolloutPlan {
    plan(&situation(pods))
}

fn replace(ordinal: usize, why: Why) -> RolloutPlan {
    RolloutPlan::Replace { ordinal, why }
}

fn wait_for(pod: &str) -> RolloutPlan {
    RolloutPlan::Wait(Waiting::Pod(pod.to_owned()))
}

fn wait_for_answer(node: &str) -> RolloutPlan {
    RolloutPlan::Wait(Waiting::Answer(node.to_owned()))
}

#[test]
fn pods_of_the_template_that_is_wanted_stay() {
    let node = in_sync();
    let pods = [0, 1, 2].map(|ordinal| pod(ordinal, "new", &node));
    assert_eq!(planned(&pods), RolloutPlan::Finished);
}

#[test]
fn a_rollout_goes_from_the_highest_ordinal_to_the_lowest_one_pod_after_the_other() {
    let node = in_sync();
    let of = |revisions: [&'static str; 3]| {
        let pods = [0, 1, 2].map(|ordinal| pod(ordinal, revisions[ordinal], &node));
        planned(&pods)
    };
    assert_eq!(of(["old", "old", "old"]), replace(2, Why::Outdated));
    assert_eq!(of(["old", "old", "new"]), replace(1, Why::Outdated));
    assert_eq!(of(["old", "new", "new"]), replace(0, Why::Outdated));
}

#[test]
fn the_next_pod_waits_until_the_last_one_has_ended_is_made_anew_and_serves() {
    let node = in_sync();
    let others = || [pod(0, "old", &node), pod(1, "old", &node)];
    let with = |last: PodSeen<'_>| {
        let [first, second] = others();
        planned(&[first, second, last])
    };
    assert_eq!(with(ending(pod(2, "old", &node))), wait_for("prod-2"));
    assert_eq!(
        planned(&others()),
        wait_for("prod-2"),
        "the controller has not made it yet"
    );
    assert_eq!(with(broken(pod(2, "new", &node))), wait_for("prod-2"));
    assert_eq!(with(pod(2, "new", &node)), replace(1, Why::Outdated));
}

#[test]
fn the_next_pod_waits_until_nodes_have_what_the_others_have() {
    let (node, mut behind) = (in_sync(), in_sync());
    let sync = |name: &str| RolloutPlan::Wait(Waiting::Sync(name.to_owned()));
    let with = |last: &NodeDetails| {
        planned(&[
            pod(0, "old", &node),
            pod(1, "old", &node),
            pod(2, "new", last),
        ])
    };
    behind.ready = false;
    assert_eq!(with(&behind), sync("prod-2"));
    behind = in_sync();
    behind.members[1].lag = UNDER_WAY + 1;
    assert_eq!(with(&behind), sync("prod-1"), "it lacks what prod-2 wrote");
    behind = in_sync();
    behind.members[1].behind = UNDER_WAY + 1;
    assert_eq!(with(&behind), sync("prod-2"), "it lacks what prod-1 wrote");
    behind = in_sync();
    behind.members[0].reachable = false;
    assert_eq!(with(&behind), sync("prod-0"));
    behind = in_sync();
    behind.salt_fingerprint = Some("bb".to_owned());
    let salt = RolloutPlan::Wait(Waiting::Salt("prod-2".to_owned()));
    assert_eq!(with(&behind), salt);
    behind = in_sync();
    behind.members[1].lag = UNDER_WAY;
    assert_eq!(with(&behind), replace(1, Why::Outdated), "writes go on");
}

#[test]
fn who_has_left_holds_nothing_up() {
    let (mut node, mut gone) = (in_sync(), member("prod-1"));
    gone.state = MemberState::Left;
    gone.reachable = false;
    node.members.extend([gone, member("prod-7")]);
    node.members[4].reachable = false;
    let pods = [0, 1, 2].map(|ordinal| pod(ordinal, "old", &node));
    assert_eq!(planned(&pods), replace(2, Why::Outdated));
}

/// Pods that all serve, of which these do not answer the operator.
fn silent<'a>(pods: [PodSeen<'a>; 3], silent: &[usize]) -> [PodSeen<'a>; 3] {
    pods.map(|pod| PodSeen {
        node: pod.node.filter(|_| !silent.contains(&pod.ordinal)),
        ..pod
    })
}

#[test]
fn of_a_node_that_does_not_answer_the_others_say_how_it_is() {
    let node = in_sync();
    let pods = silent([0, 1, 2].map(|ordinal| pod(ordinal, "old", &node)), &[2]);
    assert_eq!(planned(&pods), replace(2, Why::Outdated));
    let mut apart = in_sync();
    apart.members[2].reachable = false;
    let pods = silent([0, 1, 2].map(|ordinal| pod(ordinal, "old", &apart)), &[2]);
    let sync = RolloutPlan::Wait(Waiting::Sync("prod-2".to_owned()));
    assert_eq!(planned(&pods), sync);
}

#[test]
fn a_node_that_no_answer_knows_is_waited_for() {
    let mut node = in_sync();
    node.members.pop();
    let pods = silent([0, 1, 2].map(|ordinal| pod(ordinal, "old", &node)), &[2]);
    assert_eq!(planned(&pods), wait_for_answer("prod-2"));
}

#[test]
fn two_nodes_that_do_not_answer_are_waited_for_and_then_it_counts_that_they_serve() {
    let node = in_sync();
    let pods = [0, 1, 2].map(|ordinal| pod(ordinal, "old", &node));
    let after = |quiet: &[usize], minutes: u64| {
        plan(&Situation {
            unjudged_for: Duration::from_mins(minutes),
            ..situation(&silent(pods, quiet))
        })
    };
    for quiet in [&[0, 1][..], &[1, 2], &[0, 1, 2]] {
        let first = format!("prod-{}", quiet[0]);
        assert_eq!(after(quiet, 0), wait_for_answer(&first));
        assert_eq!(after(quiet, 9), wait_for_answer(&first));
        assert_eq!(after(quiet, 10), replace(2, Why::Outdated));
    }
    let alone = silent(pods, &[0]);
    let plan_alone = plan(&Situation {
        wanted: 1,
        there: 1,
        ..situation(&alone[..1])
    });
    assert_eq!(plan_alone, replace(0, Why::Outdated), "it has no other");
}

#[test]
fn no_pod_that_serves_is_replaced_while_nodes_are_parted_whichever_answers_are_lost() {
    const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];
    for parted in 0..8_usize {
        let cut = |one: usize, other: usize| {
            let pair = PAIRS
                .iter()
                .position(|pair| *pair == (one.min(other), one.max(other)));
            pair.is_some_and(|pair| parted & (1 << pair) != 0)
        };
        let nodes = [0, 1, 2].map(|one| {
            let mut node = in_sync();
            for (other, member) in node.members.iter_mut().enumerate() {
                member.reachable = !cut(one, other);
            }
            node
        });
        for lost in 0..8_usize {
            let quiet: Vec<_> = (0..3).filter(|node| lost & (1 << node) != 0).collect();
            let pods = [0, 1, 2].map(|ordinal| pod(ordinal, "old", &nodes[ordinal]));
            let planned = planned(&silent(pods, &quiet));
            let is_replaced = matches!(planned, RolloutPlan::Replace { .. });
            let may_be_replaced = parted == 0 && quiet.len() < 2;
            assert_eq!(
                is_replaced, may_be_replaced,
                "{parted:b} {quiet:?}: {planned:?}"
            );
        }
    }
}

#[test]
fn pods_that_do_not_serve_come_first_and_no_other_one_while_they_are_down() {
    let node = in_sync();
    let pods = [
        pod(0, "old", &node),
        broken(pod(1, "old", &node)),
        pod(2, "old", &node),
    ];
    assert_eq!(planned(&pods), replace(1, Why::NotReady));
    let pods = [
        pod(0, "old", &node),
        broken(pod(1, "new", &node)),
        pod(2, "old", &node),
    ];
    assert_eq!(planned(&pods), wait_for("prod-1"));
}

#[test]
fn a_bad_template_stops_at_one_pod_and_the_next_template_repairs_it() {
    let node = in_sync();
    let pods = [
        pod(0, "old", &node),
        pod(1, "old", &node),
        broken(pod(2, "bad", &node)),
    ];
    let mut situation = situation(&pods);
    situation.revision = Some("bad");
    assert_eq!(plan(&situation), wait_for("prod-2"));
    situation.revision = Some("better");
    assert_eq!(plan(&situation), replace(2, Why::NotReady));
    situation.revision = Some("old");
    assert_eq!(plan(&situation), replace(2, Why::NotReady), "also back");
}

#[test]
fn where_nobody_serves_a_node_that_runs_waits_for_the_others_to_be_repaired() {
    let node = in_sync();
    let all = |last: PodSeen<'_>| {
        planned(&[
            broken(pod(0, "bad", &node)),
            broken(pod(1, "bad", &node)),
            last,
        ])
    };
    assert_eq!(all(broken(pod(2, "bad", &node))), replace(2, Why::NotReady));
    assert_eq!(all(broken(pod(2, "new", &node))), wait_for("prod-2"));
    let runs = PodSeen {
        state: PodState::NotReady,
        ..pod(2, "new", &node)
    };
    assert_eq!(all(runs), replace(1, Why::NotReady));
}

#[test]
fn a_pod_that_does_not_come_back_blocks_the_others_for_ten_minutes_before_somebody_is_told() {
    let node = in_sync();
    let pods = [
        pod(0, "old", &node),
        pod(1, "old", &node),
        broken(pod(2, "new", &node)),
    ];
    let mut situation = situation(&pods);
    situation.now = at(599);
    assert_eq!(plan(&situation), wait_for("prod-2"));
    situation.now = at(600);
    let blocked = |ordinal, is_last| RolloutPlan::Blocked { ordinal, is_last };
    assert_eq!(plan(&situation), blocked(2, true));
    let pods = [
        pod(0, "old", &node),
        ending(pod(1, "old", &node)),
        pod(2, "new", &node),
    ];
    situation.pods = &pods;
    assert_eq!(plan(&situation), blocked(1, false));
}

#[test]
fn nothing_is_replaced_before_kubernetes_says_which_revision_is_wanted() {
    let node = in_sync();
    let pods = [0, 1, 2].map(|ordinal| pod(ordinal, "old", &node));
    let mut situation = situation(&pods);
    situation.revision = None;
    assert_eq!(plan(&situation), RolloutPlan::Wait(Waiting::Controller));
}

#[test]
fn a_pod_that_is_to_go_is_not_replaced_and_is_waited_for_while_it_ends() {
    let node = in_sync();
    let mut pods = [0, 1, 2, 3].map(|ordinal| pod(ordinal, "new", &node));
    pods[3].revision = Some("old");
    assert_eq!(planned(&pods), RolloutPlan::Finished);
    pods[0].revision = Some("old");
    assert_eq!(planned(&pods), replace(0, Why::Outdated));
    pods[3].state = PodState::Ending;
    assert_eq!(planned(&pods), wait_for("prod-3"));
}

#[test]
fn once_all_that_stay_are_of_the_template_who_leaves_is_no_part_of_it() {
    let node = in_sync();
    let mut pods = [0, 1, 2, 3].map(|ordinal| pod(ordinal, "new", &node));
    pods[3] = ending(pods[3]);
    assert_eq!(planned(&pods), RolloutPlan::Finished);
}

#[test]
fn a_rollout_is_over_only_when_its_last_pod_serves_and_a_crash_is_none() {
    let node = in_sync();
    let pods = [
        broken(pod(0, "new", &node)),
        pod(1, "new", &node),
        pod(2, "new", &node),
    ];
    let mut situation = situation(&pods);
    assert_eq!(plan(&situation), wait_for("prod-0"));
    situation.was_rolling = false;
    assert_eq!(plan(&situation), RolloutPlan::Finished);
}

#[test]
fn who_is_to_go_is_not_away_together_with_who_stays() {
    let node = in_sync();
    let away = PodSeen {
        since: Some(at(0)),
        ..broken(pod(2, "new", &node))
    };
    let (one, other) = (pod(0, "old", &node), pod(1, "old", &node));
    let after = |pods: &[PodSeen<'_>], minutes: i64| {
        plan(&Situation {
            wanted: 2,
            now: at(60 * minutes),
            ..situation(pods)
        })
    };
    assert_eq!(after(&[one, other, away], 9), wait_for("prod-2"));
    let goes_on = replace(1, Why::Outdated);
    assert_eq!(
        after(&[one, other, away], 10),
        goes_on,
        "nothing came of it"
    );
    assert_eq!(
        after(&[one, other], 9),
        wait_for("prod-2"),
        "it is made anew"
    );
    assert_eq!(after(&[one, other, pod(2, "old", &node)], 9), goes_on);
}

#[test]
fn a_pod_that_kubernetes_may_not_make_blocks_the_others_for_ten_minutes() {
    let node = in_sync();
    let pods = [pod(0, "old", &node), pod(1, "old", &node)];
    let after = |minutes: i64| {
        plan(&Situation {
            refused: &[(2, at(0))],
            now: at(60 * minutes),
            ..situation(&pods)
        })
    };
    assert_eq!(after(9), RolloutPlan::Wait(Waiting::Pod("prod-2".into())));
    let blocked = RolloutPlan::Blocked {
        ordinal: 2,
        is_last: true,
    };
    assert_eq!(after(10), blocked);
}
