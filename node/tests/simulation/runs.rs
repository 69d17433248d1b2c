//! Many worlds, one after the other: their seeds, how long they last, and what is told when one fails.

use std::{
    sync::Mutex,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use opensecureconf_node::cluster::{Mode, Rule, Rules};

use crate::world::World;

/// Worlds of an ordinary run.
const SEEDS: u64 = 300;
/// How long faults go on in a world.
const CHAOS: Duration = Duration::from_secs(90);
/// How long a world may take to come to rest after that.
const REST: Duration = Duration::from_mins(4);
/// Lines of a story that are shown.
const LINES: usize = 120;

/// Lives through one world.
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

fn setting(name: &str) -> Option<u64> {
    number(name, std::env::var(name).ok()?.as_str())
}

/// What a setting says: a number, `random` for one that nobody has tried, or nothing.
fn number(name: &str, said: &str) -> Option<u64> {
    match said {
        "" => None,
        // Small enough to be counted on from.
        "random" => Some(rand::random::<u32>().into()),
        number => Some(number.parse().unwrap_or_else(|_| {
            panic!("{name}={number} is neither a number nor \"random\"");
        })),
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

/// What a failed seed did, in words.
fn tell(seed: u64, rules: Rules) -> String {
    let world = live(seed, rules, true);
    format!(
        "seed {seed}: {}\n{}\n{}\nreplay: SIMULATION_MODE={} SIMULATION_FIRST={seed} SIMULATION_SEEDS=1 cargo test \
         -p opensecureconf-node --test simulation -- any_world",
        world.broken.as_deref().unwrap_or("nothing is broken"),
        world.portrait(),
        world.story.last(
            setting("SIMULATION_LINES").map_or(LINES, |lines| usize::try_from(lines).unwrap())
        ),
        world.mode,
    )
}

#[test]
fn any_world_keeps_its_promises() {
    let first = setting("SIMULATION_FIRST").unwrap_or(1);
    let seconds = setting("SIMULATION_SECONDS").map(Duration::from_secs);
    let seeds = setting("SIMULATION_SEEDS").unwrap_or(if seconds.is_some() {
        u64::MAX / 2
    } else {
        SEEDS
    });
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let done = AtomicU64::new(0);
    let simulated = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let most = setting("SIMULATION_FAILURES").unwrap_or(1);
    println!("SIMULATION_FIRST={first}");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = seconds.is_some_and(|seconds| began.elapsed() > seconds);
                    if over || seed >= first + seeds || failed.lock().unwrap().len() as u64 >= most
                    {
                        return;
                    }
                    let world = live(seed, rules(), false);
                    done.fetch_add(1, Ordering::Relaxed);
                    simulated.fetch_add(world.time.as_secs(), Ordering::Relaxed);
                    if let Some(broken) = world.broken {
                        failed.lock().unwrap().push((seed, broken));
                    }
                }
            });
        }
    });
    println!(
        "{} worlds, {:.1} simulated hours, in {:.0} s",
        done.load(Ordering::Relaxed),
        Duration::from_secs(simulated.load(Ordering::Relaxed)).as_secs_f64() / 3600.0,
        began.elapsed().as_secs_f64()
    );
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, broken) in &failed {
        println!("seed {seed}: {broken}");
    }
    if let Some((seed, _)) = failed.first() {
        panic!("{}", tell(*seed, rules()));
    }
}

#[test]
fn the_first_seed_is_a_number_or_one_that_nobody_has_tried() {
    let first = |said| number("SIMULATION_FIRST", said);
    assert_eq!((first(""), first("7")), (None, Some(7)));
    assert_ne!(first("random"), first("random"));
    assert!(std::panic::catch_unwind(|| first("seven")).is_err());
}
