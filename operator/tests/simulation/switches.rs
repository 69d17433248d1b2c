//! Every rule is needed: without it some promise is broken, and random worlds show it soon where users do what the rule is
//! about.

use opensecureconf_operator::cluster::rules::{Rule, Rules};

use crate::{
    faults::Trouble,
    plots::{
        Act::{
            AnotherOperator, DrainByTheBook, Grow, Hibernate, Image, LoseSalt, OneOfTwoImages,
            PartNodes, PassYearAlone, Rebuild, RebuildTheOnlyOne, Restart, RestartOperator,
            RotateAuthority, RotateKey, Scale, Wake,
        },
        Plot,
    },
    runs::live_with,
};

/// The most worlds that a test tries. The seeds move with every change of the worlds; the seed beside a rule was the first that
/// showed it.
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
    pods_go_one_at_a_time: PodsGoOneAtATime from 1 by Plot::of(&[Image]).without_budget();
    replaced_nodes_are_in_sync:
        ReplacedNodesAreInSync from 9 by Plot::of(&[Image, PartNodes]).with(Trouble::Nothing);
    nothing_else_is_deleted:
        NothingElseIsDeleted from 47 by
            Plot::of(&[AnotherOperator, Image, Restart]).with(Trouble::SlowWrites).crowded().without_budget();
    replacements_are_recorded:
        ReplacementsAreRecorded from 78 by
            Plot::of(&[OneOfTwoImages, RestartOperator]).with(Trouble::LateDeletions).crowded().without_budget();
    budgets_are_respected:
        BudgetsAreRespected from 27 by Plot::of(&[DrainByTheBook, Image]).with(Trouble::LateDeletions);
    marks_come_before_orders:
        MarksComeBeforeOrders from 38 by Plot::of(&[AnotherOperator, RestartOperator]).with(Trouble::SilentNodes).crowded();
    salts_are_made_once: SaltsAreMadeOnce from 4 by Plot::of(&[AnotherOperator]).crowded();
    no_salt_is_made_beside_volumes: NoSaltIsMadeBesideVolumes from 1 by Plot::of(&[LoseSalt]);
    nodes_leave_before_they_go: NodesLeaveBeforeTheyGo from 5 by Plot::of(&[Scale]);
    volumes_go_with_their_lives: VolumesGoWithTheirLives from 1 by Plot::of(&[Rebuild]).impatiently();
    volumes_are_handed_over: VolumesAreHandedOver from 1 by Plot::of(&[Rebuild]);
    the_only_node_stays: TheOnlyNodeStays from 2 by Plot::of(&[RebuildTheOnlyOne]);
    volumes_are_kept_in_growth:
        VolumesAreKeptInGrowth from 1 by Plot::of(&[Grow, Restart]).with_volumes_that_go();
    volumes_are_kept_in_sleep: VolumesAreKeptInSleep from 5 by Plot::of(&[Hibernate, Wake]);
    sets_leave_their_pods: SetsLeaveTheirPods from 1 by Plot::of(&[Grow]);
    nodes_prove_keys: NodesProveKeys from 1 by Plot::of(&[RotateKey]).with(Trouble::Nothing).slowly();
    old_keys_stay: OldKeysStay from 1 by Plot::of(&[RotateKey]).with(Trouble::Nothing);
    nodes_prove_authorities:
        NodesProveAuthorities from 1 by Plot::of(&[RotateAuthority]).with(Trouble::Nothing).slowly();
    clients_read_authorities:
        ClientsReadAuthorities from 1 by Plot::of(&[RotateAuthority]).with(Trouble::Nothing);
    authorities_keep_their_keys:
        AuthoritiesKeepTheirKeys from 1 by Plot::of(&[RotateAuthority]).with(Trouble::Nothing);
    leaves_are_renewed_unasked:
        LeavesAreRenewedUnasked from 1 by Plot::of(&[PassYearAlone]).with(Trouble::Nothing).impatiently();
}

#[test]
fn no_rule_is_left_out() {
    assert!(Rule::ALL.iter().all(|rule| SHOWN.contains(rule)));
}
