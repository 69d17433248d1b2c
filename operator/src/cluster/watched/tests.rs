use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::*;
use crate::cluster::{resource::prod, validate::validate};

fn cluster(spec: &str) -> ValidatedCluster {
    let mut cluster = prod(spec);
    cluster.metadata.namespace = Some("shop".to_owned());
    validate(&cluster, "node:1").unwrap()
}

fn set(name: &str, generation: i64, version: i64, replicas: i32) -> StatefulSet {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "shop", "uid": name, "generation": generation,
            "resourceVersion": version.to_string(),
            "labels": { "app.kubernetes.io/instance": name, "app.kubernetes.io/managed-by": "opensecureconf-operator" } },
        "status": { "replicas": replicas },
    }))
    .unwrap()
}

fn listed<K>(note: impl Fn(&Result<watcher::Event<K>, watcher::Error>), objects: Vec<K>) {
    note(&Ok(watcher::Event::Init));
    for object in objects {
        note(&Ok(watcher::Event::InitApply(object)));
    }
    note(&Ok(watcher::Event::InitDone));
}

/// Watches with these sets, and no other objects.
fn watched(sets: Vec<StatefulSet>) -> Watched {
    let watched = Watched::default();
    for kind in KINDS.iter().filter(|kind| **kind != "StatefulSet") {
        let mut state = watched.lock();
        let shelf: &mut Shelf<u64> = state.versions.entry((*kind).to_owned()).or_default();
        shelf.note::<Pod>(&Ok(watcher::Event::InitDone), place, |_| 0);
    }
    listed(|event| watched.note_stateful_set(event), sets);
    listed(|event| watched.note_pod(event), Vec::new());
    watched
}

#[test]
fn the_number_of_a_cluster_changes_with_what_is_wanted_of_it_and_not_with_its_status_or_its_neighbours()
 {
    let cluster = cluster("{}");
    let watched = watched(vec![set("prod", 1, 10, 0)]);
    let first = watched.fingerprint(&cluster);
    assert!(first.is_some());
    let apply = |set: StatefulSet| watched.note_stateful_set(&Ok(watcher::Event::Apply(set)));

    apply(set("prod", 1, 11, 3));
    assert_eq!(
        watched.fingerprint(&cluster),
        first,
        "only its status is another one"
    );
    let status = watched.stateful_set(&cluster).unwrap().status;
    assert_eq!(status.unwrap().replicas, 3);
    apply(set("other", 1, 12, 0));
    assert_eq!(watched.fingerprint(&cluster), first);

    apply(set("prod", 2, 13, 3));
    assert_ne!(watched.fingerprint(&cluster), first);
    watched.note_stateful_set(&Ok(watcher::Event::Delete(set("prod", 2, 13, 3))));
    assert_eq!(watched.stateful_set(&cluster), None);
}

#[test]
fn until_every_kind_was_listed_nothing_can_be_told() {
    let cluster = cluster("{}");
    assert_eq!(Watched::default().fingerprint(&cluster), None);
    let watched = watched(Vec::new());
    watched.lock().versions.remove("Secret");
    assert_eq!(watched.fingerprint(&cluster), None);
}

#[test]
fn what_went_while_a_watch_was_broken_is_gone_after_the_next_list() {
    let cluster = cluster("{}");
    let watched = watched(vec![set("prod", 1, 10, 0)]);
    let note = |event| watched.note_stateful_set(&Ok(event));
    note(watcher::Event::Init);
    assert!(
        watched.stateful_set(&cluster).is_some(),
        "the new list is not complete"
    );
    note(watcher::Event::InitDone);
    assert_eq!(watched.stateful_set(&cluster), None);
}

#[test]
fn a_secret_leads_to_its_cluster_and_to_those_that_name_it() {
    use k8s_openapi::api::core::v1::Secret;
    let watched = watched(Vec::new());
    watched.note_named(&cluster("{apiKey: {secretRef: {name: mine, key: k}}}"));
    let secret = |name: &str, labels: serde_json::Value| -> Secret {
        serde_json::from_value(
            json!({ "metadata": { "name": name, "namespace": "shop", "labels": labels } }),
        )
        .unwrap()
    };
    let ours = json!({ "app.kubernetes.io/instance": "other", "app.kubernetes.io/managed-by": "opensecureconf-operator" });
    let clusters = |secret: &Secret| {
        watched
            .clusters_of_secret(secret)
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(clusters(&secret("mine", json!({}))), ["prod"]);
    assert_eq!(clusters(&secret("other-salt", ours)), ["other"]);
    assert_eq!(clusters(&secret("helm", json!({}))), Vec::<String>::new());
    watched.note_named(&cluster("{}"));
    assert_eq!(clusters(&secret("mine", json!({}))), Vec::<String>::new());
}

#[test]
fn an_object_that_changes_its_owner_is_kept_once_and_goes_from_where_it_is() {
    let (one, other) = ("one", "other");
    let place = |cluster: &str| ("shop".to_owned(), cluster.to_owned());
    let config_map = |owner: &str| -> ConfigMap {
        serde_json::from_value(json!({ "metadata": { "name": "map", "namespace": "shop", "labels": { "owner": owner } } })).unwrap()
    };
    let mut shelf: Shelf<u64> = Shelf::default();
    let mut note = |event| {
        let owner = |map: &ConfigMap| place(&map.labels()["owner"]);
        shelf.note(&Ok(event), owner, |_| 7);
        [one, other].map(|cluster: &str| shelf.get(&place(cluster), "map").copied())
    };
    assert_eq!(
        note(watcher::Event::Apply(config_map(one))),
        [Some(7), None]
    );
    assert_eq!(
        note(watcher::Event::Apply(config_map(other))),
        [None, Some(7)]
    );
    assert_eq!(note(watcher::Event::Delete(config_map(one))), [None, None]);
}

#[test]
fn nothing_leads_to_a_cluster_that_is_gone() {
    use k8s_openapi::api::core::v1::Secret;
    let watched = watched(Vec::new());
    watched.note_named(&cluster("{apiKey: {secretRef: {name: mine, key: k}}}"));
    let mut gone = prod("{}");
    gone.metadata.namespace = Some("shop".to_owned());
    watched.note_cluster(&Ok(watcher::Event::Delete(gone)));
    let secret: Secret =
        serde_json::from_value(json!({ "metadata": { "name": "mine", "namespace": "shop" } }))
            .unwrap();
    assert!(watched.clusters_of_secret(&secret).is_empty());
}

#[test]
fn a_salt_that_somebody_puts_back_without_labels_is_seen() {
    use k8s_openapi::api::core::v1::Secret;
    let cluster = cluster("{}");
    let watched = watched(Vec::new());
    watched.note_named(&cluster);
    let before = watched.fingerprint(&cluster);
    let salt: Secret = serde_json::from_value(
        json!({ "metadata": { "name": "prod-salt", "namespace": "shop", "resourceVersion": "7" } }),
    )
    .unwrap();
    assert!(watched.clusters_of_secret(&salt).contains("prod"));
    watched.note(&Ok(watcher::Event::Apply(salt)));
    assert_ne!(watched.fingerprint(&cluster), before);
}
