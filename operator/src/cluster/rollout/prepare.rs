//! Steps on an existing StatefulSet or Deployment before an apply, because an apply cannot do them.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};

use super::{drift::remove_drift, strategy::use_on_delete};
use crate::cluster::{
    apply::{self, Done},
    context::Context,
    dereference::{DereferencedObjects, LiveChild},
    difference::{self, FieldPath},
    validate::ValidatedCluster,
};

/// Keeps Kubernetes from replacing pods by itself, and removes changes of others from the pod template. Returns the new object,
/// where anything changed.
///
/// # Errors
/// Where the API server refuses.
pub(in crate::cluster) async fn prepare(
    context: &Context,
    cluster: &ValidatedCluster,
    wanted: &StatefulSet,
    found: &DereferencedObjects,
    done: &mut Vec<Done>,
) -> Result<Option<DereferencedObjects>, apply::Error> {
    let name = cluster.name.as_str();
    let live = found.child("StatefulSet", name);
    let Some(live) = live.and_then(|child| child.live.as_ref()) else {
        return Ok(None);
    };
    let mut changed = None;
    if let Some(set) = use_on_delete(context, &cluster.namespace, name, live).await? {
        done.push(strategy_changed(name, live));
        changed = Some(found.with_stateful_set(set));
    }
    let wanted = serde_json::to_value(wanted).unwrap_or_default();
    let child = changed
        .as_ref()
        .and_then(|found| found.child("StatefulSet", name));
    let live = child.and_then(|child| child.live.as_ref()).unwrap_or(live);
    if let Some(set) = remove_drift::<StatefulSet>(context, cluster, &wanted, live, done).await? {
        changed = Some(found.with_stateful_set(set));
    }
    Ok(changed)
}

/// Removes changes of others from the pod template of a Deployment. Returns the new object, where anything changed. There
/// Kubernetes itself replaces pods, and goes back to the earlier ones.
///
/// # Errors
/// Where the API server refuses.
pub(in crate::cluster) async fn restore_template(
    context: &Context,
    cluster: &ValidatedCluster,
    wanted: &Deployment,
    found: &DereferencedObjects,
    done: &mut Vec<Done>,
) -> Result<Option<DereferencedObjects>, apply::Error> {
    let live = found.child("Deployment", cluster.name.as_str());
    let Some(live) = live.and_then(|child| child.live.as_ref()) else {
        return Ok(None);
    };
    let wanted = serde_json::to_value(wanted).unwrap_or_default();
    let restored = remove_drift::<Deployment>(context, cluster, &wanted, live, done).await?;
    Ok(restored.map(|deployment| found.with_workload(&deployment)))
}

/// An earlier operator left the strategy to Kubernetes; another manager that set it is named.
fn strategy_changed(name: &str, live: &LiveChild) -> Done {
    let path = FieldPath::of(&["spec", "updateStrategy", "type"]);
    match difference::manager_of(&path, &live.managers) {
        None => Done::Updated,
        Some(manager) => Done::Corrected {
            kind: "StatefulSet".to_owned(),
            name: name.to_owned(),
            fields: vec![path.to_string()],
            manager: Some(manager.to_owned()),
        },
    }
}
