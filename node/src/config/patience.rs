//! How long a client may take. No settings: tests lower them.

use std::time::Duration;

/// After these times a client is not worth its connection, or the connection to the database that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until the headers of a request are there; the first one included.
    pub headers: Duration,
    /// Until a body is there.
    pub body: Duration,
    /// Until a client takes anything of what is sent to it.
    pub stall: Duration,
    /// Until a client has all of a list that is sent while it is read.
    pub list: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            body: Duration::from_secs(30),
            stall: Duration::from_secs(10),
            list: Duration::from_mins(2),
        }
    }
}
