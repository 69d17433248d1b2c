use std::collections::HashSet;

use serde_json::{Map, json};

use super::*;
use crate::cluster::resource::ClusterSpec;

fn refusal(document: &Value) -> String {
    match parse(&document.to_string()) {
        Ok(_) => panic!("{document} is accepted"),
        Err(error) => format!("{error:#}"),
    }
}

fn resource(spec: &Value) -> Value {
    json!({
        "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster", "metadata": {"name": "prod"}, "spec": spec,
    })
}

fn schema() -> Value {
    let crd = serde_json::to_value(crd().unwrap()).unwrap();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .unwrap()
        .clone()
}

/// Every property of the schema: the names on the way to it (`None` is an item of a list), and its own schema.
fn properties(schema: &Value) -> Vec<(Vec<Option<String>>, Value)> {
    let mut all = Vec::new();
    let members = schema.get("properties").and_then(Value::as_object);
    let children = members
        .into_iter()
        .flatten()
        .map(|(name, schema)| (Some(name.clone()), schema))
        .chain(schema.get("items").map(|schema| (None, schema)));
    for (step, schema) in children {
        all.push((vec![step.clone()], schema.clone()));
        for (mut path, schema) in properties(schema) {
            path.insert(0, step.clone());
            all.push((path, schema));
        }
    }
    all
}

/// A document with only this value at this place.
fn placed(path: &[Option<String>], value: Value) -> Value {
    path.iter().rev().fold(value, |value, step| match step {
        Some(name) => Value::Object(Map::from_iter([(name.clone(), value)])),
        None => json!([value]),
    })
}

fn shown(path: &[Option<String>]) -> String {
    path.iter()
        .fold("spec".to_owned(), |text, step| match step {
            Some(name) => format!("{text}.{name}"),
            None => format!("{text}[0]"),
        })
}

#[test]
fn every_field_of_the_definition_is_missed_when_it_is_mistyped() {
    let schema = schema();
    let all = properties(&schema);
    let open: HashSet<_> = all
        .iter()
        .filter(|(_, schema)| schema.get("x-kubernetes-preserve-unknown-fields").is_some())
        .map(|(path, _)| path.as_slice())
        .collect();
    let mut tried = 0;
    for (path, _) in &all {
        let Some((Some(name), parents)) = path.split_last() else {
            continue;
        };
        if open.contains(parents) {
            continue;
        }
        let mut mistyped = parents.to_vec();
        mistyped.push(Some(format!("{name}x")));
        let found = violations("spec", &placed(&mistyped, json!(1)), &schema);
        let fault = format!("{} is no field; did you mean ", shown(&mistyped));
        // Another field may be as near.
        assert!(
            found.iter().any(|line| line.starts_with(&fault)),
            "{fault}: {found:?}"
        );
        tried += 1;
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn every_field_of_the_definition_takes_values_of_its_type_only() {
    let schema = schema();
    let mut tried = 0;
    for (path, property) in properties(&schema) {
        let wrong = match property.get("type").and_then(Value::as_str) {
            Some("integer" | "boolean") => json!("1"),
            Some("string") => json!(1),
            Some("array" | "object") => json!(true),
            _ if property.get("x-kubernetes-int-or-string").is_some() => json!([]),
            _ => continue,
        };
        let found = violations("spec", &placed(&path, wrong), &schema);
        let fault = format!("{} must be ", shown(&path));
        assert!(
            found.iter().any(|line| line.starts_with(&fault)),
            "{fault}: {found:?}"
        );
        tried += 1;
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn what_is_something_else_is_named_with_what_it_should_be() {
    for (document, faults) in [
        (
            json!({"apiVersion": "opensecureconf.io/v1beta9", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replica": 1}}),
            &[
                "apiVersion must be opensecureconf.io/v1alpha1, not 'opensecureconf.io/v1beta9'",
                "kind must be OpenSecureConfCluster, not 'Deployment'",
                "spec.replica is no field; did you mean spec.replicas?",
            ][..],
        ),
        (
            resource(&json!({"replicas": "1", "mode": "replica", "minUserKeyLength": 0})),
            &[
                "spec.replicas must be a whole number, not the text '1'",
                "spec.mode must be Replica or Federated or Shared, not the text 'replica'",
                "spec.minUserKeyLength must be 1 or more, not 0",
            ],
        ),
        (
            json!({"metadata": {"nam": "a"}, "specs": {}, "spec": {}}),
            &[
                "apiVersion must be opensecureconf.io/v1alpha1",
                "kind must be OpenSecureConfCluster",
                "specs is no field; did you mean spec?",
                "metadata.nam is no field; did you mean metadata.name?",
            ],
        ),
        (
            resource(&json!({"something": 1})),
            &["spec.something is no field; here are: "],
        ),
        (json!([]), &["it is no YAML document"]),
    ] {
        let text = refusal(&document);
        for fault in faults {
            assert!(text.contains(fault), "{fault}: {text}");
        }
    }
}

#[test]
fn samples_and_fields_without_a_value_are_taken() {
    let mut bare = resource(&Value::Null);
    let unsaid = parse(&bare.to_string()).unwrap();
    assert_eq!(unsaid.spec, ClusterSpec::default());
    bare.as_object_mut().unwrap().remove("spec");
    assert_eq!(parse(&bare.to_string()).unwrap().spec, unsaid.spec);
    for sample in [
        include_str!("../../manifests/samples/one-node.yaml"),
        include_str!("../../manifests/samples/three-nodes.yaml"),
        include_str!("../../manifests/samples/federated.yaml"),
    ] {
        parse(sample).unwrap();
    }
    parse(&resource(&json!({"storage": null, "apiKey": {"required": null}, "resources": {"limits": {"cpu": 1}}})).to_string()).unwrap();
    parse(&resource(&json!({"podTemplate": {"env": [{"name": "A", "value": "b"}]}})).to_string())
        .unwrap();
}

#[test]
fn a_file_with_several_documents_is_refused_in_words_for_people() {
    let install = include_str!("../../../../manifests/install.yaml");
    let sample = include_str!("../../manifests/samples/one-node.yaml");
    for (text, clusters) in [
        (install.to_owned(), "0 of them"),
        (format!("{sample}---\n{sample}"), "2 of them"),
    ] {
        let words = parse(&text).map(drop).unwrap_err().to_string();
        assert!(
            words.contains("YAML documents") && words.contains(clusters),
            "{words}"
        );
        assert!(words.contains("one OpenSecureConfCluster"), "{words}");
    }
}
