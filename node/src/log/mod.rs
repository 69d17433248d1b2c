//! Log lines: one JSON object each, written by a background thread.

mod json_lines;
mod level_file;
mod names;
mod resting;
mod room;

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, IsTerminal},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use file_rotate::{ContentLimit, FileRotate, compression::Compression, suffix::AppendCount};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{
    Layer, filter::Targets, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use json_lines::JsonLines;
pub use level_file::LevelFileError;
pub(crate) use level_file::{follow as follow_level, read as read_level};
pub use names::{LoggedName, logged_name};
pub use opensecureconf_contract::{LogFormat, LogLevel};
use resting::Resting;
pub(crate) use room::AUDIT;
use room::{BUFFERED_LINES, Lines};

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

/// Where log lines go.
#[derive(Debug, Clone)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// This file, with five older ones beside it.
    File(PathBuf),
}

/// The running log. Lines are written as long as this lives.
#[derive(Debug)]
pub struct Log {
    /// Its level and its losses.
    pub control: LogControl,
    _writer: WorkerGuard,
}

/// Changes the level while the log runs, and counts the lines that it lost.
#[derive(Clone)]
pub struct LogControl {
    level: Arc<Mutex<LogLevel>>,
    apply: Arc<dyn Fn(LogLevel) + Send + Sync>,
    lines: Option<Lines>,
}

impl Drop for Log {
    fn drop(&mut self) {
        // The writer ends after this line, and writes the waiting lines first.
        tracing::info!("logging_shutdown");
    }
}

impl LogControl {
    /// The control of a process that logs nothing.
    pub fn silent() -> Self {
        Self {
            level: Arc::default(),
            apply: Arc::new(|_| {}),
            lines: None,
        }
    }

    /// The least severe level that is logged now.
    pub fn level(&self) -> LogLevel {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs from this level on.
    pub fn set_level(&self, new: LogLevel) {
        let old = std::mem::replace(
            &mut *self.level.lock().unwrap_or_else(PoisonError::into_inner),
            new,
        );
        (self.apply)(new);
        tracing::info!(
            old_level = old.name(),
            new_level = new.name(),
            "log_level_changed"
        );
    }

    /// Lines lost since the start because they came faster than the output accepted them.
    pub fn dropped_lines(&self) -> u64 {
        self.lines
            .as_ref()
            .map_or(0, |lines| lines.dropped() as u64)
    }
}

impl std::fmt::Debug for LogControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogControl({})", self.level().name())
    }
}

/// Sends all log events of the process to the target; with the names of entries, or with hashes in their place.
pub fn start(
    level: LogLevel,
    format: LogFormat,
    target: &LogTarget,
    node_id: &str,
    names_are_shown: bool,
) -> io::Result<Log> {
    names::show_names(names_are_shown);
    let (writer, guard) = match target {
        // One write for all waiting lines, not one for each.
        LogTarget::Stdout => {
            let stdout = BufWriter::with_capacity(64 << 10, io::stdout());
            Lines::new(Resting(stdout))
        }
        LogTarget::File(path) => Lines::new(Resting(rotating_file(path)?)),
    };
    let (filter, handle) = reload::Layer::new(targets(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer.clone());
    let lines = match format {
        LogFormat::Json => lines.event_format(JsonLines::new(node_id)).boxed(),
        LogFormat::Console => lines
            .with_ansi(matches!(target, LogTarget::Stdout) && io::stdout().is_terminal())
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
    let control = LogControl {
        level: Arc::new(Mutex::new(level)),
        // It only fails once the subscriber is gone, and with it the log.
        apply: Arc::new(move |level| drop(handle.reload(targets(level)))),
        lines: Some(writer),
    };
    let file = match target {
        LogTarget::Stdout => None,
        LogTarget::File(path) => Some(path.display().to_string()),
    };
    tracing::info!(
        log_level = level.name(),
        format = format.name(),
        log_file = file,
        async_buffer_size = BUFFERED_LINES,
        "logging_initialized"
    );
    Ok(Log {
        control,
        _writer: guard,
    })
}

/// Libraries log only warnings and errors.
fn targets(level: LogLevel) -> Targets {
    Targets::new()
        .with_default(filter(level).min(LevelFilter::WARN))
        .with_target("opensecureconf_node", filter(level))
}

/// The original's limits: 100 MiB, and five older files `.1` to `.5`.
fn rotating_file(path: &Path) -> io::Result<FileRotate<AppendCount>> {
    // Opened here first, because the rotation assumes that a file that it cannot open does not exist yet.
    private()
        .open(path)
        .map_err(|error| crate::os::permission::explained(path, error))?;
    Ok(FileRotate::new(
        path,
        AppendCount::new(5),
        ContentLimit::BytesSurpassed(100 << 20),
        Compression::None,
        Some(private()),
    ))
}

/// Log lines name entries and callers; they are for the node's own user.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options
}
