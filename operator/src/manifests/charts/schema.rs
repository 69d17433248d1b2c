//! The schema of the cluster chart's values: that of the resource, as JSON Schema 2020-12, and a few values of the chart itself.

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::{
    cluster::resource::{REPLICAS, REPLICAS_SHARED},
    object_names::SUBDOMAIN,
};

/// Makes the schema from the definition.
///
/// # Errors
/// Where the definition has no spec.
pub(super) fn of_cluster(crd: &Value) -> anyhow::Result<Value> {
    let spec = crd
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .context("the definition has no schema of a spec")?;
    let mut spec = json_schema(spec);
    // JSON Schema has no keyword for the definition's own CEL rules.
    if let Some(replicas) = spec
        .pointer_mut("/properties/replicas")
        .and_then(Value::as_object_mut)
    {
        replicas.insert("minimum".to_owned(), (*REPLICAS.start()).into());
        replicas.insert("maximum".to_owned(), (*REPLICAS_SHARED.end()).into());
    }
    if let Some(members) = spec.as_object_mut() {
        members.insert(
            "if".to_owned(),
            json!({ "properties": { "mode": { "const": "Shared" } }, "required": ["mode"] }),
        );
        members.insert(
            "else".to_owned(),
            json!({ "properties": { "replicas": { "maximum": *REPLICAS.end() } } }),
        );
        members.insert(
            "description".to_owned(),
            "The spec of the resource. Only what is given here is set; the rest has these defaults.".into(),
        );
        members.insert("default".to_owned(), json!({}));
    }
    let strings = |description: &str| {
        json!({ "description": description, "type": "object", "default": {},
                "additionalProperties": { "type": ["string", "number", "boolean"] } })
    };
    Ok(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart opensecureconf-cluster",
        "type": "object",
        "additionalProperties": false,
        // Helm removes values that are set to null: the values that the templates need are required by name.
        "required": ["commonLabels", "commonAnnotations", "waitForReady", "spec"],
        "properties": {
            "enabled": {
                "description": "For a chart that has this one as a subchart: its condition. Nothing here reads it.",
                "type": "boolean",
            },
            "global": {
                "description": "Values of a parent chart. `global.imagePullSecrets` is added to `waitForReady.imagePullSecrets`.",
                "type": "object",
            },
            "name": {
                "description": "Name of the cluster; without it the release's. Another name is another cluster.",
                "type": "string",
                "pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$",
                "not": { "pattern": "-nodes$" },
                "maxLength": 40,
                "default": "",
            },
            "commonLabels": strings("Labels of the resource and of what waits for it."),
            "commonAnnotations": strings("Annotations of the same."),
            "waitForReady": {
                "description": "A Job that waits until the nodes are ready. For Helm 3, whose --wait takes every custom resource for ready; Helm 4 needs none.",
                "type": "object",
                "additionalProperties": false,
                "required": ["timeout", "image", "imagePullSecrets"],
                "properties": {
                    "enabled": {
                        "description": "Whether installing, upgrading and rolling back wait for it, and fail with it.",
                        "type": "boolean",
                        "default": false,
                    },
                    "timeout": {
                        "description": "How long it waits, such as 90s or 5m. Helm's own --timeout should be longer.",
                        "type": "string",
                        "pattern": "^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$",
                        "minLength": 2,
                        "default": "4m",
                    },
                    "image": {
                        "description": "Image of the operator, whose program waits; `helm test` runs it too.",
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["repository", "pullPolicy"],
                        "properties": {
                            "repository": { "description": "Registry and name.", "type": "string", "minLength": 1, "default": "opensecureconf-operator" },
                            "tag": { "description": "Tag; without it the chart's appVersion.", "type": "string", "default": "" },
                            "digest": { "description": "Digest such as sha256:..., which goes before the tag.", "type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$", "default": "" },
                            "pullPolicy": { "description": "When it is pulled.", "enum": ["Always", "IfNotPresent", "Never"], "default": "IfNotPresent" },
                        },
                    },
                    "imagePullSecrets": {
                        "description": "Secrets for pulling that image, such as [{name: registry}].",
                        "type": "array",
                        "items": { "type": "object", "required": ["name"], "additionalProperties": false, "properties": { "name": { "type": "string", "pattern": SUBDOMAIN, "maxLength": 253 } } },
                        "default": [],
                    },
                    "nodeSelector": strings("Labels of the Kubernetes nodes that it may run on."),
                    "tolerations": { "description": "Taints that it tolerates.", "type": "array", "items": { "type": "object" }, "default": [] },
                },
            },
            "spec": spec,
        },
    }))
}

/// From Kubernetes' dialect: its own keywords become JSON Schema's, or go; fields that it would prune are refused.
fn json_schema(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else {
        return schema.clone();
    };
    let is = |keyword: &str| members.get(keyword) == Some(&Value::Bool(true));
    if is("x-kubernetes-int-or-string") {
        // A quantity: the chart writes it as a string.
        return described(members, json!({ "type": ["string", "number"] }));
    }
    let mut made = Map::new();
    for (keyword, value) in members {
        match keyword.as_str() {
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let properties: Map<_, _> = properties
                    .map(|(name, property)| (name.clone(), json_schema(property)))
                    .collect();
                made.insert(keyword.clone(), properties.into());
            }
            "items" | "additionalProperties" => {
                made.insert(keyword.clone(), json_schema(value));
            }
            // Ranges are in the description and CEL; a default of null means nothing.
            "format" | "nullable" => {}
            "default" if value.is_null() => {}
            _ if keyword.starts_with("x-kubernetes-") => {}
            _ => {
                made.insert(keyword.clone(), value.clone());
            }
        }
    }
    let closed = made.contains_key("properties")
        && !made.contains_key("additionalProperties")
        && !is("x-kubernetes-preserve-unknown-fields");
    if closed {
        made.insert("additionalProperties".to_owned(), false.into());
    }
    if is("nullable")
        && let Some(type_) = made.get("type").cloned()
    {
        made.insert("type".to_owned(), json!([type_, "null"]));
        if let Some(values) = made.get_mut("enum").and_then(Value::as_array_mut)
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    }
    made.into()
}

fn described(members: &Map<String, Value>, mut schema: Value) -> Value {
    if let (Some(description), Some(made)) = (members.get("description"), schema.as_object_mut()) {
        made.insert("description".to_owned(), description.clone());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_would_drop_silently_is_refused() {
        let made =
            json_schema(&json!({ "type": "object", "properties": { "a": { "type": "string" } } }));
        assert_eq!(made["additionalProperties"], json!(false));
        let open = json_schema(
            &json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {} }),
        );
        assert_eq!(open.get("additionalProperties"), None);
    }

    #[test]
    fn quantities_may_be_numbers_and_nullable_fields_null() {
        let made = json_schema(&json!({ "x-kubernetes-int-or-string": true }));
        assert_eq!(made["type"], json!(["string", "number"]));
        let made = json_schema(&json!({ "type": "string", "nullable": true, "enum": ["a"] }));
        assert_eq!(
            made,
            json!({ "type": ["string", "null"], "enum": ["a", null] })
        );
    }

    #[test]
    fn nothing_of_kubernetes_own_is_left() {
        let crd = serde_json::to_value(crate::cluster::resource::crd().unwrap()).unwrap();
        let text = of_cluster(&crd).unwrap().to_string();
        assert!(!text.contains("x-kubernetes-") && !text.contains("nullable"));
    }
}
