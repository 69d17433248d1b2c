//! The resource against a real API server: whatever is set can be emptied again, by server-side apply.

use anyhow::{Context, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::DynamicObject;
use opensecureconf_e2e::{Stage, condition};
use serde_json::{Value, json};

/// Sets every field to something that is not its default.
const EVERYTHING: &str = include_str!("../../../operator/tests/it/everything.yaml");
const DEFINITION: &str =
    include_str!("../../../crds/opensecureconfclusters.opensecureconf.io.yaml");

#[test]
fn every_field_that_is_set_can_be_emptied_again() {
    Stage::tell("schema", |stage| async move {
        let mut resource: Value = serde_saphyr::from_str(EVERYTHING)?;
        // No pod runs: the image cannot be pulled.
        resource["spec"]["service"]["type"] = json!("LoadBalancer");
        let applied = stage.apply_value(&resource).await?;
        let generation = applied.data.pointer("/status/observedGeneration");
        ensure!(
            generation.is_some(),
            "a new resource has no status, so that whoever waits takes it for done"
        );

        // One after the other, wherever it stands.
        let definition: Value = serde_saphyr::from_str(DEFINITION)?;
        let schema = definition
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
            .context("the definition has no schema")?;
        let mut places = Vec::new();
        collect("", &resource["spec"], schema, &mut places);
        // These cannot be changed at all.
        places.retain(|place| !place.is_empty() && !place.starts_with("/storage"));
        ensure!(places.len() > 25, "{places:?}");
        for place in &places {
            let mut emptied = resource.clone();
            let value = emptied["spec"]
                .pointer_mut(place)
                .context("no such place")?;
            *value = if value.is_array() {
                json!([])
            } else {
                json!({})
            };
            stage
                .apply_value(&resource)
                .await
                .with_context(|| format!("before {place}"))?;
            stage
                .apply_value(&emptied)
                .await
                .with_context(|| format!("emptied {place}"))?;
        }

        // All at once, as far as it may change.
        resource["spec"] = json!({ "storage": resource["spec"]["storage"] });
        let bare = stage.apply_value(&resource).await?;
        for (field, wanted) in [
            ("/spec/replicas", json!(3)),
            ("/spec/podTemplate/sidecars", json!([])),
            ("/spec/nodeSelector", json!({})),
            ("/spec/service/labels", json!({})),
        ] {
            ensure!(
                bare.data.pointer(field) == Some(&wanted),
                "{field}: {bare:?}"
            );
        }

        // And what the operator makes of it, this API server takes.
        let generation = bare.metadata.generation;
        let carried_out = |found: Option<&DynamicObject>| {
            found.is_some_and(|cluster| {
                let observed = cluster.data.pointer("/status/observedGeneration");
                observed.and_then(Value::as_i64) == generation
                    && condition(cluster, "Stalled").is_none()
            })
        };
        stage
            .until(stage.clusters(), "everything", "carried out", carried_out)
            .await?;
        stage
            .api::<StatefulSet>()
            .get("everything")
            .await
            .context("the operator made no nodes")?;
        Ok(())
    });
}

/// Every list, every map and every object of our own, outermost first: what the definition has a default for. An object of
/// Kubernetes' own that is emptied is refused, and rightly: in a selector nothing and `{}` differ.
fn collect(path: &str, value: &Value, schema: &Value, places: &mut Vec<String>) {
    if schema.get("default").is_some()
        && !value.is_string()
        && !value.is_number()
        && !value.is_boolean()
    {
        places.push(path.to_owned());
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(schema) = schema.get("properties").and_then(|known| known.get(name)) {
                    collect(&format!("{path}/{name}"), member, schema, places);
                }
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
