//! Log lines: one JSON object each, written by a background thread.

mod json_lines;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use json_lines::JsonLines;

/// The original's queue length; beyond it lines are dropped and counted.
const BUFFERED_LINES: usize = 10_000;

/// Least severe level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Everything of this program.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// What somebody should look at.
    Warning,
    /// What failed.
    Error,
}

impl LogLevel {
    /// The names that settings may use, Python's.
    pub const NAMES: &[(&str, Self)] = &[
        ("DEBUG", Self::Debug),
        ("INFO", Self::Info),
        ("WARNING", Self::Warning),
        ("WARN", Self::Warning),
        ("ERROR", Self::Error),
        ("CRITICAL", Self::Error),
        ("FATAL", Self::Error),
    ];

    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warning => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
        }
    }
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// Lines for a person, coloured on a terminal.
    Console,
}

impl LogFormat {
    /// The names that settings may use.
    pub const NAMES: &[(&str, Self)] = &[("json", Self::Json), ("console", Self::Console)];
}

/// Sends all log events of the process to standard output. Lines are written as long as the guard lives.
pub fn start(level: LogLevel, format: LogFormat, node_id: &str) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(BUFFERED_LINES)
        .lossy(true)
        .finish(std::io::stdout());
    // Libraries speak only when something is wrong.
    let targets = Targets::new()
        .with_default(level.filter().min(LevelFilter::WARN))
        .with_target("opensecureconf_node", level.filter());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Json => lines.event_format(JsonLines::new(node_id)).boxed(),
        LogFormat::Console => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stdout()))
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(targets))
        .init();
    guard
}
