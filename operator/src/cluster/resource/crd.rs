//! The CustomResourceDefinition.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{
    ClusterSpec, OpenSecureConfCluster,
    defaults::{FOREIGN, set_defaults},
    object_names,
    rules::{RULES, Rule},
};

/// The definition as it is installed: the schema of the Rust types, our CEL rules, and no foreign descriptions.
pub fn crd() -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut crd = serde_json::to_value(OpenSecureConfCluster::crd())?;
    // Without the definition every cluster is gone: a sync of Argo CD that no longer lists it leaves it alone.
    if let Some(metadata) = crd.get_mut("metadata") {
        insert(
            metadata,
            "annotations",
            json!({ "argocd.argoproj.io/sync-options": "Prune=false" }),
        );
    }
    if let Some(root) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        for rule in RULES {
            add_rule(root, rule);
        }
        if let Some(spec) = root.pointer_mut("/properties/spec") {
            set_defaults(spec);
            object_names::bound(spec);
            // Of a spec whose fields all go, server-side apply makes null. The rules read these fields before their own defaults stand.
            insert(
                spec,
                "default",
                serde_json::to_value(ClusterSpec::default())?,
            );
        }
        // The operator has not looked at a new resource: a client that waits for its generation waits for the operator.
        if let Some(status) = root.pointer_mut("/properties/status") {
            insert(status, "default", json!({ "observedGeneration": -1 }));
        }
        // What has a default need not be given.
        if let Some(members) = root.as_object_mut() {
            members.shift_remove("required");
        }
        strip_foreign(root);
    }
    serde_json::from_value(crd)
}

fn add_rule(root: &mut Value, rule: &Rule) {
    let Some(schema) = root.pointer_mut(rule.at) else {
        return;
    };
    let told = json!({ "rule": rule.cel, "message": rule.message });
    match schema
        .get_mut("x-kubernetes-validations")
        .and_then(Value::as_array_mut)
    {
        Some(rules) => rules.push(told),
        None => insert(schema, "x-kubernetes-validations", json!([told])),
    }
}

fn insert(schema: &mut Value, name: &str, value: Value) {
    if let Some(members) = schema.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn strip_foreign(schema: &mut Value) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        if FOREIGN.contains(&name.as_str()) {
            for nested in ["properties", "items", "additionalProperties"] {
                property.get_mut(nested).map(strip_descriptions);
            }
        } else {
            strip_foreign(property);
        }
    }
}

fn strip_descriptions(value: &mut Value) {
    match value {
        Value::Object(members) => {
            // A property of this name holds a schema and no text.
            if members.get("description").is_some_and(Value::is_string) {
                members.shift_remove("description");
            }
            members.values_mut().for_each(strip_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_descriptions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::defaults::empty_value;

    #[test]
    fn the_definition_stays_small_enough_for_every_client() {
        let yaml = serde_saphyr::to_string(&crd().unwrap()).unwrap();
        assert!(yaml.len() < 100_000, "{} bytes", yaml.len());
    }

    #[test]
    fn every_rule_stands_in_the_definition() {
        let text = serde_json::to_string(&crd().unwrap()).unwrap();
        for rule in RULES {
            let message = serde_json::to_string(rule.message).unwrap();
            assert!(text.contains(&message), "{}: {message}", rule.at);
        }
    }

    #[test]
    fn a_new_resource_says_that_nobody_has_looked_at_it() {
        let crd = serde_json::to_value(crd().unwrap()).unwrap();
        let status = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/default")
            .unwrap();
        assert_eq!(*status, json!({ "observedGeneration": -1 }));
    }

    #[test]
    fn a_resource_without_a_spec_is_what_one_with_an_empty_spec_is() {
        let crd = serde_json::to_value(crd().unwrap()).unwrap();
        let root = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema")
            .unwrap();
        assert_eq!(root.get("required"), None);
        let default = root.pointer("/properties/spec/default").unwrap();
        let properties = root.pointer("/properties/spec/properties").unwrap();
        for (field, schema) in properties.as_object().unwrap() {
            let own = schema
                .get("default")
                .filter(|own| empty_value(schema).as_ref() != Some(own));
            assert_eq!(default.get(field), own, "{field}");
        }
    }

    #[test]
    fn every_field_of_the_spec_has_a_default_or_may_be_absent() {
        let crd = serde_json::to_value(crd().unwrap()).unwrap();
        let spec = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
            .unwrap();
        assert_eq!(spec.get("required"), None);
        for field in [
            "replicas",
            "mode",
            "storage",
            "apiKey",
            "minUserKeyLength",
            "logging",
            "resources",
        ] {
            assert!(
                spec.pointer(&format!("/properties/{field}/default"))
                    .is_some(),
                "{field}"
            );
        }
    }
}
