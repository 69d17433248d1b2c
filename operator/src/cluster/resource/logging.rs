//! What nodes log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What nodes log, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct LoggingSpec {
    /// Least severe level that is logged. A change of it restarts no pod.
    pub level: LogLevel,
    /// Shape of log lines.
    pub format: LogFormat,
}

/// Severity of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// Every request.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// What an operator should look at.
    Warning,
    /// What failed.
    Error,
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// Lines for a person.
    Console,
}
