//! Every rule is there for something: with one left out, some promise is broken, and chance shows it soon where people do what the rule is
//! about.

use opensecureconf_operator::cluster::rules::{Rule, Rules};

use crate::{
    faults::Trouble,
    runs::live_with,
    users::{
        Act::{
            AnotherOperator, Grow, Hibernate, Image, LoseSalt, PartNodes, Rebuild, Restart,
            RestartOperator, Scale, Wake,
        },
        Plot,
    },
};

/// So many worlds are tried at most. The seeds move with every change of the worlds; the one that stands beside a rule was the first.
const SEEDS: u64 = 60;

/// Asserts that some world ends well with all rules and not without this one.
fn shown_by(rule: Rule, first: u64, plot: &'static Plot) {
    let broken = (first..first + SEEDS).find_map(|seed| {
        let lived = live_with(seed, Rules::without(rule), plot, false);
        Some((seed, lived.broken?))
    });
    let Some((seed, how)) = broken else {
        panic!("without {rule:?} {SEEDS} worlds end as well as with it");
    };
    println!("without {rule:?}, world {seed}: {how}");
    let lived = live_with(seed, Rules::ALL, plot, false);
    assert_eq!(lived.broken, None, "world {seed} with all rules");
}

macro_rules! switches {
    ($($name:ident: $rule:ident from $first:literal by $plot:expr;)*) => {
        $(
            #[test]
            fn $name() {
                shown_by(Rule::$rule, $first, &const { $plot });
            }
        )*

        /// The rules that are shown to be needed.
        const SHOWN: &[Rule] = &[$(Rule::$rule),*];
    };
}

switches! {
    pods_go_one_at_a_time: PodsGoOneAtATime from 1 by Plot::of(&[Image]);
    replaced_nodes_are_in_sync:
        ReplacedNodesAreInSync from 8 by Plot::of(&[Image, PartNodes]).with(Trouble::Nothing);
    nothing_else_is_deleted:
        NothingElseIsDeleted from 9 by Plot::of(&[AnotherOperator, Image, Restart]).with(Trouble::SlowWrites).crowded();
    marks_come_before_orders:
        MarksComeBeforeOrders from 23 by Plot::of(&[AnotherOperator, RestartOperator]).with(Trouble::SilentNodes).crowded();
    salts_are_made_once: SaltsAreMadeOnce from 4 by Plot::of(&[AnotherOperator]).crowded();
    no_salt_is_made_beside_volumes: NoSaltIsMadeBesideVolumes from 1 by Plot::of(&[LoseSalt]);
    nodes_leave_before_they_go: NodesLeaveBeforeTheyGo from 3 by Plot::of(&[Scale]);
    volumes_go_with_their_lives: VolumesGoWithTheirLives from 1 by Plot::of(&[Rebuild]);
    volumes_are_handed_over: VolumesAreHandedOver from 1 by Plot::of(&[Rebuild]);
    volumes_are_kept_in_sleep: VolumesAreKeptInSleep from 2 by Plot::of(&[Hibernate, Wake]);
    sets_leave_their_pods: SetsLeaveTheirPods from 1 by Plot::of(&[Grow]);
}

#[test]
fn no_rule_is_left_out() {
    assert!(Rule::ALL.iter().all(|rule| SHOWN.contains(rule)));
}
