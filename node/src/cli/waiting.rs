//! How a command waits for the database that nodes share (`--wait`).

use std::{
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

/// Tries a command of the shared database, again and again for so long as its error may pass by itself. Standard error shows
/// what it waits for.
pub(super) async fn until_it_succeeds<T, E: Display>(
    wait: Duration,
    may_pass: fn(&E) -> bool,
    mut command: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let (began, mut told) = (Instant::now(), None);
    loop {
        let error = match command().await {
            Err(error) if may_pass(&error) && began.elapsed() < wait => error.to_string(),
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
        let outcome = block_on(until_it_succeeds(wait, may_pass, async || {
            tries += 1;
            if tries > failures {
                Ok(())
            } else {
                Err("it is away".to_owned())
            }
        }));
        (outcome.is_ok(), tries)
    }

    #[test]
    fn a_command_waits_for_what_may_pass_and_for_nothing_else() {
        let long = Duration::from_hours(1);
        assert_eq!(tries(long, 1, |_| true), (true, 2));
        assert_eq!(tries(long, 1, |_| false), (false, 1));
        assert_eq!(tries(Duration::ZERO, 1, |_| true), (false, 1));
    }
}
