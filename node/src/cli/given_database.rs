//! A database given to a command: a file, or `-` for standard input, through which a command reaches a pod without a shell.

use std::{
    fs::File,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use super::commands::existing;
use crate::os::permission;

/// The file to read.
#[derive(Debug)]
pub(super) struct GivenDatabase {
    path: PathBuf,
    /// Where standard input was copied to; goes away with this.
    _copied: Option<TempDir>,
}

impl GivenDatabase {
    /// Finds it. Standard input is copied into `folder`, which has room for a database.
    ///
    /// # Errors
    /// Where there is none, or it cannot be copied.
    pub(super) fn open(given: &Path, option: &str, folder: &Path) -> anyhow::Result<Self> {
        if given != Path::new("-") {
            let path = existing(given, option)?.to_owned();
            return Ok(Self {
                path,
                _copied: None,
            });
        }
        let mut input = io::stdin().lock();
        ensure!(
            !input.is_terminal(),
            "a database does not come from a terminal: give one as standard input (< backup.db), or name a file with {option}"
        );
        let place = tempfile::Builder::new()
            .prefix(".given-")
            .tempdir_in(folder)
            .map_err(|error| permission::explained(folder, error))
            .with_context(|| format!("cannot copy standard input into {}", folder.display()))?;
        let path = place.path().join("given.db");
        // The folder is private already.
        let copied = File::create_new(&path)
            .and_then(|mut file| io::copy(&mut input, &mut file))
            .with_context(|| format!("cannot copy standard input into {}", folder.display()))?;
        ensure!(copied > 0, "standard input is empty: it must be a database");
        Ok(Self {
            path,
            _copied: Some(place),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
