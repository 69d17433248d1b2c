//! Files that change while the node runs: access keys, certificates.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::time::{MissedTickBehavior, interval};

use super::regular_file::{self, MAX_FILE_BYTES};

/// Contents are compared, because Kubernetes swaps a link above mounted files, which no file event reports reliably.
const EVERY: Duration = Duration::from_secs(2);

/// The result of reading files again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The files are settled until they change.
    Settled,
    /// They are of no use now. Time alone may change that: a certificate begins.
    TryAgain,
}

/// Calls `reload` whenever the content of any file changes, until the future is dropped, and once at the beginning: the files
/// may have changed since they were first read.
pub async fn on_change(files: Vec<PathBuf>, mut reload: impl FnMut()) {
    until_settled(files, || {
        reload();
        Reloaded::Settled
    })
    .await;
}

/// The same, and again after a while where that did not settle it.
pub async fn until_settled(files: Vec<PathBuf>, mut reload: impl FnMut() -> Reloaded) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = contents(&files).await;
    let mut reloaded = reload();
    loop {
        ticks.tick().await;
        let current = contents(&files).await;
        if current != known || reloaded == Reloaded::TryAgain {
            known = current;
            reloaded = reload();
        }
    }
}

/// A digest over all files. Where one cannot be read, the error counts as its content.
async fn contents(files: &[PathBuf]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files {
        match content(file).await {
            Ok(content) => digest.update(content),
            Err(error) => digest.update(Sha256::digest(error.to_string())),
        }
    }
    digest.finalize().into()
}

/// The same where blocking is allowed.
async fn content(file: &Path) -> io::Result<[u8; 32]> {
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || digest(&file)).await?
}

/// A digest of the file: of its beginning and its length, where it is larger than any that is taken.
fn digest(file: &Path) -> io::Result<[u8; 32]> {
    let file = regular_file::open(file)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    let digest = Sha256::new_with_prefix(length.to_be_bytes());
    Ok(digest.chain_update(bytes).finalize().into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use tempfile::TempDir;

    use super::{super::regular_file::read_bounded, *};

    #[tokio::test]
    async fn a_file_that_is_missing_a_folder_a_pipe_empty_or_too_large_is_another_thing_each_time()
    {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("ca.crt");
        let mut seen = vec![contents(std::slice::from_ref(&file)).await];
        fs::create_dir(&file).unwrap();
        seen.push(contents(std::slice::from_ref(&file)).await);
        fs::remove_dir(&file).unwrap();
        mknodat(CWD, &file, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        seen.push(contents(std::slice::from_ref(&file)).await);
        fs::remove_file(&file).unwrap();
        for length in [0, MAX_FILE_BYTES, MAX_FILE_BYTES + 1, MAX_FILE_BYTES + 2] {
            fs::write(&file, vec![b'#'; length.try_into().unwrap()]).unwrap();
            seen.push(contents(std::slice::from_ref(&file)).await);
            assert_eq!(read_bounded(&file).is_ok(), length <= MAX_FILE_BYTES);
        }
        let mut different = seen.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), seen.len());
    }
}
