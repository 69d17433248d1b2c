//! The resource against a real API server: whatever is set can be emptied again, by server-side apply.

use anyhow::{Context, ensure};
use opensecureconf_e2e::Stage;
use serde_json::{Value, json};

/// Sets every field to something that is not its default.
const EVERYTHING: &str = include_str!("../../../operator/tests/it/everything.yaml");

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

        // One after the other: each list and each map, wherever it stands.
        let mut places = Vec::new();
        collect("", &resource["spec"], &mut places);
        ensure!(places.len() > 35, "{places:?}");
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
            let answer = stage.apply_value(&emptied).await;
            // What is required in a type of Kubernetes' own cannot be empty.
            let Err(error) = answer else { continue };
            let text = format!("{error:?}");
            ensure!(
                !text.contains("must be of type") && !text.contains("\"null\""),
                "{place}: {text}"
            );
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
        Ok(())
    });
}

/// Every list and every object, outermost first.
fn collect(path: &str, value: &Value, places: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.replace('~', "~0").replace('/', "~1"), member))
            .collect(),
        Value::Array(items) => (0..)
            .zip(items)
            .map(|(n, item): (u32, _)| (n.to_string(), item))
            .collect(),
        _ => return,
    };
    // Items of lists are no fields.
    let is_item = path
        .rsplit('/')
        .next()
        .is_some_and(|last| last.parse::<u32>().is_ok());
    if !path.is_empty() && !is_item {
        places.push(path.to_owned());
    }
    for (name, child) in children {
        collect(&format!("{path}/{name}"), child, places);
    }
}
