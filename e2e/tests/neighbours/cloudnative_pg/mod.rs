//! CloudNativePG runs PostgreSQL, as users have it beside us.

mod shared_store;

use std::time::Instant;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use opensecureconf_e2e::{RunningScript, Stage, condition};
use serde_json::json;

use crate::report;

#[test]
fn its_operator_makes_a_database_that_answers_and_outlives_its_pod() {
    Stage::tell("cloudnative-pg", |stage| async move {
        let image = &postgresql(&stage, 1).await?;
        let answer = sql(
            &stage,
            image,
            "create table entries (key text primary key, value jsonb); \
             insert into entries values ('db', '{\"port\": 5432}'); \
             select value->>'port' from entries where key = 'db'",
        )
        .await?;
        ensure!(answer.trim().ends_with("5432"), "{answer}");

        let pods = stage.api::<Pod>();
        let before = pods.get("shared-1").await?.uid();
        let killed = Instant::now();
        pods.delete("shared-1", &DeleteParams::default()).await?;
        let another = |found: Option<&Pod>| {
            found.is_some_and(|pod| {
                let status = pod.status.as_ref();
                let conditions = status.and_then(|status| status.conditions.as_ref());
                let is_ready = conditions.is_some_and(|all| {
                    all.iter()
                        .any(|one| one.type_ == "Ready" && one.status == "True")
                });
                pod.uid() != before && is_ready
            })
        };
        stage.until(pods, "shared-1", "replaced", another).await?;
        report("a deleted PostgreSQL is ready again", killed);
        let answer = sql(&stage, image, "select count(*) from entries").await?;
        ensure!(answer.trim() == "1", "{answer}");
        Ok(())
    });
}

fn clusters(stage: &Stage) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
    Api::namespaced_with(
        stage.client.clone(),
        &stage.namespace,
        &ApiResource::from_gvk(&kind),
    )
}

/// The instance that accepts writes.
fn current_primary(cluster: &DynamicObject) -> Option<&str> {
    let status = cluster.data.get("status")?;
    status.get("currentPrimary")?.as_str()
}

/// Runs a PostgreSQL of so many instances and waits until it is ready; returns the image of its servers.
async fn postgresql(stage: &Stage, instances: u32) -> anyhow::Result<String> {
    let images: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "cnpg-system");
    let mut images = images.get("e2e-images").await?.data.unwrap_or_default();
    let image = images.remove("postgresql");
    let image = image.context("no image of PostgreSQL")?;
    // An acknowledged write is on another instance too, where there is one.
    let settings = if instances > 1 {
        json!({ "synchronous": { "method": "any", "number": 1 } })
    } else {
        json!({})
    };
    let cluster = json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": { "name": "shared" },
        "spec": {
            "instances": instances, "imageName": image, "storage": { "size": "1Gi" },
            "postgresql": settings,
        },
    });
    let clusters = clusters(stage);
    let applied = Instant::now();
    clusters
        .patch(
            "shared",
            &PatchParams::apply("story"),
            &Patch::Apply(&cluster),
        )
        .await?;
    let ready = |found: Option<&DynamicObject>| {
        found
            .and_then(|cluster| condition(cluster, "Ready"))
            .is_some_and(|(status, ..)| status == "True")
    };
    stage.until(clusters, "shared", "Ready", ready).await?;
    report("from apply to a ready PostgreSQL", applied);
    Ok(image)
}

/// A Service leads to its pod some time after that is ready. The image has no `sleep`.
const WHEN_REACHED: &str = r#"
tries=0
until pg_isready -q -d "$ADDRESS" || [ $tries = 5000 ]; do tries=$((tries + 1)); done
exec psql "$ADDRESS" -qAt -v ON_ERROR_STOP=1 -c "$1"
"#;

/// The answer to the application's user, each column bare.
async fn sql(stage: &Stage, image: &str, statements: &str) -> anyhow::Result<String> {
    let address = json!({ "secretKeyRef": { "name": "shared-app", "key": "uri" } });
    let pod = json!({
        "metadata": { "generateName": "psql-" },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "psql",
                "image": image,
                "command": ["sh", "-c", WHEN_REACHED, "sh", statements],
                "env": [{ "name": "ADDRESS", "valueFrom": address }],
            }],
        },
    });
    RunningScript::start(stage, pod).await?.end().await
}
