//! Changes of others to the pod template: the operator removes them before a pod is made from it.

use std::collections::BTreeMap;

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::{
        apply::{self, ChildKind, Done},
        context::Context,
        dereference::LiveChild,
        difference::{self, FieldPath, Foreign},
        validate::ValidatedCluster,
    },
    names::{FIELD_MANAGER, RESTARTED_BY_KUBECTL},
};

/// Removes the unwanted fields of others from the pod template, and returns the object with the new template, where anything
/// was removed.
///
/// # Errors
/// Where the API server refuses, also because the object has changed by now.
pub(in crate::cluster) async fn remove_drift<W: ChildKind>(
    context: &Context,
    cluster: &ValidatedCluster,
    wanted: &Value,
    live: &LiveChild,
    done: &mut Vec<Done>,
) -> Result<Option<W>, apply::Error> {
    let (namespace, name) = (cluster.namespace.as_str(), cluster.name.as_str());
    let kind = W::kind(&());
    let mut foreign = drift(wanted, live);
    context.remember(namespace, name, |memory| {
        foreign.retain(|Foreign { path, .. }| {
            let value = path.value(&live.object);
            !memory.accepts(&kind, name, path, (None, value))
        });
    });
    if foreign.is_empty() {
        return Ok(None);
    }
    let Ok(patch) = serde_json::from_value(operations(&foreign, live)) else {
        // Every operation here is one of ours.
        return Ok(None);
    };
    let api: Api<W> = Api::namespaced(context.client.clone(), namespace);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patched = api
        .patch(name, &parameters, &Patch::Json::<()>(patch))
        .await;
    let patched = patched.map_err(|source| apply::failed::<W>("patch", name, source))?;
    let now = serde_json::to_value(&patched).unwrap_or_default();
    let mut removed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut standing = Vec::new();
    for Foreign { path, manager } in &foreign {
        // A field that is taken out may have a default, which no manager has set.
        match path.value(&now) {
            value if value.is_none() || value != path.value(&live.object) => {
                removed.entry(manager).or_default().push(path.to_string());
            }
            value => {
                context.remember(namespace, name, |memory| {
                    memory.accept(&kind, name, path, (None, value));
                });
                standing.push(path.to_string());
            }
        }
    }
    let (kind, name) = (kind.into_owned(), name.to_owned());
    done.extend(
        removed
            .into_iter()
            .map(|(manager, fields)| Done::Corrected {
                kind: kind.clone(),
                name: name.clone(),
                fields,
                manager: Some(manager.to_owned()).filter(|manager| !manager.is_empty()),
            }),
    );
    if !standing.is_empty() {
        let fields = standing;
        done.push(Done::Accepted { kind, name, fields });
    }
    Ok(Some(patched))
}

/// The fields of others in the pod template, except for requests to restart.
fn drift(wanted: &Value, live: &LiveChild) -> Vec<Foreign> {
    let template = FieldPath::of(&["spec", "template"]);
    let annotations = ["spec", "template", "metadata", "annotations"];
    let restart = FieldPath::of(&[annotations.as_slice(), &[RESTARTED_BY_KUBECTL]].concat());
    let mut found = difference::set_by_others(wanted, &live.managers, &template);
    found.retain(|Foreign { path, .. }| *path != restart && path.pointer(&live.object).is_some());
    let all = found.clone();
    found.retain(|Foreign { path, .. }| {
        let is_inside = |other: &Foreign| other.path != *path && path.is_below(&other.path);
        !all.iter().any(is_inside)
    });
    found
}

/// The operations of RFC 6902, for this very version of the object. Later items of a list go first, so that the places of the
/// others stay.
fn operations(foreign: &[Foreign], live: &LiveChild) -> Value {
    let mut places: Vec<_> = foreign
        .iter()
        .filter_map(|Foreign { path, .. }| path.pointer(&live.object))
        .collect();
    places.sort_unstable();
    let version = live.resource_version.iter();
    let version = version.map(
        |version| json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version }),
    );
    let removals = places.iter().rev();
    let removals = removals.map(|place| json!({ "op": "remove", "path": place.to_string() }));
    version.chain(removals).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(template: &Value, fields: &Value) -> LiveChild {
        let manager = |name: &str, subresource: &str, fields: &Value| {
            serde_json::from_value(json!({ "manager": name, "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
                "subresource": subresource, "fieldsV1": { "f:spec": { "f:template": fields } } }))
            .unwrap()
        };
        LiveChild {
            object: json!({ "metadata": { "resourceVersion": "7" }, "spec": { "template": template } }),
            resource_version: Some("7".to_owned()),
            managers: vec![
                manager("kubectl-set", "", fields),
                manager("kube-controller-manager", "status", fields),
            ],
        }
    }

    fn wanted() -> Value {
        json!({ "spec": { "template": { "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "node", "env": [{ "name": "A", "value": "1" }] }] } } } })
    }

    fn fields(live: &LiveChild) -> Vec<String> {
        let found = drift(&wanted(), live);
        found
            .iter()
            .map(|foreign| foreign.path.to_string())
            .collect()
    }

    #[test]
    fn variables_that_somebody_added_go_and_ours_stay() {
        let env = json!([{ "name": "X" }, { "name": "A", "value": "1" }, { "name": "FOO" }]);
        let live = live(
            &json!({ "spec": { "containers": [{ "name": "node", "env": env }] } }),
            &json!({ "f:spec": { "f:containers": { "k:{\"name\":\"node\"}": { "f:env": {
                "k:{\"name\":\"FOO\"}": { ".": {}, "f:name": {}, "f:value": {} },
                "k:{\"name\":\"A\"}": { "f:value": {} },
                "k:{\"name\":\"X\"}": { ".": {}, "f:name": {} },
            } } } } }),
        );
        let node = "spec.template.spec.containers[node].env";
        let mut told = fields(&live);
        told.sort();
        assert_eq!(told, [format!("{node}[FOO]"), format!("{node}[X]")]);
        assert_eq!(
            operations(&drift(&wanted(), &live), &live),
            json!([
                { "op": "replace", "path": "/metadata/resourceVersion", "value": "7" },
                { "op": "remove", "path": "/spec/template/spec/containers/0/env/2" },
                { "op": "remove", "path": "/spec/template/spec/containers/0/env/0" },
            ])
        );
    }

    #[test]
    fn a_restart_that_kubectl_asked_for_stays_and_other_annotations_go() {
        let annotations = json!({ RESTARTED_BY_KUBECTL: "2026", "other": "one" });
        let live = live(
            &json!({ "metadata": { "annotations": annotations } }),
            &json!({ "f:metadata": { "f:annotations": {
                ".": {}, format!("f:{RESTARTED_BY_KUBECTL}"): {}, "f:other": {},
            } } }),
        );
        assert_eq!(fields(&live), ["spec.template.metadata.annotations.other"]);
    }

    #[test]
    fn a_part_that_nobody_wants_goes_as_a_whole_so_that_nothing_empty_stays() {
        let live = live(
            &json!({ "spec": { "affinity": { "nodeAffinity": { "a": 1 } }, "containers": [{ "name": "node" }] } }),
            &json!({ "f:spec": { "f:affinity": { ".": {}, "f:nodeAffinity": { "f:a": {} } }, "f:gone": {} } }),
        );
        assert_eq!(fields(&live), ["spec.template.spec.affinity"]);
    }
}
