//! How long a client may take. No settings: tests lower them.

use std::time::Duration;

/// After these times a client is not worth its connection, or the connection to the database that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the headers of a request have arrived, from their first byte; for the first request from the start of the
    /// connection.
    pub headers: Duration,
    /// Until the body of a client must arrive at its rate.
    pub body: Duration,
    /// Until the message of another node is there.
    pub message: Duration,
    /// Until a client reads any of the bytes sent to it.
    pub stall: Duration,
    /// Until a client has all of a list that is sent while it is read.
    pub list: Duration,
    /// Until the next request after an answer.
    pub idle: Duration,
    /// Until the node closes a connection gracefully, whatever its client does.
    pub age: Duration,
    /// Until the rest of a refused request's body is there.
    pub rest: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            body: Duration::from_secs(5),
            message: Duration::from_secs(30),
            stall: Duration::from_secs(10),
            list: Duration::from_mins(2),
            // Load balancers keep theirs for 60 seconds: the node must not be the first to close.
            idle: Duration::from_secs(75),
            age: Duration::from_hours(1),
            rest: Duration::from_secs(5),
        }
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
    }
}
