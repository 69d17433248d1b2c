//! The warnings that the operator logs on the thread of a test.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::subscriber::DefaultGuard;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged while it lives.
pub(crate) struct Warnings {
    log: Log,
    _told: DefaultGuard,
}

impl Warnings {
    /// From now on.
    pub(crate) fn listen() -> Self {
        let log = Log::default();
        let writer = log.clone();
        let warnings = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let told = tracing::subscriber::set_default(warnings);
        Self { log, _told: told }
    }

    /// All of it so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    /// How many lines so far tell of an event.
    pub(crate) fn count(&self, event: &str) -> usize {
        let text = self.text();
        text.lines()
            .filter(|line| line.split_whitespace().any(|word| word == event))
            .count()
    }
}
