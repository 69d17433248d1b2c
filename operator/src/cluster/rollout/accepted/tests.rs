use serde_json::json;

use super::*;
use crate::cluster::{
    resource::{ClusterSpec, OpenSecureConfCluster, prod},
    validate::validate,
};

fn cluster(spec: &str, image: &str) -> ValidatedCluster {
    validate(&prod(spec), image).unwrap()
}

fn accepted(spec: &str, image: &str) -> Accepted {
    let cluster = cluster(spec, image);
    Accepted::all_of(&cluster, rendered(&cluster).unwrap())
}

/// The accepted template after a change of the resource under an operator that renders `image`, and the changes that wait.
fn follow(before: &Accepted, spec: &str, image: &str) -> (Accepted, Vec<String>) {
    let cluster = cluster(spec, image);
    let wanted = rendered(&cluster).unwrap();
    let mut accepted = before.clone();
    accepted.follow(&cluster, &wanted);
    let changes = changes(&accepted.template, &wanted);
    let waiting = changes.into_iter().map(|change| change.field);
    (accepted, waiting.collect())
}

const IMAGE: &str = "spec.containers[node].image";

#[test]
fn another_node_image_of_the_operator_waits() {
    let before = accepted("{}", "node:1");
    let (after, waits) = follow(&before, "{}", "node:2");
    assert_eq!(after, before);
    assert_eq!(waits, [IMAGE]);
}

#[test]
fn what_a_field_asks_for_enters_and_the_rest_goes_on_waiting() {
    let before = accepted("{}", "node:1");
    let spec = "{minUserKeyLength: 20, nodeSelector: {disk: ssd}, restartedAt: '2026'}";
    let (after, waits) = follow(&before, spec, "node:2");
    assert_eq!(waits, [IMAGE]);
    assert_eq!(after, accepted(spec, "node:1"));
    // And may be taken back.
    let (after, waits) = follow(&after, "{}", "node:2");
    assert_eq!((after, waits), (before, vec![IMAGE.to_owned()]));
}

#[test]
fn an_image_that_the_resource_names_is_the_users() {
    let before = accepted("{}", "node:1");
    for image in ["mine:7", "node:2", "node:1"] {
        let (after, waits) = follow(&before, &format!("{{image: '{image}'}}"), "node:2");
        assert_eq!(after.image(), Some(image));
        assert_eq!(waits, Vec::<String>::new());
        // A user who removes it asks for the operator's own value.
        let (after, waits) = follow(&after, "{}", "node:2");
        assert_eq!(after.image(), Some("node:2"));
        assert_eq!(waits, Vec::<String>::new());
    }
}

#[test]
fn whoever_names_what_the_new_operator_would_render_anyway_gets_it() {
    let spread = |skew: i32| json!([{ "maxSkew": skew, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule" }]);
    let mut before = accepted("{}", "node:1");
    before.template["spec"]["topologySpreadConstraints"] = spread(2);
    let own = &rendered(&cluster("{}", "node:1")).unwrap()["spec"]["topologySpreadConstraints"];
    let spec = json!({ "topologySpreadConstraints": own }).to_string();
    let (after, waits) = follow(&before, &spec, "node:1");
    assert_eq!(&after.template["spec"]["topologySpreadConstraints"], own);
    assert_eq!(waits, Vec::<String>::new());
}

#[test]
fn a_field_that_cannot_be_told_from_the_operators_change_waits_as_a_whole_and_others_do_not() {
    let mut before = accepted("{}", "node:1");
    // An earlier release wrote the interval otherwise.
    let env = before.template["spec"]["containers"][0]["env"]
        .as_array_mut()
        .unwrap();
    let interval = env.iter_mut().find(|item| item["value"] == "30").unwrap();
    interval["value"] = "30s".into();
    let name = interval["name"].as_str().unwrap().to_owned();
    let place = format!("spec.containers[node].env[{name}].value");

    let spec = "{syncIntervalSeconds: 60, priorityClassName: high}";
    let (after, waits) = follow(&before, spec, "node:1");
    assert_eq!(waits, [place]);
    assert_eq!(after.template["spec"]["priorityClassName"], "high");
    let (again, _) = follow(&after, spec, "node:1");
    assert_eq!(again, after);
}

#[test]
fn fields_that_are_left_out_make_no_pod_another_one() {
    let everything: OpenSecureConfCluster =
        serde_saphyr::from_str(include_str!("../../../../tests/it/everything.yaml")).unwrap();
    let all = validate(&everything, "node:1").unwrap();
    let mut spec = serde_json::to_value(&everything.spec).unwrap();
    let defaults = serde_json::to_value(ClusterSpec::default()).unwrap();
    for field in NOT_IN_PODS {
        assert!(defaults.get(field).is_some(), "{field} is no field");
        spec[field] = defaults[field].clone();
    }
    spec["replicas"] = 7.into();
    let without = all
        .with_spec(serde_json::from_value(spec).unwrap())
        .unwrap();
    assert_eq!(rendered(&without), rendered(&all));
}

#[test]
fn what_nobody_but_the_operator_wrote_is_read_again() {
    let (cluster, key) = (cluster("{}", "node:1"), AccessKey(b"secret".to_vec()));
    let written = Accepted {
        rollout: Some("4711".to_owned()),
        ..accepted("{}", "node:1")
    };
    let config_map = serde_json::to_value(written.config_map(&cluster, &key)).unwrap();
    let read = |config_map: &Value, key: &AccessKey| Accepted::read(&cluster, config_map, key);
    assert_eq!(read(&config_map, &key), Some(written.clone()));

    assert_eq!(read(&config_map, &AccessKey(b"other".to_vec())), None);
    for entry in ["template", "fields", "rollout", "seal"] {
        let mut changed = config_map.clone();
        let text = changed["data"][entry]
            .as_str()
            .unwrap()
            .replacen(['1', '3', 'a'], "2", 1);
        assert_ne!(changed["data"][entry], text.as_str(), "{entry}");
        changed["data"][entry] = text.into();
        assert_eq!(read(&changed, &key), None, "{entry}");
        changed["data"].as_object_mut().unwrap().shift_remove(entry);
        assert_eq!(read(&changed, &key), None, "{entry}");
    }
    // Nor is it another cluster's.
    let other = ValidatedCluster {
        namespace: "elsewhere".to_owned(),
        ..cluster.clone()
    };
    assert_eq!(Accepted::read(&other, &config_map, &key), None);
}

#[test]
fn what_runs_is_accepted_where_nobody_tells() {
    let live = |image: &str| LiveChild {
        object: json!({ "spec": { "template": rendered(&cluster("{}", image)).unwrap() } }),
        resource_version: None,
        managers: Vec::new(),
    };
    let adopted = Accepted::adopt(&cluster("{}", "node:2"), &live("node:1")).unwrap();
    assert_eq!(adopted.image(), Some("node:1"));
    assert_eq!(follow(&adopted, "{}", "node:2").1, [IMAGE]);
    let named = cluster("{image: 'mine:7'}", "node:2");
    let adopted = Accepted::adopt(&named, &live("node:1")).unwrap();
    assert_eq!(adopted.image(), Some("mine:7"));
}
