//! The resource against a real API server: every field that is set can be emptied again, by server-side apply.

use anyhow::{Context, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::DynamicObject;
use opensecureconf_e2e::{Stage, condition};
use serde_json::{Value, json};

/// Sets every field to a value that is not its default.
const EVERYTHING: &str = include_str!("../../../operator/tests/it/everything.yaml");
const DEFINITION: &str =
    include_str!("../../../crds/opensecureconfclusters.opensecureconf.io.yaml");

/// Fields that cannot stand together with those of `everything.yaml`.
const EVERYTHING_ELSE: &str = include_str!("../../../operator/tests/it/everything-else.yaml");
/// Nodes that share a database: it is not there, and no pod comes up.
const SHARED: &str = include_str!("../../../operator/tests/it/everything-shared.yaml");
/// Volumes without the fields that cannot be changed.
const VOLUMES: &str = "
apiVersion: opensecureconf.io/v1alpha1
kind: OpenSecureConfCluster
metadata: {name: volumes}
spec: {storage: {size: 2Gi, retention: {whenScaled: Delete}}}
";
/// Scalars on which another field of the resources depends.
const KEPT: &[&str] = &["/tls/mode", "/upgrade/policy", "/service/type"];
/// Fields that cannot be changed. They stay where everything around them is emptied.
const FIXED: &[&str] = &[
    "/mode",
    "/storage/storageClassName",
    "/storage/retention/whenDeleted",
];

#[test]
fn every_field_that_is_set_can_be_emptied_again() {
    Stage::tell("schema", |stage| async move {
        let mut everything: Value = serde_saphyr::from_str(EVERYTHING)?;
        // No pod runs: the image cannot be pulled.
        everything["spec"]["service"]["type"] = json!("LoadBalancer");
        let bare = empty_each(&stage, everything, 45).await?;
        for (field, wanted) in [
            ("/spec/replicas", json!(3)),
            ("/spec/podTemplate/sidecars", json!([])),
            ("/spec/nodeSelector", json!({})),
            ("/spec/service/labels", json!({})),
            ("/spec/storage/size", json!("1Gi")),
            ("/spec/storage/storageClassName", json!("fast")),
            (
                "/spec/storage/retention",
                json!({ "whenDeleted": "Delete", "whenScaled": "Retain" }),
            ),
        ] {
            ensure!(
                bare.data.pointer(field) == Some(&wanted),
                "{field}: {bare:?}"
            );
        }
        // This API server also accepts the objects that the operator makes of the resource.
        until_carried_out(&stage, &bare, None).await?;
        // The operator may be replacing the StatefulSet at this moment, with the other size of volumes.
        let is_there = |found: Option<&StatefulSet>| found.is_some();
        stage
            .until(stage.api(), "everything", "made", is_there)
            .await?;

        let volumes: Value = serde_saphyr::from_str(VOLUMES)?;
        let bare = empty_each(&stage, volumes, 4).await?;
        let storage = json!({
            "size": "1Gi", "retention": { "whenDeleted": "Retain", "whenScaled": "Retain" },
        });
        ensure!(
            bare.data.pointer("/spec/storage") == Some(&storage),
            "{bare:?}"
        );
        // Where a volume has the larger size already, the operator reports that it stays.
        until_carried_out(&stage, &bare, Some("VolumeWouldShrink")).await?;

        let other: Value = serde_saphyr::from_str(EVERYTHING_ELSE)?;
        let bare = empty_each(&stage, other, 15).await?;
        ensure!(
            bare.data.pointer("/spec/writeAck") == Some(&json!("Healthy")),
            "{bare:?}"
        );
        until_carried_out(&stage, &bare, None).await?;

        let shared: Value = serde_saphyr::from_str(SHARED)?;
        let bare = empty_each(&stage, shared, 4).await?;
        ensure!(
            bare.data.pointer("/spec/database/connections") == Some(&json!(4)),
            "{bare:?}"
        );
        Ok(())
    });
}

#[test]
fn a_resource_without_a_spec_is_a_cluster_of_three_nodes() {
    Stage::tell("schema-bare", |stage| async move {
        let bare = json!({
            "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster", "metadata": { "name": "bare" },
        });
        let mut empty = bare.clone();
        empty["metadata"]["name"] = json!("empty");
        empty["spec"] = json!({});
        let bare = stage.apply_value(&bare).await?;
        let empty = stage.apply_value(&empty).await?;
        ensure!(bare.data["spec"]["replicas"] == json!(3), "{bare:?}");
        ensure!(
            bare.data["spec"] == empty.data["spec"],
            "{bare:?} {empty:?}"
        );
        until_carried_out(&stage, &bare, None).await
    });
}

#[test]
fn what_a_shared_database_takes_the_place_of_is_refused_beside_it() {
    Stage::tell("schema-shared", |stage| async move {
        let shared = |change: Value| -> anyhow::Result<Value> {
            let mut resource: Value = serde_saphyr::from_str(SHARED)?;
            let spec = resource["spec"].as_object_mut().context("no spec")?;
            for (name, value) in change.as_object().into_iter().flatten() {
                spec.insert(name.clone(), value.clone());
            }
            Ok(resource)
        };
        let rebuilt = json!([{ "name": "everything-shared-1", "incarnation": "0123456789abcdef" }]);
        for (change, words) in [
            (json!({ "replicas": 51 }), "or to 50 with mode Shared"),
            (
                json!({ "storage": { "size": "2Gi" } }),
                "storage has no use",
            ),
            (json!({ "writeAck": "All" }), "writeAck has no use"),
            (
                json!({ "syncIntervalSeconds": 5 }),
                "syncIntervalSeconds has no use",
            ),
            (
                json!({ "rebuildMembers": rebuilt }),
                "rebuildMembers has no use",
            ),
            (
                json!({ "mode": "Replica", "replicas": 3 }),
                "database is for mode Shared",
            ),
        ] {
            let refused = stage.apply_value(&shared(change.clone())?).await;
            let Err(refused) = refused else {
                anyhow::bail!("{change} was taken");
            };
            ensure!(format!("{refused:#}").contains(words), "{refused:#}");
        }
        let applied = stage.apply_value(&shared(json!({}))?).await?;
        let told = applied.data.pointer("/spec/database/connections");
        ensure!(told == Some(&json!(4)), "{applied:?}");
        let other = stage
            .apply_value(&shared(json!({ "mode": "Federated" }))?)
            .await;
        ensure!(other.is_err(), "its mode was changed");
        Ok(())
    });
}

/// Applies a resource, empties each of its fields by itself, at least so many, and then all at once.
async fn empty_each(
    stage: &Stage,
    mut resource: Value,
    least: usize,
) -> anyhow::Result<DynamicObject> {
    let applied = stage.apply_value(&resource).await?;
    let generation = applied.data.pointer("/status/observedGeneration");
    ensure!(
        generation.is_some(),
        "a new resource has no status, so that a client that waits takes it for done"
    );
    let definition: Value = serde_saphyr::from_str(DEFINITION)?;
    let schema = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .context("the definition has no schema")?;
    let mut places = Vec::new();
    let spec = resource.get("spec").context("no spec")?.clone();
    collect("", &spec, schema, &mut places);
    places.retain(|place| {
        !place.is_empty() && !KEPT.contains(&place.as_str()) && !FIXED.contains(&place.as_str())
    });
    ensure!(places.len() >= least, "{} {places:?}", places.len());
    for place in &places {
        stage
            .apply_value(&resource)
            .await
            .with_context(|| format!("before {place}"))?;
        stage
            .apply_value(&emptied(&resource, place)?)
            .await
            .with_context(|| format!("emptied {place}"))?;
    }

    // All at once, as far as it may change.
    let database = spec.get("database");
    let mut bare = database.map_or_else(|| json!({}), |kept| json!({ "database": kept }));
    put_back(&mut bare, &spec);
    *resource.get_mut("spec").context("no spec")? = bare;
    stage.apply_value(&resource).await
}

/// Merges the fields of one object into another.
fn merge(into: &mut Value, from: &mut Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(
                    into.entry(name.as_str()).or_insert_with(|| json!({})),
                    value,
                );
            }
        }
        (into, from) => *into = from.take(),
    }
}

