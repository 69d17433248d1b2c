//! Defaults of lists and maps. Server-side apply turns a list or a map that its owner empties into `null`, which the API
//! server refuses in a field that has neither a default nor `nullable`.
//!
//! The items of a list have none. Apply takes such a list as a whole, so nothing in it becomes `null`; and Argo CD compares it as a
//! whole, so that a default in an item would show the resource as `OutOfSync` for ever.

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

/// Gives every list and every map of the spec's schema a default, and the items of lists none. In foreign types not those that are
/// required, and never an object with properties: in a selector absent and `{}` differ.
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
    if let Some(items) = schema.get_mut("items") {
        remove_defaults(items);
    }
    if let Some(nested) = schema
        .get_mut("additionalProperties")
        .filter(|nested| nested.is_object())
    {
        set_defaults(nested);
    }
}

/// Takes the default of this schema and of each one below it away.
fn remove_defaults(schema: &mut Value) {
    if let Some(members) = schema.as_object_mut() {
        members.shift_remove("default");
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        remove_defaults(property);
    }
    for nested in ["items", "additionalProperties"] {
        if let Some(nested) = schema.get_mut(nested) {
            remove_defaults(nested);
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

    /// Where a schema stands.
    #[derive(Debug, Clone, Copy)]
    struct Place {
        foreign: bool,
        in_list: bool,
        required: bool,
    }

    /// Every schema below this one: its path, where it stands, and itself.
    fn walk<'a>(
        path: &str,
        place: Place,
        schema: &'a Value,
        all: &mut Vec<(String, Place, &'a Value)>,
    ) {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let path = format!("{path}.{name}");
            let required = is_required(name);
            all.push((path.clone(), Place { required, ..place }, property));
            let foreign = place.foreign || FOREIGN.contains(&name.as_str());
            walk(&path, Place { foreign, ..place }, property, all);
        }
        for nested in ["items", "additionalProperties"] {
            if let Some(below) = schema.get(nested) {
                let in_list = place.in_list || nested == "items";
                walk(&format!("{path}[]"), Place { in_list, ..place }, below, all);
            }
        }
    }

    fn whole_spec(spec: &Value) -> Vec<(String, Place, &Value)> {
        let place = Place {
            foreign: false,
            in_list: false,
            required: false,
        };
        let mut all = Vec::new();
        walk("spec", place, spec, &mut all);
        all
    }

    fn schema_of_the_spec() -> Value {
        let crd = serde_json::to_value(crd().unwrap()).unwrap();
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
            .unwrap()
            .clone()
    }

    #[test]
    fn lists_and_maps_have_defaults_and_foreign_objects_have_none() {
        let spec = schema_of_the_spec();
        let (mut with, mut without) = (0, 0);
        for (path, place, schema) in whole_spec(&spec) {
            if place.in_list {
                continue;
            }
            let default = schema.get("default");
            let is_list = schema["type"] == "array";
            let is_map =
                schema.get("additionalProperties").is_some() && schema.get("properties").is_none();
            if (is_list || is_map) && !(place.foreign && place.required) {
                assert!(default.is_some(), "{path} has no default");
                with += 1;
            } else if place.foreign {
                assert_eq!(default, None, "{path} has a default");
                without += 1;
            }
            if schema.get("properties").is_some() && place.foreign {
                assert_eq!(default, None, "{path} is an object and has a default");
            }
        }
        assert!(with > 20 && without >= 5, "{with} with, {without} without");
    }

    #[test]
    fn what_stands_in_the_item_of_a_list_has_no_default() {
        let spec = schema_of_the_spec();
        let (mut items, mut with) = (0, Vec::new());
        for (path, place, schema) in whole_spec(&spec) {
            if place.in_list {
                items += 1;
                if schema.get("default").is_some() {
                    with.push(path);
                }
            }
        }
        assert!(items > 60, "{items} of them");
        assert_eq!(with, Vec::<String>::new());
    }
}
