use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The variables of the one container, as `NAME=VALUE`.
fn template(env: &[&str]) -> Value {
    let env: Vec<_> = env
        .iter()
        .map(|text| {
            let (name, value) = text.split_once('=').unwrap();
            json!({ "name": name, "value": value })
        })
        .collect();
    json!({ "spec": { "containers": [{ "name": "node", "image": "node:1", "env": env }] } })
}

fn merged(before: &[&str], after: &[&str], accepted: &[&str]) -> Value {
    merge(&template(before), &template(after), &template(accepted)).unwrap()
}

#[test]
fn what_the_user_changes_enters_and_what_the_operator_changes_does_not() {
    // The new operator renders A differently, adds B and leaves out C; the user changes U, adds V and removes W.
    let before = ["A=new", "B=1", "U=1", "W=1"];
    let after = ["A=new", "B=1", "U=2", "V=1"];
    let accepted = ["A=old", "C=1", "U=1", "W=1"];
    let wanted = template(&["A=old", "C=1", "U=2", "V=1"]);
    assert_eq!(merged(&before, &after, &accepted), wanted);
}

#[test]
fn who_changes_the_order_gets_it_and_nobody_else_does() {
    let accepted = ["A=1", "OLD=1", "B=1"];
    assert_eq!(
        merged(&["A=1", "B=1"], &["B=1", "A=1"], &accepted),
        template(&["B=1", "A=1", "OLD=1"])
    );
    assert_eq!(
        merged(&["B=1", "A=1"], &["B=1", "U=1", "A=1"], &accepted),
        template(&["A=1", "OLD=1", "B=1", "U=1"])
    );
}

#[test]
fn a_change_of_what_the_accepted_template_says_otherwise_is_no_half_change() {
    let conflict = |before: &Value, after: &Value, accepted: &Value| {
        assert_eq!(merge(before, after, accepted), Err(Conflict));
    };
    // Seconds became milliseconds, and then the user asks for a minute.
    conflict(
        &template(&["EVERY=30000"]),
        &template(&["EVERY=60000"]),
        &template(&["EVERY=30"]),
    );
    // The operator changed the kind of a volume, and the user changes its mode.
    let volume = |source: Value| json!({ "spec": { "volumes": [source] } });
    conflict(
        &volume(json!({ "name": "tls", "projected": { "defaultMode": 288 } })),
        &volume(json!({ "name": "tls", "projected": { "defaultMode": 292 } })),
        &volume(json!({ "name": "tls", "secret": { "defaultMode": 288 } })),
    );
}

#[test]
fn labels_and_annotations_of_several_stand_side_by_side() {
    let template = |annotations: Value| json!({ "metadata": { "annotations": annotations } });
    let bare = json!({ "metadata": {} });
    let theirs = template(json!({ "operator": "old" }));
    let users = template(json!({ "user": "1" }));
    let both = template(json!({ "operator": "old", "user": "1" }));
    assert_eq!(merge(&bare, &users, &theirs), Ok(both.clone()));
    assert_eq!(merge(&users, &bare, &both), Ok(theirs));
    assert_eq!(merge(&users, &bare, &users), Ok(bare));
}

#[test]
fn another_kind_of_volume_leaves_nothing_of_the_first_one() {
    let volume = |source: Value| json!({ "spec": { "volumes": [source] } });
    let merged = merge(
        &volume(json!({ "name": "x", "secret": { "secretName": "a" } })),
        &volume(json!({ "name": "x", "configMap": { "name": "b" } })),
        &volume(json!({ "name": "x", "secret": { "secretName": "a", "optional": true } })),
    );
    let wanted = volume(json!({ "name": "x", "configMap": { "name": "b" } }));
    assert_eq!(merged, Ok(wanted));
}

/// The parts of a template: maps with several managers, lists by name, whole lists, values.
fn any_template() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(json!("1")),
        Just(json!("2")),
        Just(json!({ "a": 1 })),
        Just(json!([1, 2]))
    ];
    let names = || prop::sample::select(vec!["a", "b", "c", "d"]);
    let map = prop::collection::btree_map(names(), value.clone(), 0..4);
    let item = (
        names(),
        prop::option::of(value.clone()),
        prop::option::of(value),
    );
    let env = prop::collection::vec(item, 0..4).prop_map(|items| {
        let mut seen = Vec::new();
        let items = items.into_iter().filter(|(name, ..)| {
            let is_new = !seen.contains(name);
            seen.push(*name);
            is_new
        });
        let items = items.map(|(name, value, from)| {
            let mut item = json!({ "name": name });
            if let Some(value) = value {
                item["value"] = value;
            }
            if let Some(from) = from {
                item["valueFrom"] = from;
            }
            item
        });
        Value::Array(items.collect())
    });
    let args = prop::collection::vec(0..3_u8, 0..3);
    let parts = (
        prop::option::of(map),
        prop::option::of(env),
        prop::option::of(args),
    );
    parts.prop_map(|(annotations, env, args)| {
        let mut template = json!({ "metadata": {}, "spec": {} });
        if let Some(annotations) = annotations {
            template["metadata"]["annotations"] = json!(annotations);
        }
        if let Some(env) = env {
            template["spec"]["env"] = env;
        }
        if let Some(args) = args {
            template["spec"]["args"] = json!(args);
        }
        template
    })
}

proptest! {
    #[test]
    fn without_a_change_of_the_users_nothing_enters(same in any_template(), accepted in any_template()) {
        prop_assert_eq!(merge(&same, &same, &accepted), Ok(accepted));
    }

    #[test]
    fn where_nothing_waits_all_of_a_change_enters(before in any_template(), after in any_template()) {
        prop_assert_eq!(merge(&before, &after, &before), Ok(after));
    }

    #[test]
    fn a_change_enters_once(before in any_template(), after in any_template(), accepted in any_template()) {
        if let Ok(merged) = merge(&before, &after, &accepted) {
            prop_assert_eq!(merge(&before, &after, &merged), Ok(merged));
        }
    }

    #[test]
    fn every_value_is_one_that_somebody_rendered(before in any_template(), after in any_template(), accepted in any_template()) {
        let Ok(merged) = merge(&before, &after, &accepted) else { return Ok(()) };
        let values = |template: &Value| -> Vec<String> {
            let annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
            let env = template["spec"]["env"].as_array().cloned().unwrap_or_default();
            let args = [("args", &template["spec"]["args"])];
            let of_env = env.iter().flat_map(|item| item.as_object().unwrap().iter().map(|(name, value)| format!("{}.{name}={value}", item["name"])));
            annotations.iter().map(|(name, value)| format!("{name}={value}")).chain(of_env).chain(args.iter().map(|(name, value)| format!("{name}={value}"))).collect()
        };
        let known: Vec<_> = [&after, &accepted].into_iter().flat_map(values).collect();
        for value in values(&merged) {
            prop_assert!(known.contains(&value), "{} in {}", value, merged);
        }
    }
}
