//! Programs over the volume of a node.

use serde_json::{Value, json};

use crate::{RunningScript, Stage};

/// Runs a container that mounts a node's volume at `/data`, and returns its output. The container runs as the node's user, on
/// the machine that has the volume; the node itself sleeps, fails, or runs beside it.
///
/// # Errors
/// That the container does not start, or fails.
pub async fn over_volume(stage: &Stage, claim: &str, container: Value) -> anyhow::Result<String> {
    let mut container = container;
    if let Value::Object(fields) = &mut container {
        fields.insert("name".to_owned(), "program".into());
        let mounts = json!([{ "name": "data", "mountPath": "/data" }]);
        fields.insert("volumeMounts".to_owned(), mounts);
    }
    let pod = json!({
        "metadata": { "generateName": "over-volume-" },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": { "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532 },
            "containers": [container],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": claim } }],
        },
    });
    RunningScript::start(stage, pod).await?.end().await
}
