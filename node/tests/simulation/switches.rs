//! Every rule is needed: without it some promise is broken, and a world shows it.
//!
//! A rule is shown by the scenario that needs it.

use opensecureconf_node::cluster::{Rule, Rules};

use crate::{
    scenarios::{
        bootstrap, digests, federated, fencing, impostors, joining, leaving, purging, relaying,
        snapshots, strangers, unfencing, writing,
    },
    script::Outcome,
};

/// A scenario that shows why a rule is needed.
type Scenario = fn(Rules) -> Outcome;

/// Asserts that a scenario ends well with all rules and fails without this one.
fn shown_by(rule: Rule, scenario: Scenario) {
    scenario(Rules::ALL).unwrap();
    let without = scenario(Rules::without(rule));
    assert!(
        without.is_err(),
        "without {rule:?} everything ends as well as with it"
    );
}

macro_rules! switches {
    ($($name:ident: $shown:ident($rule:ident, $by:expr);)*) => {
        $(
            #[test]
            fn $name() {
                $shown(Rule::$rule, $by);
            }
        )*

        /// The rules that are shown to be needed.
        const SHOWN: &[Rule] = &[$(Rule::$rule),*];
    };
}

switches! {
    bootstrap_is_instructed: shown_by(BootstrapIsInstructed, bootstrap::e05_no_node_bootstraps_by_itself);
    bootstrap_waits_for_lost_nodes:
        shown_by(BootstrapWaitsForLostNodes, bootstrap::a_bootstrap_waits_for_what_a_lost_node_sent);
    blank_nodes_join_none_of_two:
        shown_by(BlankJoinsNoneOfTwo, bootstrap::a_snapshot_of_a_lost_cluster_comes_after_the_new_bootstrap);
    strangers_are_refused: shown_by(StrangersAreRefused, strangers::e15_clone);
    stamps_are_above_what_is_stored: shown_by(StampAboveStored, purging::a_snapshot_is_written_over_by_a_slower_clock);
    stamps_are_above_what_is_named: shown_by(StampAboveNamed, writing::e01_skewed_pair);
    named_versions_are_bounded: shown_by(NamedVersionsAreBounded, writing::an_invented_version_moves_no_clock);
    clocks_are_merged: shown_by(MergeClocks, purging::e04_future_stamp);
    unknown_tombstones_are_kept: shown_by(KeepUnknownTombstones, purging::an_unknown_tombstone_is_kept);
    purges_wait_for_all: shown_by(PurgeWaitsForAll, purging::a_purge_waits_for_who_is_down);
    purges_wait_for_what_is_under_way:
        shown_by(PurgeWaitsForWhatIsUnderWay, purging::a_purge_waits_for_what_is_under_way);
    purge_marks_are_inherited: shown_by(PurgeMarksAreInherited, purging::a_purge_is_known_to_whoever_took_a_snapshot_after_it);
    purge_marks_are_honoured: shown_by(HonourPurgeMarks, purging::a_snapshot_from_before_a_purge_is_taken_again);
    the_roster_goes_by_incarnation: shown_by(RosterByIncarnation, leaving::e03_same_name_new_life);
    removed_nodes_are_fenced: shown_by(FenceRemoved, leaving::e30_left_too_early);
    rolled_back_nodes_are_fenced: shown_by(FenceRolledBack, fencing::a_database_that_went_back_is_fenced);
    joiners_do_not_acknowledge: shown_by(JoinersDoNotAcknowledge, joining::e19_acknowledgement_of_a_joiner);
    what_is_passed_over_is_judged:
        shown_by(PassedOverChangesAreJudged, relaying::what_its_writer_cannot_tell_a_member_is_passed_on);
    what_a_dead_writer_told_one_member_is_judged: shown_by(
        PassedOverChangesAreJudged,
        relaying::what_a_writer_that_died_told_one_member_alone_is_passed_on
    );
    deletes_of_a_dead_writer_are_judged: shown_by(
        PassedOverChangesAreJudged,
        relaying::a_delete_that_a_dead_writer_told_one_member_alone_is_passed_on
    );
    a_place_in_an_earlier_process_proves_nothing: shown_by(
        PassedOverChangesAreJudged,
        relaying::a_writer_that_was_started_again_is_not_taken_for_its_earlier_process
    );
    gaps_are_refused: shown_by(RefuseGaps, fencing::a_late_message_for_an_earlier_life_leaves_no_gap);
    snapshots_are_fed_to_those_behind:
        shown_by(SnapshotsAreFedToThoseBehind, joining::a_snapshot_is_fed_to_those_behind_its_source);
    writers_are_told_what_they_may_lack:
        shown_by(WritersAreToldWhatTheyMayLack, fencing::a_database_that_went_back_unnoticed_gets_what_it_wrote);
    stamps_stay_their_own: shown_by(OwnStamps, fencing::e20_reissued_write);
    leaving_is_resumed: shown_by(LeavingIsResumed, leaving::a_node_that_went_back_goes_on_leaving);
    snapshots_are_passed_over_once:
        shown_by(SnapshotsArePassedOverOnce, fencing::a_source_that_went_back_passes_over_no_snapshot);
    purges_end_snapshots:
        shown_by(PurgesEndSnapshots, snapshots::a_snapshot_that_lacks_purged_deletes_is_not_put_in_force);
    sources_bring_cursors:
        shown_by(SourcesBringCursors, snapshots::a_delete_that_a_source_learned_between_two_pages_fences_nobody);
    void_purges_are_undone: shown_by(VoidPurgesAreUndone, fencing::a_node_that_joined_a_removed_one_joins_again);
    suspects_become_no_members:
        shown_by(SuspectsBecomeNoMembers, joining::a_joining_node_that_may_lack_deletes_becomes_no_member);
    suspicions_are_kept: shown_by(SuspicionsAreKept, joining::a_joining_node_that_may_lack_deletes_remembers_that);
    suspicions_of_sources_are_kept: shown_by(SuspicionsAreKept, impostors::a_speaker_that_is_true_is_remembered);
    proven_suspicions_are_kept: shown_by(SuspicionsAreKept, impostors::a_last_source_waits_after_a_restart);
    rolled_back_nodes_accuse_nobody:
        shown_by(RolledBackNodesAccuseNobody, fencing::a_member_that_went_back_accuses_no_other);
    leaving_pushes_all: shown_by(LeavingPushesAll, leaving::e10_last_write);
    ready_waits_for_heads: shown_by(ReadyWaitsForHeads, joining::a_node_is_ready_once_it_holds_what_was_acknowledged);
    ready_nodes_are_waited_for:
        shown_by(ReadyNodesAreWaitedFor, joining::a_node_is_ready_once_the_writes_of_others_wait_for_it);
    writes_wait_for_readiness:
        shown_by(WritesWaitForReadiness, federated::a_change_waits_for_a_home_node_that_has_just_started);
    late_requests_admit_nobody:
        shown_by(LateRequestsAdmitNobody, joining::a_late_request_for_a_snapshot_ends_no_later_life);
    removals_are_judged_together: shown_by(RemovalsAreJudgedTogether, fencing::a_removal_is_void_whose_issuer_is_gone);
    void_removals_are_undone:
        shown_by(VoidRemovalsAreUndone, fencing::a_node_whose_removal_is_void_goes_on_where_all_are_fenced);
    earlier_removals_win: shown_by(EarlierRemovalsWin, fencing::e09_mutual_removal);
    digests_are_compared: shown_by(DigestsAreCompared, digests::a_row_that_a_fault_took_away_comes_back);
    one_member_brings_nothing_back:
        shown_by(OneMemberBringsNothingBack, digests::what_one_member_has_alone_may_be_deleted);
    writes_check_what_was_seen: shown_by(WritesCheckWhatWasSeen, writing::e07_changing_owner);
    repairs_wait_for_the_feed:
        shown_by(RepairsWaitForTheFeed, digests::who_was_away_for_long_is_fed_and_not_repaired);
    mismatches_wait_for_the_feed:
        shown_by(MismatchesWaitForTheFeed, digests::who_was_away_for_long_is_fed_and_not_repaired);
    the_bootstrap_node_is_home: shown_by(BootstrapNodeIsHome, federated::a_database_with_entries_bootstraps_a_directory);
    values_follow_the_directory: shown_by(ValuesFollowTheDirectory, federated::a_value_follows_the_directory);
    losers_keep_their_values: shown_by(LosersKeepTheirValues, federated::a_conflict_is_kept_by_the_owner_of_the_loser);
    leaving_hands_values_over:
        shown_by(LeavingHandsValuesOver, federated::a_leaving_owner_waits_until_its_values_are_taken);
    fenced_nodes_do_not_leave_with_values:
        shown_by(LeavingHandsValuesOver, federated::a_fenced_owner_does_not_leave_with_its_values);
    adopted_values_are_the_ones:
        shown_by(AdoptedValuesAreTheOnes, federated::a_leaving_owner_waits_until_its_values_are_taken);
    owners_write_nothing_new:
        shown_by(OwnersWriteNothingNew, federated::a_write_beats_a_value_that_changes_its_owner_later);
    values_are_not_taken_back_over_deletions:
        shown_by(OwnersWriteNothingNew, federated::a_value_that_was_deleted_is_not_taken_back_over_that);
    values_are_taken_back: shown_by(ValuesAreTakenBack, federated::e12_owner_restored);
    values_are_taken_back_over_earlier_versions:
        shown_by(ValuesAreTakenBack, federated::a_value_is_not_given_up_for_an_earlier_version_that_arrives_late);
    values_under_used_stamps_do_not_stand_in:
        shown_by(EarlierValuesDoNotStandIn, federated::a_value_under_the_stamp_of_a_lost_one_is_set_aside);
    earlier_values_do_not_stand_in: shown_by(EarlierValuesDoNotStandIn, federated::e12_owner_restored);
    values_are_found_again: shown_by(ValuesAreFoundAgain, federated::a_value_that_was_set_aside_is_found_again);
    earlier_values_are_set_aside: shown_by(EarlierValuesAreSetAside, federated::e12_owner_restored);
    taking_back_is_told: shown_by(TakingBackIsTold, federated::values_that_are_being_taken_back_are_not_lost);
    greetings_are_asked_for: shown_by(GreetingsAreAskedFor, impostors::a_copied_greeting_fences_nobody);
    cursors_are_asked_for: shown_by(GreetingsAreAskedFor, impostors::a_copied_greeting_moves_no_cursor);
    suspects_give_no_snapshots:
        shown_by(SuspectsGiveNoSnapshots, impostors::a_speaker_that_is_true_and_cannot_be_asked);
    last_sources_wait: shown_by(LastSourcesWait, impostors::a_last_source_waits_for_its_owner);
    forgiveness_is_inherited:
        shown_by(ForgivenessIsInherited, unfencing::a_node_lacks_what_its_source_was_forgiven);
    stamps_have_an_end: shown_by(StampsHaveAnEnd, impostors::a_roster_from_beyond_all_time_is_refused);
    only_members_move_clocks: shown_by(OnlyMembersMoveClocks, impostors::a_stranger_moves_no_clock);
    rosters_are_asked_for: shown_by(RostersAreAskedFor, impostors::a_copied_member_removes_and_admits_nobody);
    sources_admit: shown_by(SourcesAdmit, impostors::a_cluster_whose_clock_is_really_ahead);
    strangers_admit_nobody: shown_by(StrangersAdmitNobody, impostors::a_stranger_admits_nobody);
    strangers_are_not_dialled: shown_by(StrangersAreNotDialled, impostors::a_stranger_sends_no_node_anywhere);
    strangers_get_no_acknowledgements: shown_by(
        StrangersGetNoAcknowledgements,
        strangers::a_member_that_forgot_how_far_it_held_an_unknown_node_is_not_fenced
    );
    strangers_are_forgotten: shown_by(StrangersAreForgotten, impostors::strangers_leave_nothing_behind);
}

#[test]
fn no_rule_is_left_out() {
    assert!(Rule::ALL.iter().all(|rule| SHOWN.contains(rule)));
}
