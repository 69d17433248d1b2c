//! The seeds of the worlds that are run, and the report on them.

use std::{
    sync::Mutex,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// A number that the environment sets.
pub(crate) fn setting(name: &str) -> Option<u64> {
    number(name, std::env::var(name).ok()?.as_str())
}

/// The value of a setting: a number, `random` for a new one, or nothing.
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

/// How many lines of a story are shown, where nothing else is set.
pub(crate) fn lines(otherwise: usize) -> usize {
    setting("SIMULATION_LINES").map_or(otherwise, |lines| usize::try_from(lines).unwrap())
}

/// Runs so many worlds, as far as there is time, two at a time; `live` gives how long a world lasted and which rule broke in
/// it. Gives the first seed that failed.
pub(crate) fn run(
    seeds: u64,
    time: Option<Duration>,
    live: impl Fn(u64) -> (Duration, Option<String>) + Sync,
) -> Option<u64> {
    let first = setting("SIMULATION_FIRST").unwrap_or(1);
    let most = setting("SIMULATION_FAILURES").unwrap_or(1);
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let done = AtomicU64::new(0);
    let simulated = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    println!("SIMULATION_FIRST={first}");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = time.is_some_and(|time| began.elapsed() > time);
                    if over || seed >= first + seeds || failed.lock().unwrap().len() as u64 >= most
                    {
                        return;
                    }
                    let (lasted, broken) = live(seed);
                    done.fetch_add(1, Ordering::Relaxed);
                    simulated.fetch_add(lasted.as_secs(), Ordering::Relaxed);
                    if let Some(broken) = broken {
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
    failed.first().map(|(seed, _)| *seed)
}

#[test]
fn the_first_seed_is_a_number_or_one_that_nobody_has_tried() {
    let first = |said| number("SIMULATION_FIRST", said);
    assert_eq!((first(""), first("7")), (None, Some(7)));
    assert_ne!(first("random"), first("random"));
    assert!(std::panic::catch_unwind(|| first("seven")).is_err());
}
