//! Founding, joining and the salt: everything that can happen to two and three nodes and their owner, up to a bound.

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
mod disk;
mod fingerprint;
mod judge;
mod node;
mod owner;
mod search;
mod world;

use beginning::Beginning;
use opensecureconf_node::cluster::{Rule, Rules};
use owner::Discipline;
use search::{Bounds, search};

#[test]
fn scratch() {
    let env = |name: &str, or: usize| std::env::var(name).map_or(or, |d| d.parse().unwrap());
    let bounds = Bounds {
        actions: env("D", 6),
        faults: env("F", 2),
        sample: env("S", 100) as u64,
    };
    let two = Beginning::of(&["a", "b"]);
    let three = Beginning::of(&["a", "b", "c"]);
    for b in std::env::var("B").unwrap().split(',') {
        let mut begin = match b {
            "two" => two.clone(),
            "three" => three.clone(),
            "rows" => two.clone().with_rows(),
            "rows3" => three.clone().with_rows(),
            "equal" => Beginning::of(&["x", "x"]),
            "equal3" => Beginning::of(&["y", "x", "x"]),
            "again" => Beginning {
                discipline: Discipline::MarkAgain,
                ..two.clone()
            },
            "only" => Beginning {
                discipline: Discipline::MarkOnly,
                ..two.clone()
            },
            _ => panic!(),
        };
        let rules: Vec<Option<Rule>> = if std::env::var("RULES").is_ok() {
            Rule::ALL.iter().copied().map(Some).collect()
        } else {
            vec![None]
        };
        for rule in rules {
            begin.rules = rule.map_or(Rules::ALL, Rules::without);
            for p in std::env::var("P").unwrap_or("0".into()).chars() {
                let world = match p {
                    '0' => begin.blank(),
                    '1' => begin.founded(),
                    '2' => begin.joining(),
                    _ => begin.grown(),
                };
                let report = search(world, bounds);
                eprintln!(
                    "{b} {p} {rule:?} {} {} {} {:?}",
                    report.worlds, report.steps, report.continued, report.took
                );
                if let Some(story) = &report.wrong {
                    eprintln!("{}", story.text());
                }
            }
        }
    }
}
