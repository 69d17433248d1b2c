//! Objects as a real API server (Kubernetes 1.36) keeps them: as this operator had applied them, and as others had changed them
//! afterwards, whose names are in their `managedFields`. Recorded while no operator ran: `kubectl set env`, `set image`,
//! `set resources`, `scale`, `annotate`, `label`, `rollout restart` and `patch`, and a server-side apply of `argocd-controller` with
//! force.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

use super::{FieldPath, differing, last_manager, manager_of, set_by_others, taken_over, unwanted};
use crate::names::FIELD_MANAGER;

/// The applied object, and the present one with its writers.
struct Recorded {
    wanted: Value,
    live: Value,
    managers: Vec<ManagedFieldsEntry>,
}

impl Recorded {
    fn read(text: &str) -> Self {
        let both: Value = serde_json::from_str(text).unwrap();
        let (before, live) = (&both["before"], both["after"].clone());
        let applied = managers(before);
        let mut ours = applied.iter().filter(|entry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER)
                && entry.operation.as_deref() == Some("Apply")
        });
        let fields = &ours.next().unwrap().fields_v1.as_ref().unwrap().0;
        Self {
            wanted: owned(fields, before),
            managers: managers(&live),
            live,
        }
    }

    /// The fields that differ from the applied ones, each with its author.
    fn changed(&self) -> Vec<(String, Option<&str>)> {
        let paths = differing(&self.wanted, &self.live).into_iter();
        let told = paths.map(|path| (path.to_string(), manager_of(&path, &self.managers)));
        told.collect()
    }
}

fn managers(object: &Value) -> Vec<ManagedFieldsEntry> {
    serde_json::from_value(object["metadata"]["managedFields"].clone()).unwrap()
}

/// The part of an object that these fields name.
fn owned(fields: &Value, object: &Value) -> Value {
    let members: Vec<_> = fields.as_object().unwrap().iter().collect();
    match object {
        Value::Object(object) if members.iter().any(|(key, _)| key.starts_with("f:")) => {
            let below = members.iter().filter_map(|(key, below)| {
                let name = key.strip_prefix("f:")?;
                Some((name.to_owned(), owned(below, object.get(name)?)))
            });
            Value::Object(below.collect::<Map<_, _>>())
        }
        Value::Array(items) if members.iter().any(|(key, _)| key.starts_with("k:")) => {
            let below = items.iter().filter_map(|item| {
                let is_it = |key: &str| {
                    let keys: Option<Map<String, Value>> =
                        serde_json::from_str(key.strip_prefix("k:")?).ok();
                    Some(
                        keys?
                            .iter()
                            .all(|(name, value)| item.get(name) == Some(value)),
                    )
                };
                let mut members = members.iter();
                let (_, below) = members.find(|(key, _)| is_it(key) == Some(true))?;
                Some(owned(below, item))
            });
            Value::Array(below.collect())
        }
        whole => whole.clone(),
    }
}

const NODE: &str = "spec.template.spec.containers[node]";

#[test]
fn what_was_just_applied_differs_in_nothing() {
    for text in [
        include_str!("recorded/stateful_set.json"),
        include_str!("recorded/service.json"),
        include_str!("recorded/config_map.json"),
    ] {
        let both: Value = serde_json::from_str(text).unwrap();
        let recorded = Recorded::read(text);
        assert_eq!(differing(&recorded.wanted, &both["before"]), []);
        assert_eq!(unwanted(&recorded.wanted, &managers(&both["before"])), []);
    }
}

#[test]
fn each_field_of_a_stateful_set_names_who_changed_it_last() {
    let recorded = Recorded::read(include_str!("recorded/stateful_set.json"));
    let mut changed = recorded.changed();
    changed.sort_unstable();
    let node = |field: &str| format!("{NODE}.{field}");
    assert_eq!(
        changed,
        [
            // A scale is a subresource, and its entry has no time.
            ("spec.replicas".to_owned(), Some("kubectl")),
            (node("image"), Some("argocd-controller")),
            (node("resources.limits.memory"), Some("kubectl-set")),
            (
                "spec.template.spec.terminationGracePeriodSeconds".to_owned(),
                Some("kubectl-patch")
            ),
        ]
    );
    let taken = taken_over(&FieldPath::replicas(), &recorded.managers);
    assert_eq!(taken, Some("kubectl"));
    let shared = FieldPath::of(&["spec", "serviceName"]);
    assert_eq!(
        taken_over(&shared, &recorded.managers),
        None,
        "both have applied the same"
    );
}

#[test]
fn what_others_put_into_the_pod_template_names_them_and_what_they_set_elsewhere_is_theirs() {
    let recorded = Recorded::read(include_str!("recorded/stateful_set.json"));
    let template = FieldPath::of(&["spec", "template"]);
    let foreign = set_by_others(&recorded.wanted, &recorded.managers, &template);
    let mut told: Vec<_> = foreign
        .iter()
        .map(|foreign| (foreign.path.to_string(), foreign.manager.as_str()))
        .collect();
    told.sort_unstable();
    let node = |field: &str| format!("{NODE}.{field}");
    let of_pods = |field: &str| format!("spec.template.spec.{field}");
    assert_eq!(
        told,
        [
            (
                "spec.template.metadata.annotations.kubectl.kubernetes.io/restartedAt".to_owned(),
                "kubectl-rollout"
            ),
            (node("env[FOO]"), "kubectl-set"),
            (node("imagePullPolicy"), "argocd-controller"),
            (node("ports[7777,TCP]"), "kubectl-patch"),
            (node("volumeMounts[/extra]"), "kubectl-patch"),
            (of_pods("containers[side]"), "kubectl-patch"),
            (of_pods("hostAliases"), "kubectl-patch"),
            (of_pods("priorityClassName"), "argocd-controller"),
            (of_pods("tolerations"), "kubectl-patch"),
            (of_pods("volumes[extra]"), "kubectl-patch"),
        ]
    );
}

#[test]
fn a_service_that_selects_more_than_we_do_is_another_ones() {
    let recorded = Recorded::read(include_str!("recorded/service.json"));
    // A removed field has no manager any more.
    assert_eq!(
        recorded.changed(),
        [
            ("spec.ports[9443,TCP]".to_owned(), None),
            ("spec.selector".to_owned(), Some("kubectl-patch")),
        ]
    );
    assert_eq!(last_manager(&recorded.managers), Some("kubectl-patch"));
}

#[test]
fn an_entry_of_a_config_map_names_who_changed_it() {
    let recorded = Recorded::read(include_str!("recorded/config_map.json"));
    let nodes = ("data.nodes".to_owned(), Some("kubectl-patch"));
    assert_eq!(recorded.changed(), [nodes]);
}
