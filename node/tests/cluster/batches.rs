//! Batches at nodes of a cluster: how many nodes hold a row when its line is sent, and rows whose values are on other nodes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api},
    cluster::Cluster,
};

const ALL_OR_NOTHING: &str = "/configs/batch?all_or_nothing=true";

async fn batch(api: &Api, path: &str, level: &str, rows: &Value) -> Answer {
    let request = api.request(Method::POST, path).unwrap();
    let request = request.header("X-OSC-Ack", level).json(rows);
    Api::send(Some(request)).await.unwrap()
}

/// The status of each row, and how many nodes hold it.
fn rows(answer: &Answer) -> Vec<(u64, Option<String>)> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let lines: Vec<Value> = match &answer.body {
        Value::String(text) => text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        line => vec![line.clone()],
    };
    lines
        .iter()
        .map(|line| {
            let acked = line["acked"].as_str().map(str::to_owned);
            (line["status"].as_u64().unwrap(), acked)
        })
        .collect()
}

fn creates(prefix: &str, count: usize) -> Value {
    (0..count)
        .map(|row| json!({"op": "create", "key": format!("{prefix}-{row}"), "value": row}))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_says_how_many_nodes_hold_its_row() {
    let mut cluster = Cluster::bootstrapped(3).await;
    for (path, prefix) in [("/configs/batch", "each"), (ALL_OR_NOTHING, "together")] {
        let created = batch(&cluster.api(0), path, "all", &creates(prefix, 200)).await;
        let whole = (201, Some("3/3".to_owned()));
        assert_eq!(rows(&created), vec![whole; 200]);
        let last = format!("{prefix}-199");
        assert_eq!(cluster.api(2).value(&last).await, 199);
    }
    cluster.nodes[2].kill();
    let short = batch(
        &cluster.api(0),
        "/configs/batch",
        "all",
        &creates("short", 2),
    )
    .await;
    let missed = (202, Some("2/3".to_owned()));
    assert_eq!(rows(&short), vec![missed; 2]);
    let local = creates("local", 2);
    let local = batch(&cluster.api(0), "/configs/batch", "local", &local).await;
    assert_eq!(rows(&local), vec![(201, None); 2]);
    cluster.nodes[2].start().await;
    cluster.ready(2).await;
    cluster.converged().await;
    assert_eq!(cluster.api(2).value("short-1").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_node_are_written_there_or_refused_with_its_name() {
    let cluster = Cluster::federated(3).await;
    let theirs = cluster.api(2).create("theirs", 0).await.with(201);
    cluster.everywhere("theirs", &theirs.version()).await;
    let api = cluster.api(0);
    api.create("own", 0).await.with(201);
    let writes = json!([
        {"op": "update", "key": "own", "value": 1},
        {"op": "update", "key": "theirs", "value": 1},
        {"op": "create", "key": "new", "value": 1},
    ]);
    let refused = batch(&api, ALL_OR_NOTHING, "healthy", &writes).await;
    let refused = refused.with(409);
    assert_eq!(refused.body["row"], 1);
    let words = refused.body["detail"].as_str().unwrap();
    assert!(words.contains("n2") && words.contains("theirs"), "{words}");
    assert_eq!(api.value("own").await, 0);
    api.get("/configs/new").await.with(404);

    let written = batch(&api, "/configs/batch", "healthy", &writes).await;
    let statuses: Vec<_> = rows(&written)
        .into_iter()
        .map(|(status, _)| status)
        .collect();
    assert_eq!(statuses, [200, 200, 201]);
    cluster.converged().await;
    for key in ["own", "theirs", "new"] {
        assert_eq!(cluster.api(1).value(key).await, 1, "{key}");
    }
    let own = json!([{"op": "update", "key": "own", "value": 2}, {"op": "delete", "key": "new"}]);
    let together = batch(&api, ALL_OR_NOTHING, "healthy", &own).await;
    let statuses: Vec<_> = rows(&together)
        .into_iter()
        .map(|(status, _)| status)
        .collect();
    assert_eq!(statuses, [200, 200]);
}
