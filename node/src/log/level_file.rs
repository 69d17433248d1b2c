//! The log level in a file, which may change while the node runs.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{LogControl, LogLevel};
use crate::os::{regular_file, reload};

/// Of a file that holds no level so many characters are repeated.
const SHOWN: usize = 40;

/// Why a file names no level.
#[derive(Debug, thiserror::Error)]
pub enum LevelFileError {
    /// It cannot be read.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file's text is no level.
    #[error("{} holds '{word}', and must hold {}", file.display(), names())]
    NoLevel {
        /// Which file.
        file: PathBuf,
        /// The beginning of the text.
        word: String,
    },
}

/// The level whose name is the whole content of a file.
///
/// # Errors
/// Where the file cannot be read, or holds another text.
pub(crate) fn read(file: &Path) -> Result<LogLevel, LevelFileError> {
    let bytes = regular_file::read_bounded(file).map_err(|source| LevelFileError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let word = text.trim_start_matches('\u{feff}').trim();
    LogLevel::of_name(word).ok_or_else(|| LevelFileError::NoLevel {
        file: file.to_owned(),
        word: word.chars().take(SHOWN).collect(),
    })
}

/// Logs at the level of a file whenever that changes, until the future is dropped. An order of the cluster admin holds until
/// the next change.
pub(crate) async fn follow(file: PathBuf, log: LogControl) {
    let mut last = None;
    reload::on_change(vec![file.clone()], || match read(&file) {
        Ok(level) => {
            let is_new = last.replace(level) != Some(level);
            if is_new && log.level() != level {
                log.set_level(level);
            }
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::error!(error = %format_args!("{error:#}"), "log_level_not_reloaded");
        }
    })
    .await;
}

fn names() -> String {
    let names: Vec<_> = LogLevel::NAMES.iter().map(|(name, _)| *name).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_holds_one_word_in_any_case() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("log-level");
        for (text, level) in [
            ("DEBUG", LogLevel::Debug),
            ("\u{feff}warn\r\n", LogLevel::Warning),
            (" error\n", LogLevel::Error),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(read(&file).unwrap(), level, "{text}");
        }
        for text in ["", "loud", "INFO DEBUG"] {
            fs::write(&file, text).unwrap();
            let error = read(&file).unwrap_err().to_string();
            assert!(error.contains(&format!("holds '{text}'")), "{error}");
        }
        fs::remove_file(&file).unwrap();
        let error = read(&file).unwrap_err();
        assert!(matches!(error, LevelFileError::Unreadable { .. }));
    }
}
