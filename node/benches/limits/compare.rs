//! Two builds in turn: the benchmark of this tree and that of another one, each with its own node. Noise of the machine hits
//! both.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

use crate::report::{FILE, median};

/// How often each build is measured.
const TURNS: usize = 3;

/// The figures of a row, one for each turn.
type Figures = BTreeMap<(String, String), Vec<f64>>;

/// Measures rows with this program and with that of another tree, and prints how they compare.
///
/// # Panics
/// Where one of the programs fails.
pub(crate) fn run(tree: &Path, program: &Path, rows: &[String]) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let ours = std::env::current_exe().unwrap();
    let (mut before, mut now) = (Figures::new(), Figures::new());
    for turn in 1..=TURNS {
        eprintln!("turn {turn} of {TURNS}");
        measure(program, tree, rows, &mut before);
        measure(&ours, &here, rows, &mut now);
    }
    println!(
        "{:<48} {:<7} {:>10} {:>10} {:>7}  lowest and highest of either",
        "what", "unit", "before", "now", "ratio"
    );
    for ((what, unit), now) in now {
        let Some(before) = before.get(&(what.clone(), unit.clone())) else {
            println!("{what:<48} {unit:<7} only here");
            continue;
        };
        let (was, is) = (median(before.clone()), median(now.clone()));
        println!(
            "{what:<48} {unit:<7} {was:>10.1} {is:>10.1} {:>7.2}  {} and {}",
            is / was,
            ends(before),
            ends(&now)
        );
    }
}

/// Runs a benchmark and records its figures.
fn measure(program: &Path, tree: &Path, rows: &[String], figures: &mut Figures) {
    // Where a row misses its bar, the program ends with 1.
    let status = Command::new(program).args(rows).status().unwrap();
    assert!(
        matches!(status.code(), Some(0 | 1)),
        "{}: {status}",
        program.display()
    );
    let text = std::fs::read_to_string(tree.join(FILE)).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let mut noted = BTreeMap::new();
    for row in report["rows"].as_array().unwrap() {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        // Where a row has several limits, the node's figure is the same.
        noted.insert((text("what"), text("unit")), row["ours"].as_f64().unwrap());
    }
    for (row, figure) in noted {
        figures.entry(row).or_default().push(figure);
    }
}

fn ends(figures: &[f64]) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    format!("{least:.1} to {most:.1}")
}
