//! A downgrade that comes too late: a later release has written a database. Its first pod refuses to start, the others go on,
//! and the remedy that the refusal names works.

use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use opensecureconf_e2e::{IMAGE, Stage, over_volume};
use serde_json::{Value, json};

use crate::{
    CLUSTER, is_ready,
    release::{Release, node_image, pods},
    report, want,
};

/// A number that no release has reached.
const LATER: u32 = 999;
/// The node whose pod is replaced first.
const FIRST: &str = "config-2";
/// Until its pod has ended twice, and after it is in order again.
const LIMIT: Duration = Duration::from_mins(10);

/// Prints the schema number of a database, and sets another one.
const RENUMBER: &str = "
import sqlite3
database = sqlite3.connect('/data/configurations.db', timeout=30)
print(database.execute('PRAGMA user_version').fetchone()[0])
database.execute('PRAGMA user_version = NUMBER')
database.commit()
database.close()
";

/// Asks for the nodes of another release once the database of one node belongs to a later one.
pub(crate) async fn stops_a_rollout_at_its_first_pod(
    stage: &Stage,
    other: &Release,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let before = pods(stage).await?;
    let schema = renumber(stage, &LATER.to_string()).await?;
    let image = other.node_image();
    want(stage, json!({ "image": image })).await?;

    let words = format!("the database has schema {LATER}");
    let tells = |found: Option<&DynamicObject>| {
        found.is_some_and(|cluster| ready_message(cluster).contains(&words))
    };
    stage
        .until_within(LIMIT, stage.clusters(), CLUSTER, &words, tells)
        .await?;
    let mut during = pods(stage).await?;
    let mut untouched = before.clone();
    ensure!(
        during.remove(FIRST) != untouched.remove(FIRST),
        "{FIRST} was not the first"
    );
    ensure!(during == untouched, "another pod was replaced: {during:?}");
    report("until the status tells of a later database", begun);

    // The story asks for the release that wrote the database again, which knows its number.
    renumber(stage, &schema).await?;
    want(stage, json!({ "image": null })).await?;
    for name in before.keys() {
        let is_back =
            |pod: Option<&Pod>| pod.is_some_and(|pod| node_image(pod) != Some(image.as_str()));
        stage
            .until_within(LIMIT, stage.api(), name, "of its image again", is_back)
            .await?;
    }
    let serves = |found: Option<&DynamicObject>| found.is_some_and(is_ready);
    stage
        .until_within(LIMIT, stage.clusters(), CLUSTER, "ready", serves)
        .await?;
    report("from a refused downgrade to nodes that all serve", begun);
    Ok(())
}

/// Gives the first node's database another number, and returns its earlier one.
async fn renumber(stage: &Stage, number: &str) -> anyhow::Result<String> {
    let script = RENUMBER.replace("NUMBER", number);
    let python = json!({ "image": IMAGE, "command": ["/usr/bin/python3", "-c", script] });
    let printed = over_volume(stage, &format!("data-{FIRST}"), python).await?;
    Ok(printed.trim().to_owned())
}

fn ready_message(cluster: &DynamicObject) -> &str {
    let conditions = cluster.data.pointer("/status/conditions");
    let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let ready = conditions.find(|condition| condition["type"] == "Ready");
    ready
        .and_then(|ready| ready["message"].as_str())
        .unwrap_or_default()
}
