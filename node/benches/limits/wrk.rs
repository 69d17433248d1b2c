//! Load, made by `wrk`.

use std::process::Command;

/// Seconds of one measurement.
pub(crate) const SECONDS: u32 = 5;

/// Requests per second of some connections that each wait for their answer; every answer must be a success.
pub(crate) fn requests_per_second(connections: u32, url: &str, script: &str) -> f64 {
    figure(&run_well(connections, url, script), "Requests/sec:")
}

/// How many requests the same connections had answered.
pub(crate) fn requests(connections: u32, url: &str, script: &str) -> f64 {
    let output = run_well(connections, url, script);
    let count = output
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "));
    count.unwrap().0.parse().unwrap()
}

/// What some connections had answered, and how long they waited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) per_second: f64,
    /// Milliseconds in which half of the answers came.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// The load of some connections that each wait for their answer; every answer must be a success.
pub(crate) fn load(connections: u32, url: &str, script: &str) -> Load {
    let output = run_well(connections, url, script);
    Load {
        per_second: figure(&output, "Requests/sec:"),
        p50: milliseconds(&output, "50%"),
        p99: milliseconds(&output, "99%"),
    }
}

/// A time of the table of latencies: `12.34us`, `1.23ms` or `1.20s`.
fn milliseconds(output: &str, label: &str) -> f64 {
    let line = output
        .lines()
        .find_map(|line| line.trim().strip_prefix(label));
    let text = line
        .unwrap_or_else(|| panic!("no {label} in {output}"))
        .trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().unwrap();
    match unit {
        "us" => number / 1000.0,
        "ms" => number,
        "s" => number * 1000.0,
        _ => panic!("{label} of {output}"),
    }
}

fn run_well(connections: u32, url: &str, script: &str) -> String {
    let output = run(connections, url, script);
    assert!(!output.contains("Non-2xx"), "{output}");
    assert!(!output.contains("Socket errors"), "{output}");
    output
}

/// The same for answers of any kind.
pub(crate) fn run(connections: u32, url: &str, script: &str) -> String {
    let file = tempfile::NamedTempFile::with_suffix(".lua").unwrap();
    std::fs::write(file.path(), script).unwrap();
    let output = Command::new("wrk")
        .args(["-t1", "--latency"])
        .arg(format!("-c{connections}"))
        .arg(format!("-d{SECONDS}s"))
        .arg("-s")
        .arg(file.path())
        .arg(url)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn figure(output: &str, label: &str) -> f64 {
    let line = output
        .lines()
        .find_map(|line| line.trim().strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label} in {output}"))
        .trim()
        .parse()
        .unwrap()
}
