//! Durations of a command line, such as `90s`, `5m` or `1h30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads a duration.
///
/// # Errors
/// Text that is no duration, or a negative one; in words for its author.
pub fn read(text: &str) -> Result<Duration, String> {
    let help = || format!("'{text}' is no duration; write 90s, 5m or 1h30m");
    let parsed: SignedDuration = text.parse().map_err(|_| help())?;
    Duration::try_from(parsed).map_err(|_| help())
}

/// Writes a duration in the form in which it is read.
pub fn write(duration: Duration) -> String {
    let signed = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    format!("{signed:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_written_as_people_write_it() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400), ("0s", 0)] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "90", "soon", "-5m"] {
            assert!(read(text).unwrap_err().contains("write 90s"), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (text, seconds) in [("1s", 1), ("10m", 600), ("1h 30m", 5400), ("24h", 86400)] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(write(duration), text);
            assert_eq!(read(text), Ok(duration));
        }
    }
}
