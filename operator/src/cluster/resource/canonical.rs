//! A spec as its children are built from it: without the empty lists and maps that the API server puts where nothing stands
//! ([`super::defaults`]). A child that was applied with them would differ from what is stored, for ever.

use std::sync::OnceLock;

use serde_json::Value;

use super::{ClusterSpec, crd, defaults::empty_value};

/// The same spec without what is empty anyway.
///
/// # Errors
/// Where the spec cannot be written as JSON and read again.
pub fn canonical(spec: &ClusterSpec) -> Result<ClusterSpec, serde_json::Error> {
    let mut value = serde_json::to_value(spec)?;
    strip(schema()?, &mut value);
    serde_json::from_value(value)
}

fn schema() -> Result<&'static Value, serde_json::Error> {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    if let Some(schema) = SCHEMA.get() {
        return Ok(schema);
    }
    let mut crd = serde_json::to_value(crd()?)?;
    let spec = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    let spec = spec.map(Value::take).unwrap_or_default();
    Ok(SCHEMA.get_or_init(|| spec))
}

/// Objects with properties stay: in a selector nothing and `{}` differ.
fn strip(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(members) => {
            let required = schema.get("required").and_then(Value::as_array);
            members.retain(|name, member| {
                let Some(schema) = schema.get("properties").and_then(|known| known.get(name))
                else {
                    return true;
                };
                strip(schema, member);
                let is_required =
                    required.is_some_and(|names| names.iter().any(|known| known == name));
                is_required || empty_value(schema).as_ref() != Some(member)
            });
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    strip(schema, item);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::OpenSecureConfCluster;

    /// As the API server does.
    fn set_defaults(schema: &Value, value: &mut Value) {
        match value {
            Value::Object(members) => {
                let properties = schema.get("properties").and_then(Value::as_object);
                for (name, property) in properties.into_iter().flatten() {
                    if let (Some(default), None) = (property.get("default"), members.get(name)) {
                        members.insert(name.clone(), default.clone());
                    }
                    if let Some(member) = members.get_mut(name) {
                        set_defaults(property, member);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for item in items {
                        set_defaults(schema, item);
                    }
                }
            }
            _ => {}
        }
    }

    #[test]
    fn what_the_api_server_adds_changes_nothing() {
        let text = include_str!("../../../tests/it/everything.yaml");
        let mut given: Value = serde_saphyr::from_str(text).unwrap();
        let written: OpenSecureConfCluster = serde_json::from_value(given.clone()).unwrap();
        set_defaults(schema().unwrap(), given.get_mut("spec").unwrap());
        let stored: OpenSecureConfCluster = serde_json::from_value(given).unwrap();
        assert_ne!(stored.spec, written.spec, "it adds something");
        assert_eq!(canonical(&stored.spec).unwrap(), written.spec);
    }

    #[test]
    fn a_selector_of_everything_stays_one() {
        let spec = |clients: &str| {
            let text = format!("{{networkPolicy: {{clients: {clients}}}}}");
            canonical(&serde_saphyr::from_str::<ClusterSpec>(&text).unwrap()).unwrap()
        };
        let all = spec("[{namespaceSelector: {matchLabels: {}, matchExpressions: []}}]");
        assert_eq!(all, spec("[{namespaceSelector: {}}]"));
        let selector = &all.network_policy.clients[0].namespace_selector;
        assert!(selector.is_some());
    }
}
