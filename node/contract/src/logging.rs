//! What a node logs, by the names that settings and `/admin/log-level` use.

/// Least severe level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Everything of this program.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// What an operator should look at.
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

    /// The level of a name in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, level)| *level)
    }

    /// Python's name of the level.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
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

    /// The name of the shape.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Console => "console",
        }
    }
}