/// Restores the fields that cannot be changed.
fn put_back(spec: &mut Value, before: &Value) {
    for path in FIXED {
        if let Some(value) = before.pointer(path) {
            // An object that is missing on the way is made.
            let names: Vec<_> = path.split('/').skip(1).collect();
            let mut kept = names
                .iter()
                .rev()
                .fold(value.clone(), |inner, name| json!({ *name: inner }));
            merge(spec, &mut kept);
        }
    }
}

/// The resource with nothing in that place but the fields that cannot be changed; a scalar is left out.
fn emptied(resource: &Value, place: &str) -> anyhow::Result<Value> {
    let mut emptied = resource.clone();
    let before = resource.get("spec").context("no spec")?;
    let spec = emptied.get_mut("spec").context("no spec")?;
    let value = spec.pointer_mut(place).context("no such place")?;
    if value.is_array() {
        *value = json!([]);
    } else if value.is_object() {
        *value = json!({});
    } else {
        let (parent, name) = place.rsplit_once('/').context("no path")?;
        let parent = spec.pointer_mut(parent).and_then(Value::as_object_mut);
        parent.context("no such parent")?.remove(name);
    }
    put_back(spec, before);
    Ok(emptied)
}

/// Waits until the operator has carried it out, or waits for a user for this reason.
async fn until_carried_out(
    stage: &Stage,
    applied: &DynamicObject,
    or_stalled: Option<&str>,
) -> anyhow::Result<()> {
    let generation = applied.metadata.generation;
    let name = applied.metadata.name.as_deref().unwrap_or_default();
    let carried_out = |found: Option<&DynamicObject>| {
        found.is_some_and(|cluster| {
            let observed = cluster.data.pointer("/status/observedGeneration");
            observed.and_then(Value::as_i64) == generation
                && condition(cluster, "Stalled")
                    .is_none_or(|(_, reason, _)| Some(reason) == or_stalled)
        })
    };
    stage
        .until(stage.clusters(), name, "carried out", carried_out)
        .await?;
    Ok(())
}

/// Every list, every map, every object of our own and every optional scalar, outermost first. The API server rightly refuses an
/// empty object of Kubernetes' own types: in a selector, absent and `{}` differ.
fn collect(path: &str, value: &Value, schema: &Value, places: &mut Vec<String>) {
    if schema.get("default").is_some() {
        places.push(path.to_owned());
    }
    match value {
        Value::Object(members) => {
            let required = schema.get("required").and_then(Value::as_array);
            for (name, member) in members {
                let Some(schema) = schema.get("properties").and_then(|known| known.get(name))
                else {
                    continue;
                };
                let path = format!("{path}/{name}");
                let optional = required.is_none_or(|all| all.iter().all(|field| field != name));
                let scalar = !member.is_object() && !member.is_array();
                if scalar && optional && schema.get("default").is_none() && !path.contains("/0") {
                    places.push(path.clone());
                }
                collect(&path, member, schema, places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(schema) = schema.get("items") {
                    collect(&format!("{path}/{index}"), item, schema, places);
                }
            }
        }
        _ => {}
    }
}
