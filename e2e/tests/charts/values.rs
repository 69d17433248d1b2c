//! No value of a chart is without effect: another one gives another rendering.

use std::fs;

use serde_json::{Value, json};

use crate::helm::{OPERATOR, by_one, chart};

/// The values that only other charts read.
const OF_PARENTS: [&str; 2] = ["/enabled", "/global"];

/// A value of a chart: its place, and its schema.
type Leaf = (String, Value);

/// The values without members of their own. `spec` of a cluster is one: it goes into the resource as a whole.
fn leaves(root: &Value, schema: &Value, place: &str, found: &mut Vec<Leaf>) {
    let shared = schema["$ref"].as_str().map(|place| &place[1..]);
    let named = shared.and_then(|place| root.pointer(place));
    match schema["properties"].as_object() {
        Some(members) if place != "/spec" => {
            for (name, member) in members {
                leaves(root, member, &format!("{place}/{name}"), found);
            }
        }
        _ => found.push((place.to_owned(), named.unwrap_or(schema).clone())),
    }
}

/// Values of which the schema takes at least one that is not the default.
fn others(place: &str, schema: &Value) -> Vec<Value> {
    if place == "/spec" {
        return vec![json!({ "replicas": 7 })];
    }
    if let Some(choices) = schema["enum"].as_array() {
        return choices.clone();
    }
    match schema["type"].as_str() {
        Some("boolean") => vec![json!(true), json!(false)],
        Some("integer") => vec![json!(7)],
        Some("array") => vec![json!(["other"]), json!([{ "name": "other" }])],
        Some("object") => vec![json!({ "other": "yes" }), json!({ "cpu": "7m" })],
        Some("string") => vec![
            json!("other"),
            json!("7m"),
            json!(format!("sha256:{}", "0a".repeat(32))),
        ],
        other => panic!("{place} has the type {other:?}"),
    }
}

fn with(values: &Value, place: &str, other: Value) -> Value {
    let mut values = values.clone();
    let last = place
        .split('/')
        .skip(1)
        .fold(&mut values, |value, name| &mut value[name]);
    *last = other;
    values
}

/// Compares the rendering of each changed value with that of these values, which switch everything on that is off.
fn each_has_an_effect(name: &str, values: &Value, at_least: usize) {
    let folder = chart(name);
    let text = fs::read_to_string(folder.join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    leaves(&schema, &schema, "", &mut all);
    assert!(all.len() >= at_least, "{all:?}");
    let usual = by_one(&folder, OPERATOR, values).unwrap();
    let without_effect: Vec<_> = all
        .iter()
        .filter(|(place, _)| !OF_PARENTS.contains(&place.as_str()))
        .filter(|(place, schema)| {
            let mut renderings = others(place, schema)
                .into_iter()
                .map(|other| by_one(&folder, OPERATOR, &with(values, place, other)));
            !renderings.any(|rendering| rendering.is_ok_and(|other| other != usual))
        })
        .map(|(place, _)| place)
        .collect();
    assert_eq!(without_effect, Vec::<&String>::new(), "{name}");
}

#[test]
fn each_value_of_the_operators_chart_changes_what_it_renders() {
    let on = json!({ "enabled": true });
    let values = json!({
        "admissionPolicy": on, "serviceMonitor": on, "prometheusRule": on, "dashboard": on,
    });
    each_has_an_effect("opensecureconf-operator", &values, 50);
}

#[test]
fn each_value_of_a_clusters_chart_changes_what_it_renders() {
    let values = json!({ "waitForReady": { "enabled": true } });
    each_has_an_effect("opensecureconf-cluster", &values, 12);
}
