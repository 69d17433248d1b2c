//! Files that change while the node runs: access keys, certificates.

use std::{path::PathBuf, time::Duration};

use sha2::{Digest, Sha256};
use tokio::time::{MissedTickBehavior, interval};

/// Contents are compared, because Kubernetes swaps a link above mounted files, which no file event tells reliably.
const EVERY: Duration = Duration::from_secs(2);

/// Calls `reload` whenever the content of any file is another one than before; until the future is dropped.
/// Also once at the beginning: the files may have changed since they were first read.
pub async fn on_change(files: Vec<PathBuf>, mut reload: impl FnMut()) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = contents(&files).await;
    reload();
    loop {
        ticks.tick().await;
        let current = contents(&files).await;
        if current != known {
            known = current;
            reload();
        }
    }
}

/// A digest over all files; a missing one counts as empty.
async fn contents(files: &[PathBuf]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files {
        let bytes = tokio::fs::read(file).await.unwrap_or_default();
        digest.update(Sha256::digest(bytes));
    }
    digest.finalize().into()
}
