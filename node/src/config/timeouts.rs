//! How long a client may take, and how fast it must be. What is no setting is fixed; tests lower it.

use std::{ops::RangeInclusive, time::Duration};

use super::Values;

/// After these times a client is not worth its connection, or the connection to the database that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the headers of a request have arrived, from their first byte; for the first request from the start of the
    /// connection.
    pub headers: Duration,
    /// Until the body of a client, or the message of another node, must arrive at its rate.
    pub body: Duration,
    /// How fast it must arrive then, in bytes per second, on the average since its beginning.
    pub body_rate: u64,
    /// Until the message of another node is there.
    pub message: Duration,
    /// Until a client reads any of the bytes sent to it.
    pub stall: Duration,
    /// How fast a client must take an answer after that, in bytes per second.
    pub answer_rate: u64,
    /// Until a client has all of an answer, or of a list that is sent while it is read.
    pub list: Duration,
    /// Until the next request after an answer.
    pub idle: Duration,
    /// Until the node closes a connection gracefully, whatever its client does.
    pub age: Duration,
    /// Until the rest of a refused request's body is there.
    pub rest: Duration,
}

impl Timeouts {
    /// The times of a node without settings.
    pub const DEFAULT: Self = Self {
        headers: Duration::from_secs(10),
        body: Duration::from_secs(5),
        body_rate: 16 << 10,
        message: Duration::from_secs(30),
        stall: Duration::from_secs(10),
        answer_rate: 64 << 10,
        list: Duration::from_mins(2),
        // Load balancers keep theirs for 60 seconds: the node must not be the first to close.
        idle: Duration::from_secs(75),
        age: Duration::from_hours(1),
        rest: Duration::from_secs(5),
    };

    /// Those that the settings give.
    pub(super) fn of(values: &mut Values<'_>) -> Self {
        let default = Self::DEFAULT;
        let mut seconds = |name: &str, range: RangeInclusive<u64>, default: Duration| {
            let given = values.within(name, "a number of seconds", range);
            given.map_or(default, Duration::from_secs)
        };
        let headers = seconds("HEADER_SECONDS", 1..=120, default.headers);
        let list = seconds("ANSWER_SECONDS", 10..=3600, default.list);
        let idle = seconds("IDLE_SECONDS", 1..=86_400, default.idle);
        let age = seconds("CONNECTION_SECONDS", 1..=86_400, default.age);
        let mut rate = |name: &str, least: u64, default: u64| {
            let given = values.within(name, "a number of bytes", least..=1 << 20);
            given.unwrap_or(default)
        };
        Self {
            headers,
            body_rate: rate("BODY_BYTES_PER_SECOND", 256, default.body_rate),
            answer_rate: rate("ANSWER_BYTES_PER_SECOND", 1024, default.answer_rate),
            list,
            idle,
            age,
            ..default
        }
    }

    /// How long so many bytes of a body may take after its grace.
    pub(crate) fn time_of_body(&self, bytes: usize) -> Duration {
        time_of(bytes, self.body_rate)
    }

    /// How long so many bytes of an answer may take after its grace.
    pub(crate) fn time_of_answer(&self, bytes: usize) -> Duration {
        time_of(bytes, self.answer_rate)
    }
}

fn time_of(bytes: usize, rate: u64) -> Duration {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Duration::from_micros(bytes.saturating_mul(1_000_000) / rate.max(1))
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_the_times_that_the_page_of_limits_says() {
        let times = Timeouts::default();
        let seconds = [
            (times.headers, 10),
            (times.body, 5),
            (times.stall, 10),
            (times.list, 120),
            (times.idle, 75),
            (times.age, 3600),
            (times.rest, 5),
        ];
        for (time, seconds) in seconds {
            assert_eq!(time.as_secs(), seconds, "{times:?}");
        }
        assert_eq!(times.time_of_body(16 << 10), Duration::from_secs(1));
        assert_eq!(times.time_of_answer(64 << 10), Duration::from_secs(1));
    }
}
