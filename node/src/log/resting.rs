//! Rests between writes of log lines. A thread that waits for the next line is woken for each of them, which costs the logging
//! thread a system call. During a rest no logging thread waits, and the lines are then written together.

use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

/// How much later a line may be written. The queue has room for far more lines than come in this time.
const REST: Duration = Duration::from_millis(2);

/// The output of the thread that writes the lines.
#[derive(Debug)]
pub(super) struct Resting<W>(pub(super) W);

impl<W: Write> Write for Resting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Called when no line waits any more.
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(REST);
        flushed
    }
}
