//! Acknowledged writes survive `kill -9`.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    node::{API_KEY, USER_KEY, client},
    process::Process,
};

const CLIENTS: usize = 16;
const ROUNDS: usize = 5;
/// Acknowledged writes of a round after which the node is killed; the clients never pause for it.
const WRITES_BEFORE_KILL: usize = 300;

#[tokio::test]
async fn every_acknowledged_write_is_there_after_kill_9_during_writes_of_16_clients() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let node = Process::start(folder.path(), &[]);
        let url = Arc::new(node.url.clone());
        let (acknowledge, mut acknowledgements) = mpsc::unbounded_channel();
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(write_until_refused(
                Arc::clone(&url),
                format!("{round}-{number}"),
                acknowledge.clone(),
            ));
        }
        drop(acknowledge);
        let mut of_this_round = 0;
        while of_this_round < WRITES_BEFORE_KILL {
            acknowledged.insert(
                acknowledgements
                    .recv()
                    .await
                    .expect("the node ended by itself"),
            );
            of_this_round += 1;
        }
        node.kill();
        while let Some(key) = acknowledgements.recv().await {
            acknowledged.insert(key);
        }
        while clients.join_next().await.is_some() {}
    }

    let node = Process::start(folder.path(), &[]);
    let list = client()
        .get(format!("{}/configs", node.url))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY);
    let entries: Value = list.send().await.unwrap().json().await.unwrap();
    let stored: BTreeSet<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["key"].as_str().unwrap().to_owned())
        .collect();

    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged writes are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    assert!(acknowledged.len() >= ROUNDS * WRITES_BEFORE_KILL);
}

async fn write_until_refused(
    url: Arc<String>,
    prefix: String,
    acknowledge: mpsc::UnboundedSender<String>,
) {
    let client = client();
    for serial in 0.. {
        let key = format!("{prefix}-{serial}");
        let create = client
            .post(format!("{url}/configs"))
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY);
        match create
            .json(&json!({"key": key, "value": {"serial": serial}}))
            .send()
            .await
        {
            Ok(answer) if answer.status() == 201 => acknowledge.send(key).unwrap(),
            Ok(answer) => panic!("{}", answer.status()),
            Err(_) => return,
        }
    }
}
