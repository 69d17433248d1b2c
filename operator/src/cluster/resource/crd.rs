//! The CustomResourceDefinition.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{
    OpenSecureConfCluster,
    rules::{ROOT_RULES, Rule, SPEC_RULES},
};

/// Fields of Kubernetes' own types: their descriptions are long and known.
const FOREIGN: &[&str] = &[
    "resources",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "imagePullSecrets",
    "clients",
    "conditions",
];

/// The definition as it is installed: the schema of the Rust types, our CEL rules, and no foreign descriptions.
pub fn crd() -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut crd = serde_json::to_value(OpenSecureConfCluster::crd())?;
    if let Some(root) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        add_rules(root, ROOT_RULES);
        if let Some(spec) = root.pointer_mut("/properties/spec") {
            add_rules(spec, SPEC_RULES);
        }
        strip_foreign(root);
    }
    serde_json::from_value(crd)
}

fn add_rules(schema: &mut Value, rules: &[Rule]) {
    let rules: Vec<_> = rules
        .iter()
        .map(|rule| json!({ "rule": rule.cel, "message": rule.message }))
        .collect();
    if let Some(members) = schema.as_object_mut() {
        members.insert("x-kubernetes-validations".to_owned(), rules.into());
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

    #[test]
    fn the_definition_stays_small_enough_for_every_client() {
        let yaml = serde_saphyr::to_string(&crd().unwrap()).unwrap();
        assert!(yaml.len() < 100_000, "{} bytes", yaml.len());
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
