//! The figures of an attack, their bounds, and the table.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::{Attack, honest::Latency, scene::Scale};

/// MiB that a node may hold under any attack.
const MEMORY_BOUND: f64 = 160.0;
/// The same where the kernel keeps no highest figure: that of a pod. gVisor's kernel counts up to twice as much for the same.
const SAMPLED_MEMORY_BOUND: f64 = 256.0;
/// Up to this latency of the honest client no slowdown counts.
const LATENCY_FLOOR: Duration = Duration::from_millis(50);
/// How many times slower the honest client may be than before the attack.
const SLOWDOWN: u32 = 10;

/// The same in a short run, and for `/health` alone: the kubelet restarts a pod whose probe has no answer within 3 s, three times
/// running.
const STARVED: Duration = Duration::from_secs(5);
const PROBE: Duration = Duration::from_secs(3);

/// The kinds of attackers, as docs/threat-model.md names them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    /// Can open a connection.
    Network,
    /// Has the API key.
    ApiKey,
    /// Has the cluster key, and is no member.
    ClusterKey,
    /// Answers at an address that the node dials.
    Peer,
    /// Reads and writes the disk.
    Disk,
}

impl Caller {
    fn name(self) -> &'static str {
        match self {
            Self::Network => "anyone",
            Self::ApiKey => "API key",
            Self::ClusterKey => "cluster key",
            Self::Peer => "peer's address",
            Self::Disk => "disk",
        }
    }
}

/// What the attacker learned and should not have, beside what it may learn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Learned {
    pub(crate) count: usize,
    pub(crate) bound: usize,
}

/// The result of an attack.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// MiB at most; `None` where the attack is none on memory.
    pub(crate) peak: Option<f64>,
    /// Whether the kernel keeps no peak, so that the figure is the highest of the samples.
    pub(crate) sampled: bool,
    /// When the node ended, if it did.
    pub(crate) ended: Option<Duration>,
    pub(crate) before: Option<Latency>,
    pub(crate) under: Option<Latency>,
    pub(crate) learned: Option<Learned>,
    /// Whether the honest client's time is bounded in a short run too.
    pub(crate) starves: bool,
    /// What the attack did, in a few words.
    pub(crate) note: String,
    /// A fault beside the three figures.
    pub(crate) fault: Option<String>,
}

/// One line of the table.
pub(crate) struct Row {
    name: &'static str,
    caller: Caller,
    figures: Figures,
    faults: Vec<String>,
}

impl Row {
    pub(crate) fn new(attack: &Attack, figures: Figures, scale: Scale) -> Self {
        let mut faults = Vec::new();
        if let Some(ended) = figures.ended {
            faults.push(format!("the node ended after {:.1} s", ended.as_secs_f64()));
        }
        let bound = if figures.sampled {
            SAMPLED_MEMORY_BOUND
        } else {
            MEMORY_BOUND
        };
        if let Some(peak) = figures.peak.filter(|peak| *peak > bound) {
            faults.push(format!("{peak:.0} MiB are more than {bound:.0}"));
        }
        if let Some(learned) = figures.learned
            && learned.count > learned.bound
        {
            faults.push(format!(
                "{} learned, {} allowed",
                learned.count, learned.bound
            ));
        }
        faults.extend(figures.fault.clone());
        if let (Scale::Full, Some(before), Some(under)) = (scale, figures.before, figures.under) {
            let bound = (before.p99 * SLOWDOWN).max(LATENCY_FLOOR);
            if under.p99 > bound {
                faults.push(format!(
                    "an honest p99 of {} is more than {}",
                    milliseconds(under.p99),
                    milliseconds(bound)
                ));
            }
        }
        if let Some(under) = figures.under.filter(|_| figures.starves) {
            for (of, took, bound) in [
                ("an honest p99", under.p99, STARVED),
                ("a p99 of /health", under.health, PROBE),
            ] {
                if took > bound {
                    let (took, bound) = (milliseconds(took), milliseconds(bound));
                    faults.push(format!("{of} of {took} is more than {bound} in any run"));
                }
            }
        }
        Self {
            name: attack.name,
            caller: attack.caller,
            figures,
            faults,
        }
    }

    pub(crate) fn failed(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The row in Markdown.
    pub(crate) fn line(&self) -> String {
        let figures = &self.figures;
        let peak = figures
            .peak
            .map_or("-".to_owned(), |peak| format!("{peak:.0} MiB"));
        let latency = |latency: Option<Latency>| {
            latency.map_or("-".to_owned(), |latency| match latency.unanswered {
                0 => milliseconds(latency.p99),
                unanswered => format!(
                    "{}, {unanswered} of {} unanswered",
                    milliseconds(latency.p99),
                    latency.requests
                ),
            })
        };
        let learned = figures.learned.map_or("-".to_owned(), |learned| {
            format!("{} (bound {})", learned.count, learned.bound)
        });
        let verdict = if self.failed() {
            format!("FAILS: {}", self.faults.join("; "))
        } else {
            "holds".to_owned()
        };
        let note = match figures.note.as_str() {
            "" => String::new(),
            note => format!(": {note}"),
        };
        format!(
            "| {}{note} | {} | {peak} | {} | {} | {learned} | {verdict} |",
            self.name,
            self.caller.name(),
            latency(figures.before),
            latency(figures.under),
        )
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Prints the table as docs/threat-model.md shows it.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "\n| attack | caller | memory | honest p99 before | under attack | learned | verdict |"
    );
    println!("|---|---|---|---|---|---|---|");
    for row in rows {
        println!("{}", row.line());
    }
    print!("{}", end(rows));
}

/// The count, and behind it the rows that fail: the last lines of a log name them.
fn end(rows: &[Row]) -> String {
    let failed: Vec<_> = rows.iter().filter(|row| row.failed()).collect();
    let mut end = format!(
        "\n{} of {} attacks hold\n",
        rows.len() - failed.len(),
        rows.len()
    );
    for row in failed {
        end.push_str(&row.line());
        end.push('\n');
    }
    end
}

fn not_made(_: Scale) -> BoxFuture<'static, Figures> {
    Box::pin(async { Figures::default() })
}

/// Holds before any attack is made: the table ends with the rows that fail, and their figures.
pub(crate) fn check_the_end() {
    let row = |name, peak| {
        let attack = Attack {
            name,
            caller: Caller::Network,
            run: not_made,
        };
        let figures = Figures {
            peak: Some(peak),
            ..Figures::default()
        };
        Row::new(&attack, figures, Scale::Short)
    };
    let rows = [
        row("held", 1.0),
        row("too large", 900.0),
        row("held too", 2.0),
    ];
    let end = end(&rows);
    let lines: Vec<_> = end.trim().lines().collect();
    assert_eq!(lines.len(), 2, "{end}");
    assert_eq!(lines[0], "2 of 3 attacks hold");
    assert!(
        lines[1].contains("| too large | anyone | 900 MiB |"),
        "{end}"
    );
    assert!(
        lines[1].contains("FAILS: 900 MiB are more than 160"),
        "{end}"
    );
}
