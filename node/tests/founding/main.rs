//! Founding, joining and the salt: everything that can happen to two and three nodes and their owner, up to a bound.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, and tells how far it looked"
)]

mod action;
mod disk;
mod fingerprint;
mod node;
mod owner;
mod search;
mod world;

use opensecureconf_node::cluster::{Rule, Rules};
use owner::Discipline;
use search::{Bounds, search};
use world::Beginning;

fn two() -> Beginning {
    Beginning { names: &["a", "b"], mounted: None, rows: false, rules: Rules::ALL, discipline: Discipline::MarkFirst }
}

fn three() -> Beginning { Beginning { names: &["a", "b", "c"], ..two() } }
fn salt() -> opensecureconf_node::crypto::Salt { opensecureconf_node::crypto::Salt::from_bytes(&[5; 64]).unwrap() }

#[test]
fn scratch() {
    use action::Action::*;
    use world::Fate::Arrives;
    let env = |name: &str, or: usize| std::env::var(name).map_or(or, |d| d.parse().unwrap());
    let bounds = Bounds { actions: env("D", 6), faults: env("F", 2), sample: env("S", 100) as u64 };
    let mut begin = match std::env::var("B").unwrap().as_str() {
        "two" => two(), "three" => three(),
        "mounted" => Beginning { mounted: Some(salt()), ..two() },
        "rows" => Beginning { mounted: Some(salt()), rows: true, ..two() },
        "rows3" => Beginning { mounted: Some(salt()), rows: true, ..three() },
        "equal" => Beginning { names: &["x", "x"], ..two() },
        "equal3" => Beginning { names: &["y", "x", "x"], ..two() },
        "again" => Beginning { discipline: Discipline::MarkAgain, ..two() },
        "only" => Beginning { discipline: Discipline::MarkOnly, ..two() },
        _ => panic!(),
    };
    let founded = vec![Asks(0, 1, Arrives), OwnerLooksAt(0), OwnerMarks, OwnerTells(0)];
    let mut joined = founded.clone();
    joined.extend([TimePasses, Asks(1, 0, Arrives), Asks(1, 0, Arrives)]);
    if begin.rows { joined.push(Asks(1, 0, Arrives)); }
    let mut grown = joined.clone();
    grown.extend([TimePasses, Asks(1, 0, Arrives)]);
    let first = match env("P", 0) { 0 => vec![], 1 => founded, 2 => joined, _ => grown };
    let rules: Vec<Option<Rule>> = if std::env::var("RULES").is_ok() { Rule::ALL.iter().copied().map(Some).collect() } else { vec![None] };
    for rule in rules {
        begin.rules = rule.map_or(Rules::ALL, Rules::without);
        let report = search(begin.clone(), &first, bounds);
        eprintln!("{rule:?} {} {} {} {:?}", report.worlds, report.steps, report.continued, report.took);
        if let Some(story) = &report.wrong { eprintln!("{}", story.text()); }
    }
}
