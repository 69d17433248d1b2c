//! The resources that tests apply, render and empty set every field: a new one does not slip by.

use serde_json::{Value, json};

use super::{crd, defaults::FOREIGN};

const EVERYTHING: &str = include_str!("../../../tests/it/everything.yaml");
const EVERYTHING_ELSE: &str = include_str!("../../../tests/it/everything-else.yaml");
const SHARED: &str = include_str!("../../../tests/it/everything-shared.yaml");

#[test]
fn the_resources_of_the_tests_give_every_field_another_value_than_its_default() {
    let definition = serde_json::to_value(crd().unwrap()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let resources = [EVERYTHING, EVERYTHING_ELSE, SHARED].map(|yaml| {
        let resource: Value = serde_saphyr::from_str(yaml).unwrap();
        resource["spec"].clone()
    });
    // It has no use beside a Secret with a key, nor beside another key.
    let without_key = json!({ "apiKey": { "required": false } });
    let given: Vec<_> = resources.iter().chain([&without_key]).collect();
    let mut missing = Vec::new();
    collect("", &schema["properties"]["spec"], &given, &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

/// The fields of our own below a place that none of the values there sets.
fn collect(path: &str, schema: &Value, given: &[&Value], missing: &mut Vec<String>) {
    if given
        .iter()
        .all(|value| schema.get("default") == Some(value))
    {
        missing.push(path.to_owned());
        return;
    }
    if let Some(items) = schema
        .get("items")
        .filter(|items| items.get("properties").is_some())
    {
        let inside: Vec<_> = given
            .iter()
            .filter_map(|value| value.as_array())
            .flatten()
            .collect();
        collect(&format!("{path}[]"), items, &inside, missing);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if FOREIGN.contains(&name.as_str()) {
            continue;
        }
        let inside: Vec<_> = given.iter().filter_map(|value| value.get(name)).collect();
        collect(&format!("{path}/{name}"), schema, &inside, missing);
    }
}
