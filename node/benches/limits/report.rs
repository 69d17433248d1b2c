//! The table and the JSON.

use std::path::Path;

use serde_json::json;

/// The figure that is compared with the bar.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    /// `ours / limit` must be at least this.
    RatioAtLeast(f64),
    /// `ours / limit` must be at most this.
    RatioAtMost(f64),
    /// `ours` must be less than the limit.
    Below,
    /// Shown for comparison.
    None,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    /// A description of the limit.
    pub(crate) against: &'static str,
    pub(crate) limit: f64,
    pub(crate) bar: Bar,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.limit
    }

    pub(crate) fn met(&self) -> bool {
        match self.bar {
            Bar::RatioAtLeast(bar) => self.ratio() >= bar,
            Bar::RatioAtMost(bar) => self.ratio() <= bar,
            Bar::Below => self.ours < self.limit,
            Bar::None => true,
        }
    }

    fn line(&self) -> String {
        format!(
            "{:<44} {:>10.1} {:>10.1} {:<8} {:>6.2} {:>8}  {:<5} {}",
            self.what,
            self.ours,
            self.limit,
            self.unit,
            self.ratio(),
            self.bar_text(),
            if self.met() { "met" } else { "MISS" },
            self.against
        )
    }

    fn bar_text(&self) -> String {
        match self.bar {
            Bar::RatioAtLeast(bar) => format!(">= {bar:.2}"),
            Bar::RatioAtMost(bar) => format!("<= {bar:.2}"),
            Bar::Below => "< 1".to_owned(),
            Bar::None => "-".to_owned(),
        }
    }
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "{:<44} {:>10} {:>10} {:<8} {:>6} {:>8}  {:<5} against",
        "what", "ours", "limit", "unit", "ratio", "bar", ""
    );
    for row in rows {
        println!("{}", row.line());
    }
}

/// Prints the rows that miss their bars once more, so that the last lines of a log name them with their figures.
pub(crate) fn print_missed(rows: &[Row]) {
    let missed: Vec<_> = rows.iter().filter(|row| !row.met()).collect();
    if !missed.is_empty() {
        println!("\n{} of {} rows miss their bar", missed.len(), rows.len());
    }
    for row in missed {
        println!("{}", row.line());
    }
}

/// Where the JSON is, in the folder of the tree.
pub(crate) const FILE: &str = "target/bench.json";

pub(crate) fn write_json(rows: &[Row]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE);
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({"what": row.what, "unit": row.unit, "ours": row.ours, "limit": row.limit, "against": row.against,
                   "ratio": row.ratio(), "bar": row.bar_text(), "met": row.met()})
        })
        .collect();
    let report = json!({ "machine": machine(), "rows": rows });
    let text = serde_json::to_string_pretty(&report).unwrap();
    std::fs::write(&path, text + "\n").unwrap();
    eprintln!("written to {FILE}");
}

/// The machine on which the figures were measured.
fn machine() -> serde_json::Value {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |path: &str, name: &str| {
        text(path)
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
    };
    json!({
        "processor": value("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": value("/proc/meminfo", "MemTotal"),
        "kernel": text("/proc/sys/kernel/osrelease").trim(),
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// The middle of some figures: one noisy round does not move it.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The figure below which this many percent lie.
pub(crate) fn percentile(mut figures: Vec<f64>, percent: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() * percent / 100]
}
