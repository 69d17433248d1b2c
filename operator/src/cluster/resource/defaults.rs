//! Defaults of lists and maps. Server-side apply turns a list or a map that its owner empties into `null`, which the API
//! server refuses in a field that has neither a default nor `nullable`.

use serde_json::{Value, json};

/// Fields of Kubernetes' own types, wherever they stand.
pub(super) const FOREIGN: &[&str] = &[
    "resources",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "imagePullSecrets",
    "clients",
    "metrics",
    "conditions",
];

/// Gives every list and every map of the spec's schema a default. In foreign types not those that are required, and never
/// an object with properties: in a selector absent and `{}` differ.
pub(super) fn set_defaults(schema: &mut Value) {
    let required: Vec<String> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        let empty = empty_value(property).filter(|_| !required.contains(name));
        if let (Some(empty), Some(members)) = (empty, property.as_object_mut()) {
            members.entry("default").or_insert(empty);
        }
        set_defaults(property);
    }
    for nested in ["items", "additionalProperties"] {
        if let Some(nested) = schema.get_mut(nested).filter(|nested| nested.is_object()) {
            set_defaults(nested);
        }
    }
}

/// What a list or a map is without anything in it; `None` for whatever is neither.
pub(super) fn empty_value(schema: &Value) -> Option<Value> {
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => Some(json!([])),
        Some("object")
            if schema.get("additionalProperties").is_some()
                && schema.get("properties").is_none() =>
        {
            Some(json!({}))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::crd;

    /// Every schema below this one: its path, whether it stands in a foreign type, whether it is required, and itself.
    fn walk<'a>(
        path: &str,
        foreign: bool,
        schema: &'a Value,
        all: &mut Vec<(String, bool, bool, &'a Value)>,
    ) {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let path = format!("{path}.{name}");
            all.push((path.clone(), foreign, is_required(name), property));
            walk(
                &path,
                foreign || FOREIGN.contains(&name.as_str()),
                property,
                all,
            );
        }
        for nested in ["items", "additionalProperties"] {
            if let Some(nested) = schema.get(nested) {
                walk(&format!("{path}[]"), foreign, nested, all);
            }
        }
    }

    #[test]
    fn lists_and_maps_have_defaults_and_foreign_objects_have_none() {
        let crd = serde_json::to_value(crd().unwrap()).unwrap();
        let spec = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
            .unwrap();
        let mut all = Vec::new();
        walk("spec", false, spec, &mut all);
        let (mut with, mut without) = (0, 0);
        for (path, foreign, required, schema) in all {
            let default = schema.get("default");
            let is_list = schema["type"] == "array";
            let is_map =
                schema.get("additionalProperties").is_some() && schema.get("properties").is_none();
            if (is_list || is_map) && !(foreign && required) {
                assert!(default.is_some(), "{path} has no default");
                with += 1;
            } else if foreign {
                assert_eq!(default, None, "{path} has a default");
                without += 1;
            }
            if schema.get("properties").is_some() && foreign {
                assert_eq!(default, None, "{path} is an object and has a default");
            }
        }
        assert!(with > 60 && without > 60, "{with} with, {without} without");
    }
}
