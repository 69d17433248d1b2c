//! Many worlds, one after the other: their seeds, how long they last, and the report on one that fails.

use std::time::Duration;

use opensecureconf_node::cluster::{Mode, Rule, Rules};

use crate::{
    seeds::{lines, run, setting},
    world::World,
};

/// Worlds of an ordinary run.
const SEEDS: u64 = 300;
/// How long faults go on in a world.
const CHAOS: Duration = Duration::from_secs(90);
/// How long a world may take to settle after that.
const REST: Duration = Duration::from_mins(4);
/// How long any exchange between nodes may last, and a little more.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(65);
/// Lines of a story that are shown.
const LINES: usize = 120;

/// Runs one world.
pub(crate) fn live(seed: u64, rules: Rules, told: bool) -> World {
    let mut world = World::new(seed, rules, told);
    world.mode = mode(seed);
    world.settle();
    world.pass(CHAOS);
    let late = world.network.late > 0.0;
    world.heal();
    if late {
        // Until the last message of before has arrived.
        world.pass(Duration::from_secs(125));
    }
    // What a fault swallowed is waited for as long as an exchange may last, and a client may write a moment after the last fault.
    let under_way = world.under_way();
    world.until(LONGEST_EXCHANGE, |world| !world.is_under_way(&under_way));
    world.until(REST, |world| {
        world.owner.is_idle() && world.unsettled().is_none()
    });
    world.pass(Duration::from_secs(11));
    if world.broken.is_none() {
        world.check_the_end();
    }
    world
}

/// Every third world is federated; all are, or none, where `SIMULATION_MODE` says so.
fn mode(seed: u64) -> Mode {
    match std::env::var("SIMULATION_MODE").as_deref() {
        Ok("federated") => Mode::Federated,
        Ok("replica") => Mode::Replica,
        _ if seed.is_multiple_of(3) => Mode::Federated,
        _ => Mode::Replica,
    }
}

/// The rules in force: all, or all but the one that `SIMULATION_WITHOUT` names.
fn rules() -> Rules {
    let name = std::env::var("SIMULATION_WITHOUT").unwrap_or_default();
    Rule::ALL
        .iter()
        .find(|rule| format!("{rule:?}") == name)
        .map_or(Rules::ALL, |rule| Rules::without(*rule))
}

/// The story of a failed seed.
fn tell(seed: u64, rules: Rules) -> String {
    let world = live(seed, rules, true);
    format!(
        "seed {seed}: {}\n{}\n{}\nreplay: SIMULATION_MODE={} SIMULATION_FIRST={seed} SIMULATION_SEEDS=1 cargo test \
         -p opensecureconf-node --test simulation -- any_world",
        world.broken.as_deref().unwrap_or("nothing is broken"),
        world.dump(),
        world.story.last(lines(LINES)),
        world.mode,
    )
}

#[test]
fn any_world_keeps_its_promises() {
    let time = setting("SIMULATION_SECONDS").map(Duration::from_secs);
    let seeds =
        setting("SIMULATION_SEEDS").unwrap_or(if time.is_some() { u64::MAX / 2 } else { SEEDS });
    let failed = run(seeds, time, |seed| {
        let world = live(seed, rules(), false);
        (world.time, world.broken)
    });
    if let Some(seed) = failed {
        panic!("{}", tell(seed, rules()));
    }
}
