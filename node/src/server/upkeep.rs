//! The work of a node beside answering: follows its files, and forgets old state.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::MissedTickBehavior};

use super::file_care::{self, FileCare};
use crate::{
    access::AccessKeys,
    api::{Node, take_pulse},
    log::follow_level,
    os::reload,
    replica::Replica,
};

/// Starts all of it; aborting the handles ends it.
pub(crate) fn start(
    state: &Node,
    files: FileCare,
    log_level_file: Option<PathBuf>,
) -> Vec<JoinHandle<()>> {
    let mut tasks = watch_keys(state);
    tasks.extend(log_level_file.map(|file| tokio::spawn(follow_level(file, state.log.clone()))));
    tasks.push(tokio::spawn(wipe_expired_keys(Arc::clone(state))));
    tasks.push(tokio::spawn(look_after_files(files, Arc::clone(state))));
    if let Some(node) = state.kind.replicating() {
        tasks.push(tokio::spawn(empty_log(node.replica.clone())));
    }
    tasks.push(tokio::spawn(keep_pulse(Arc::clone(state))));
    tasks.push(tokio::spawn(end_overdue_answers(Arc::clone(state))));
    tasks
}

/// Keeps access keys as their files are.
fn watch_keys(state: &Node) -> Vec<JoinHandle<()>> {
    let mut watches = Vec::new();
    let (api, cluster) = (&state.api_keys, &state.cluster_keys);
    for (keys, other_kind, setting) in [
        (api, cluster, "OSC_API_KEY_FILE"),
        (cluster, api, "OSC_CLUSTER_KEY_FILE"),
    ] {
        let Some(keys) = keys.as_ref().filter(|keys| !keys.files().is_empty()) else {
            continue;
        };
        let (keys, other_kind) = (AccessKeys::clone(keys), other_kind.clone());
        watches.push(tokio::spawn(reload::on_change(
            keys.files(),
            move || match keys.reload(other_kind.as_ref()) {
                Ok(true) => tracing::info!(setting, "keys_reloaded"),
                Ok(false) => {}
                Err(error) => tracing::error!(setting, error = %error, "keys_not_reloaded"),
            },
        )));
    }
    watches
}

/// Checks the files again and again: Kubernetes exchanges mounted ones.
async fn look_after_files(mut files: FileCare, state: Node) {
    let mut ticks = tokio::time::interval(file_care::EVERY);
    // The start has looked.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        files.look((state.clock)());
    }
}

/// Deleted and replaced values do not stay in the log of an idle node.
async fn empty_log(store: Replica) {
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if store.tidy().await.is_err() {
            return;
        }
    }
}

/// The answer to probes on their own port is never older than this, plus the time of a check.
async fn keep_pulse(state: Node) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        take_pulse(&state).await;
    }
}

/// Expired data keys do not stay in the memory of an idle node.
async fn wipe_expired_keys(state: Node) {
    let mut ticks = tokio::time::interval(Duration::from_secs(30));
    loop {
        ticks.tick().await;
        state.wipe_expired_keys();
    }
}

/// Clients that read nothing do not keep their answers in memory.
async fn end_overdue_answers(state: Node) {
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        state.end_overdue_answers();
    }
}
