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
