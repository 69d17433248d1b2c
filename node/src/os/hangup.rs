//! SIGHUP: the end of a terminal, unless the process was started with it ignored, as `nohup` does. Then it stays ignored.

use std::{fs, future, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The next SIGHUP that counts.
#[derive(Debug)]
pub struct Hangup(Option<Signal>);

impl Hangup {
    /// Listens from now on. It must be called before another part of the process listens.
    ///
    /// # Errors
    /// Where the process cannot listen to signals.
    pub fn listen() -> io::Result<Self> {
        // Without this file, as on other systems, the signal counts.
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if is_ignored(&status) {
            return Ok(Self(None));
        }
        signal(SignalKind::hangup()).map(Some).map(Self)
    }

    /// Waits for it.
    pub async fn recv(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => future::pending().await,
        }
    }
}

/// Whether a process with this `/proc/<id>/status` ignores SIGHUP, which is the first signal of the set.
fn is_ignored(status: &str) -> bool {
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    ignored.is_some_and(|set| set & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_ignored_signals_is_the_hangup() {
        let status = |ignored| {
            format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{ignored}\nSigCgt:\t1\n")
        };
        assert!(is_ignored(&status("0000000000000001")));
        assert!(is_ignored(&status("0000000000001007")), "among others");
        assert!(!is_ignored(&status("0000000000001006")));
        assert!(!is_ignored(&status("none")));
        assert!(!is_ignored(""), "there is no such file");
    }
}
