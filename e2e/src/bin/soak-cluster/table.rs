//! The actions, and their effect on clients, as a table.

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opensecureconf_e2e::{Met, Sum};

/// An action. The observations of clients belong to it until the next action begins.
#[derive(Debug)]
pub(crate) struct Row {
    /// The name of the action.
    pub(crate) name: &'static str,
    /// When it began, in seconds since 1970.
    pub(crate) begun: u64,
    /// How long it took until everything served again.
    pub(crate) took: Duration,
    /// The observations of the action.
    pub(crate) seen: String,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// Draws the table. The first row begins with the clients, and the last one ends with them.
pub(crate) fn draw(rows: &[Row], met: &Met) -> String {
    let mut table = String::new();
    let start = rows.first().map_or(0, |row| row.begun);
    let heads = ["at", "took", "requests", "failed", "slowest", "lost"];
    let [at, took, requests, failed, slowest, lost] = heads;
    let mut line = |name: &str, at: &str, took: &str, sum: [&str; 4], seen: &str| {
        let [requests, failed, slowest, lost] = sum;
        let line = format!(
            "{name:<30} {at:>6} {took:>7} {requests:>9} {failed:>7} {slowest:>8} {lost:>5}  {seen}"
        );
        // Writing to a string does not fail.
        let _ = writeln!(table, "{}", line.trim_end());
    };
    line("what", at, took, [requests, failed, slowest, lost], "seen");
    let figures = |sum: &Sum| {
        [
            sum.requests.to_string(),
            sum.failed.to_string(),
            format!("{:.2} s", sum.slowest),
            sum.lost.to_string(),
        ]
    };
    for (number, row) in rows.iter().enumerate() {
        let from = if number == 0 { 0 } else { row.begun };
        let to = rows.get(number + 1).map_or(u64::MAX, |next| next.begun);
        let figures = figures(&met.within(&(from..to)));
        let after = row.begun.saturating_sub(start);
        line(
            row.name,
            &format!("{}:{:02}", after / 60, after % 60),
            &format!("{} s", row.took.as_secs()),
            figures.each_ref().map(String::as_str),
            &row.seen,
        );
    }
    let all = figures(&met.all());
    line("all", "", "", all.each_ref().map(String::as_str), "");
    table
}

#[cfg(test)]
mod tests {
    use opensecureconf_e2e::Second;

    use super::*;

    fn second(at: u64, failed: u64, slowest: f64, lost: u64) -> Second {
        Second {
            at,
            requests: 10,
            failed,
            slowest,
            lost,
        }
    }

    fn row(name: &'static str, begun: u64) -> Row {
        Row {
            name,
            begun,
            took: Duration::from_secs(7),
            seen: "it came back".to_owned(),
        }
    }

    #[test]
    fn what_clients_met_belongs_to_what_was_done_last() {
        let met = Met {
            seconds: vec![
                second(99, 0, 0.1, 0),
                second(161, 1, 2.5, 0),
                second(161, 2, 0.2, 0),
                second(230, 0, 0.3, 1),
            ],
            ..Met::default()
        };
        let table = draw(
            &[row("nothing", 100), row("drain", 160), row("kill", 230)],
            &met,
        );
        let lines: Vec<Vec<_>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let words = |line: &'static str| line.split_whitespace().collect::<Vec<_>>();
        let expected = [
            "nothing 0:00 7 s 10 0 0.10 s 0 it came back",
            "drain 1:00 7 s 20 3 2.50 s 0 it came back",
            "kill 2:10 7 s 10 0 0.30 s 1 it came back",
            "all 40 3 2.50 s 1",
        ];
        assert_eq!(lines[1..], expected.map(words));
    }
}
