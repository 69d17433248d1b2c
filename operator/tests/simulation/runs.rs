//! Many worlds, one after the other: their seeds, how long they last, and the report on one that fails.

use std::{sync::Once, time::Duration};

use opensecureconf_operator::cluster::rules::{Rule, Rules};
use rand::RngExt;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    operators::Operators,
    plots::Plot,
    seeds::{lines, run, setting},
    stage::{STEP, Shared, Stage},
    users::Users,
};

/// Worlds of an ordinary run.
const SEEDS: u64 = 40;
/// The time after which no earlier request is under way.
const LATE: Duration = Duration::from_secs(40);
/// Lines of a story that are shown.
const LINES: usize = 150;

/// The result of a world.
pub(crate) struct Lived {
    pub(crate) broken: Option<String>,
    pub(crate) time: Duration,
    pub(crate) story: String,
    /// How many changes the API server saw.
    pub(crate) changes: u64,
}

/// Runs one world with this plot.
pub(crate) fn live_with(seed: u64, rules: Rules, plot: &'static Plot, told: bool) -> Lived {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .unwrap();
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(live_on(seed, rules, plot, told))
}

async fn live_on(seed: u64, rules: Rules, plot: &'static Plot, told: bool) -> Lived {
    let mut stage = Stage::new(seed, rules, (plot.trouble, plot.pace), told);
    stage.chaos_ends = plot.chaos;
    let shared = Shared::new(stage);
    if plot.may_elect {
        let mut stage = shared.lock();
        stage.are_elected = stage.random.random_bool(0.4);
    }
    let mut users = Users::begin(&mut shared.lock(), plot);
    let mut operators = Operators::default();
    operators.start(&shared);
    let is_crowded = shared.lock().random.random_bool(0.3) || plot.is_crowded;
    if is_crowded || shared.lock().are_elected {
        operators.start(&shared);
    }
    while !is_over(&shared, plot.chaos) {
        step(&shared, &mut operators).await;
        users.act(&shared, &mut operators);
    }
    {
        let mut stage = shared.lock();
        stage.heal();
        stage.ask(|spec| {
            spec["hibernate"] = json!(false);
            spec["paused"] = json!(false);
        });
    }
    while operators.count() > 1 {
        operators.end_one(&shared);
    }
    let end = shared.lock().world.time + plot.rest;
    // Earlier requests may still arrive.
    let later = shared.lock().world.time + LATE;
    while !is_over(&shared, later) {
        step(&shared, &mut operators).await;
        shared.lock().follow_advice();
    }
    shared.lock().put_salt_back();
    let mut rested = 0;
    while rested < 100 && !is_over(&shared, end) {
        step(&shared, &mut operators).await;
        shared.lock().follow_advice();
        let is_at_rest = shared.lock().unfinished().is_none();
        rested = if is_at_rest { rested + 1 } else { 0 };
    }
    let mut stage = shared.lock();
    if rested < 100 && stage.world.broken.is_none() {
        let why = stage.unfinished().unwrap_or_default();
        stage
            .world
            .break_off(format!("it does not come to rest: {why}"));
    }
    if stage.world.broken.is_none() {
        stage.world.check_the_end();
    }
    Lived {
        broken: stage.world.broken.clone(),
        time: stage.world.time,
        story: format!(
            "{}\n{}",
            stage.world.story.last(lines(LINES)),
            stage.world.dump()
        ),
        changes: stage.store.version(),
    }
}

fn is_over(shared: &Shared, end: Duration) -> bool {
    let stage = shared.lock();
    stage.world.broken.is_some() || stage.world.time >= end
}

/// Time passes for all parts; operators that are due to end do, and there is always one.
async fn step(shared: &Shared, operators: &mut Operators) {
    sleep(STEP).await;
    let doomed = {
        let mut stage = shared.lock();
        stage.step();
        std::mem::take(&mut stage.doomed)
    };
    for operator in doomed {
        operators.end(operator, shared);
    }
    // An ended process starts again: one operator, or two elected ones while faults occur.
    let (are_two, is_no_operator) = {
        let stage = shared.lock();
        let time = stage.world.time;
        (
            stage.are_elected && time < stage.chaos_ends,
            time < stage.no_operator_until,
        )
    };
    if is_no_operator {
        return;
    }
    while operators.count() < if are_two { 2 } else { 1 } {
        operators.start(shared);
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

/// Asserts that all promises hold in worlds of this kind; the report on a failure names the test.
fn keep_promises(plot: &'static Plot, test: &str) {
    let (time, seeds) = match (setting("SIMULATION_SECONDS"), setting("SIMULATION_SEEDS")) {
        (None, None) => (Some(plot.run), SEEDS),
        (seconds, seeds) => (
            seconds.map(Duration::from_secs),
            seeds.unwrap_or(u64::MAX / 2),
        ),
    };
    let told = std::env::var_os("SIMULATION_STORY").is_some();
    let failed = run(seeds, time, |seed| {
        let lived = live_with(seed, rules(), plot, told);
        (lived.time, lived.broken)
    });
    if let Some(seed) = failed {
        let lived = live_with(seed, rules(), plot, true);
        panic!(
            "seed {seed}: {}\n{}\nreplay: SIMULATION_FIRST={seed} SIMULATION_SEEDS=1 cargo test -p opensecureconf-operator --test simulation \
             -- {test}",
            lived.broken.as_deref().unwrap_or("nothing is broken"),
            lived.story,
        );
    }
}

#[test]
fn any_world_keeps_its_promises() {
    keep_promises(&Plot::ANY, "any_world");
}

#[test]
fn keys_and_certificates_are_exchanged_and_no_caller_is_cut_off() {
    keep_promises(&Plot::EXCHANGES, "no_caller_is_cut_off");
}

#[test]
fn a_seed_is_one_world() {
    for seed in 1..3 {
        let [one, other] = [0, 1].map(|_| live_with(seed, Rules::ALL, &Plot::ANY, false));
        assert_eq!(
            (one.changes, one.time, one.broken),
            (other.changes, other.time, other.broken)
        );
    }
}
