//! The lines that wait to be written. Where their output is slower than they come, lines are dropped; those that say who changed
//! what have room of their own, so that no flood of others takes it from them.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tracing::Metadata;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

/// The target of events that say who changed what.
pub(crate) const AUDIT: &str = concat!(env!("CARGO_CRATE_NAME"), "::audit");

/// The original's queue length; beyond it lines are dropped and counted.
pub(super) const BUFFERED_LINES: usize = 10_000;
/// As many more wait where they say who changed what.
const AUDIT_LINES: usize = 5_000;

/// What became of lines.
#[derive(Debug, Default)]
struct Counts {
    /// They were given to the queue, which may have dropped them.
    sent: AtomicUsize,
    written: AtomicUsize,
    /// They did not get as far as the queue.
    refused: AtomicUsize,
}

/// The queue of a log.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    queue: NonBlocking,
    counts: Arc<Counts>,
    /// How many wait at most, where they do not say who changed what.
    most: usize,
}

impl Lines {
    /// A queue for this output, whose thread ends with the guard.
    pub(super) fn new(output: impl Write + Send + 'static) -> (Self, WorkerGuard) {
        Self::with_room(output, BUFFERED_LINES, AUDIT_LINES)
    }

    fn with_room(
        output: impl Write + Send + 'static,
        most: usize,
        more: usize,
    ) -> (Self, WorkerGuard) {
        let counts = Arc::<Counts>::default();
        let output = Counted {
            output,
            counts: Arc::clone(&counts),
        };
        let builder = NonBlockingBuilder::default()
            .buffered_lines_limit(most + more)
            .lossy(true);
        let (queue, guard) = builder.finish(output);
        let lines = Self {
            queue,
            counts,
            most,
        };
        (lines, guard)
    }

    /// Lines that were lost since the start.
    pub(super) fn dropped(&self) -> usize {
        self.dropped_by_queue() + self.counts.refused.load(Relaxed)
    }

    fn dropped_by_queue(&self) -> usize {
        self.queue.error_counter().dropped_lines()
    }

    fn waiting(&self) -> usize {
        let gone = self.counts.written.load(Relaxed) + self.dropped_by_queue();
        self.counts.sent.load(Relaxed).saturating_sub(gone)
    }
}

impl<'l> MakeWriter<'l> for Lines {
    type Writer = LineWriter<'l>;

    fn make_writer(&'l self) -> LineWriter<'l> {
        LineWriter {
            lines: self,
            is_audit: false,
        }
    }

    fn make_writer_for(&'l self, event: &Metadata<'_>) -> LineWriter<'l> {
        LineWriter {
            lines: self,
            is_audit: event.target() == AUDIT,
        }
    }
}

/// Takes one line.
pub(super) struct LineWriter<'l> {
    lines: &'l Lines,
    is_audit: bool,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lines = self.lines;
        if !self.is_audit && lines.waiting() >= lines.most {
            lines.counts.refused.fetch_add(1, Relaxed);
        } else {
            lines.counts.sent.fetch_add(1, Relaxed);
            lines.queue.clone().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The output, which gets each line as a whole.
struct Counted<W> {
    output: W,
    counts: Arc<Counts>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        // Also where that fails: it waits no longer.
        self.counts.written.fetch_add(1, Relaxed);
        self.output.write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// An output that takes nothing while the test holds it.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            text.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flood_of_lines_leaves_those_that_say_who_changed_what_their_room() {
        let output = Output::default();
        let (lines, guard) = Lines::with_room(output.clone(), 100, 50);
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let stuck = output.0.lock().unwrap();
            for number in 0..1_000 {
                tracing::warn!(number, "flood");
            }
            for number in 0..50 {
                tracing::info!(target: AUDIT, number, "config_deleted");
                tracing::warn!(number, "flood");
            }
            // Beyond its room too, one is lost and counted.
            for number in 0..50 {
                tracing::info!(target: AUDIT, number, "too many");
            }
            drop(stuck);
        });
        let lost = lines.dropped();
        drop(guard);
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("config_deleted").count(), 50);
        // One is in the hands of the thread that writes.
        let floods = text.matches("flood").count();
        assert!((100..=101).contains(&floods), "{floods}");
        let all = floods + 50 + text.matches("too many").count();
        assert_eq!(all + lost, 1_150);
        assert!((998..=1_000).contains(&lost), "{lost}");
    }
}
