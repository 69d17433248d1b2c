//! The events of a world in words, kept only where they will be read. `SIMULATION_STORY=1` prints them while they happen.

use std::time::Duration;

/// Lines that are kept.
const LINES: usize = 100_000;

/// The story of one world.
#[derive(Debug, Default)]
pub(crate) struct Story {
    told: bool,
    lines: std::collections::VecDeque<String>,
}

impl Story {
    /// A story that is written down, or not.
    pub(crate) fn new(told: bool) -> Self {
        Self {
            told,
            lines: std::collections::VecDeque::new(),
        }
    }

    /// Adds a line.
    pub(crate) fn tell(&mut self, time: Duration, line: impl FnOnce() -> String) {
        if self.told {
            if self.lines.len() == LINES {
                self.lines.pop_front();
            }
            let line = format!("{:>9.3} s  {}", time.as_secs_f64(), line());
            if std::env::var_os("SIMULATION_STORY").is_some() {
                println!("{line}");
            }
            self.lines.push_back(line);
        }
    }

    /// Adds a line on a message, for readers that ask for each (`SIMULATION_MESSAGES=1`).
    pub(crate) fn trace(&mut self, time: Duration, line: impl FnOnce() -> String) {
        if self.told && std::env::var_os("SIMULATION_MESSAGES").is_some() {
            self.tell(time, line);
        }
    }

    /// The last lines.
    pub(crate) fn last(&self, count: usize) -> String {
        let skipped = self.lines.len().saturating_sub(count);
        let lines: Vec<_> = self
            .lines
            .iter()
            .skip(skipped)
            .map(String::as_str)
            .collect();
        lines.join("\n")
    }
}
