//! Bootstrap, joining and the salt: everything that can happen to two and three nodes and their admin, up to a bound.
//!
//! The search runs the engines themselves. Between two actions it undoes and forgets nothing: [`fingerprint`] says when two
//! worlds count as one, by the [`parts`] of all that they hold, and [`differences`] shows that these are all. The possible actions
//! are in [`action`]; the rules that must hold, in [`judge`]. `BOOTSTRAP_DEPTH` sets the least number of actions of each search.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, and tells how far it looked"
)]

mod action;
mod air;
mod beginning;
mod differences;
mod disk;
mod fingerprint;
mod judge;
mod meaning;
mod node;
mod owner;
mod parts;
mod process;
mod search;
#[expect(dead_code, reason = "no disk of these searches fails")]
#[path = "../simulation/disk.rs"]
mod tables;
mod world;

use beginning::InitialState;
use opensecureconf_node::cluster::{Rule, Rules};
use owner::AdminStrategy;
use search::{Bounds, Report, search};
use world::World;

const TWO: &[&str] = &["a", "b"];
const THREE: &[&str] = &["a", "b", "c"];

/// Runs a search and prints how far it went.
fn look(what: &str, world: World, actions: usize, faults: usize) -> Report {
    let depth = std::env::var("BOOTSTRAP_DEPTH").ok();
    let bounds = Bounds {
        actions: depth
            .as_ref()
            .map_or(actions, |depth| actions.max(depth.parse().unwrap())),
        faults,
        sample: if depth.is_some() { 20 } else { 500 },
    };
    let report = search(world, bounds);
    eprintln!(
        "{what}: {} actions, {faults} faults: {} worlds, {} steps, {} worlds went on without faults, {:?}",
        bounds.actions, report.worlds, report.steps, report.continued, report.took
    );
    report
}

fn all_is_well(what: &str, world: World, actions: usize, faults: usize) {
    if let Some(story) = look(what, world, actions, faults).wrong {
        panic!("{what}: {}", story.text());
    }
}

fn goes_wrong(what: &str, world: World, actions: usize, faults: usize, how: &str) {
    let story = look(what, world, actions, faults).wrong.unwrap();
    eprintln!("{}", story.text());
    assert!(story.wrong.contains(how), "{}", story.text());
}

#[test]
fn two_nodes_on_empty_disks_get_one_cluster_uid_and_one_salt() {
    let two = InitialState::of(TWO);
    all_is_well("two nodes, blank", two.blank(), 5, 2);
    all_is_well("two nodes, one bootstrapped", two.bootstrapped(), 4, 2);
    all_is_well("two nodes, both ready", two.grown(), 4, 2);
}

#[test]
fn two_nodes_of_which_one_has_rows_and_the_salt_is_mounted() {
    let two = InitialState::of(TWO).with_rows();
    all_is_well("two nodes with rows, blank", two.blank(), 4, 2);
    all_is_well("two nodes with rows, half joined", two.joining(), 4, 2);
}

#[test]
fn three_nodes_get_one_cluster_uid_and_one_salt() {
    let three = InitialState::of(THREE);
    all_is_well("three nodes, blank", three.blank(), 3, 2);
    all_is_well("three nodes, one bootstrapped", three.bootstrapped(), 3, 2);
    all_is_well("three nodes, one more joined", three.joining(), 3, 1);
    all_is_well("three nodes, all ready", three.grown(), 2, 2);
}

/// Execution 16: two databases under the default name.
#[test]
fn nodes_of_equal_names_never_both_bootstrap() {
    let two = InitialState::of(&["x", "x"]);
    all_is_well("two namesakes, blank", two.blank(), 4, 2);
    all_is_well("two namesakes, one ready", two.grown(), 4, 2);
    let three = InitialState::of(&["y", "x", "x"]);
    all_is_well("two namesakes of three, blank", three.blank(), 3, 1);
    all_is_well(
        "two namesakes of three, one bootstrapped",
        three.bootstrapped(),
        3,
        1,
    );
}

/// Executions 6, 17 and 27: the search finds the fault that the rule prevents, so finding none elsewhere proves something.
#[test]
fn nodes_that_bootstrap_without_an_order_bootstrap_twice() {
    for names in [TWO, THREE] {
        let unbidden = InitialState {
            rules: Rules::without(Rule::BootstrapIsInstructed),
            ..InitialState::of(names)
        };
        goes_wrong(
            "bootstrap unbidden",
            unbidden.blank(),
            5,
            0,
            "two cluster uids",
        );
    }
}

#[test]
fn an_owner_that_overwrites_its_mark_bootstraps_twice() {
    let careless = InitialState {
        discipline: AdminStrategy::Again,
        ..InitialState::of(TWO)
    };
    goes_wrong("mark again", careless.blank(), 6, 0, "two cluster uids");
}

#[test]
fn an_owner_that_does_not_read_its_mark_again_is_stuck() {
    let forgetful = InitialState {
        discipline: AdminStrategy::Only,
        ..InitialState::of(TWO)
    };
    goes_wrong("mark only", forgetful.blank(), 4, 1, "stuck");
}
