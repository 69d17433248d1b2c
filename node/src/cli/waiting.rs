//! How a command waits for the database that nodes share (`--wait`).

use std::{
    cell::Cell,
    fmt::Display,
    io::{self, Write},
    time::{Duration, Instant},
};

use clap::ArgMatches;
use tokio::time::sleep;

/// How often a command is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// How long the command waits.
pub(super) fn wait(arguments: &ArgMatches) -> Duration {
    let seconds = arguments.get_one::<u64>("wait").copied();
    Duration::from_secs(seconds.unwrap_or_default())
}

/// How long a command has been in vain.
struct Interruption {
    wait: Duration,
    /// When the first try failed of those that failed one after the other.
    since: Option<Instant>,
}

impl Interruption {
    fn new(wait: Duration) -> Self {
        Self { wait, since: None }
    }

    /// Whether there is another try after one that failed now. Where that one got further than all before, the interruption
    /// began with its failure.
    fn may_go_on(&mut self, now: Instant, got_further: bool) -> bool {
        if got_further {
            self.since = None;
        }
        let since = *self.since.get_or_insert(now);
        now.saturating_duration_since(since) < self.wait
    }
}

/// Tries a command of the shared database, again and again, until its errors have lasted so long without a try that got
/// further, and for so long as they may pass by themselves. A try says so in `got_further`. Standard error shows what the
/// command waits for.
pub(super) async fn until_it_succeeds<T, E: Display>(
    wait: Duration,
    may_pass: fn(&E) -> bool,
    got_further: &Cell<bool>,
    mut command: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let (mut interruption, mut told) = (Interruption::new(wait), None);
    loop {
        let error = match command().await {
            Err(error)
                if may_pass(&error)
                    && interruption.may_go_on(Instant::now(), got_further.take()) =>
            {
                error.to_string()
            }
            outcome => return outcome,
        };
        if told.as_ref() != Some(&error) {
            // If no reader takes it, the command goes on.
            let _ = writeln!(io::stderr(), "{error}; trying again for {wait:?}");
        }
        told = Some(error);
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    /// Runs a command that fails so often; the number of its tries.
    fn tries(wait: Duration, failures: u32, may_pass: fn(&String) -> bool) -> (bool, u32) {
        let mut tries = 0;
        let outcome = block_on(until_it_succeeds(
            wait,
            may_pass,
            &Cell::default(),
            async || {
                tries += 1;
                if tries > failures {
                    Ok(())
                } else {
                    Err("it is away".to_owned())
                }
            },
        ));
        (outcome.is_ok(), tries)
    }

    #[test]
    fn a_command_waits_for_what_may_pass_and_for_nothing_else() {
        let long = Duration::from_hours(1);
        assert_eq!(tries(long, 1, |_| true), (true, 2));
        assert_eq!(tries(long, 1, |_| false), (false, 1));
        assert_eq!(tries(Duration::ZERO, 1, |_| true), (false, 1));
    }

    #[test]
    fn the_time_counts_from_the_interruption_and_not_from_the_start_of_the_command() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut interruption = Interruption::new(Duration::from_mins(5));
        // The first try worked for two hours.
        assert!(interruption.may_go_on(at(7200), false));
        assert!(interruption.may_go_on(at(7499), false));
        // A try got further: the next interruption is another one.
        assert!(interruption.may_go_on(at(9000), true));
        assert!(interruption.may_go_on(at(9299), false));
        assert!(!interruption.may_go_on(at(9300), false));
    }
}
