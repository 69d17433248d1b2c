//! Which layout the objects of a cluster were made with: names, paths and annotations that hold together. Pure.

use super::{
    dereference::DereferencedObjects, recovery, resource::Mode, secrets::ManagedSecret,
    stalled::Stalled, validate::ValidatedCluster,
};
use crate::names::LAYOUT;

/// Why the operator may write nothing: the salt or the workload is ours, and of another layout or from before layouts had
/// numbers. A salt that a user restored or manages gets the number when it is adopted.
pub(super) fn unsupported(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
) -> Option<Stalled> {
    let salt = found
        .secrets
        .get(&ManagedSecret::Salt)
        .filter(|secret| secret.ours)
        .map(|secret| {
            let name = ManagedSecret::Salt.name(&cluster.name);
            ("Secret", name, secret.layout.as_deref())
        });
    let nodes = ["StatefulSet", "Deployment"]
        .into_iter()
        .filter_map(|kind| {
            let child = found.child(kind, cluster.name.as_str())?;
            Some((kind, child.name.clone(), child.layout.as_deref()))
        });
    let (kind, name, layout) = salt
        .into_iter()
        .chain(nodes)
        .find(|(_, _, layout)| *layout != Some(LAYOUT))?;
    // By what runs: the resource may ask for another mode by now.
    let has = |kind| found.has(kind, cluster.name.as_str());
    let is_shared = has("Deployment") || cluster.spec.mode == Mode::Shared && !has("StatefulSet");
    let (made, way_out) = match layout.and_then(|layout| layout.parse::<u32>().ok()) {
        Some(later) if later > LAYOUT.parse().unwrap_or_default() => (
            later.to_string(),
            format!("install an operator of a release that knows layout {later}"),
        ),
        earlier => (
            earlier.map_or_else(
                || "none (layout 1, before the first release)".to_owned(),
                |layout| layout.to_string(),
            ),
            take_along(cluster, is_shared),
        ),
    };
    Some(Stalled {
        reason: "UnsupportedLayout",
        message: format!(
            "{kind} {name} has layout {made}, and this operator knows layout {LAYOUT} only, so it writes nothing here: {way_out}"
        ),
    })
}

/// How a user takes the entries along to a cluster of this layout.
fn take_along(cluster: &ValidatedCluster, is_shared: bool) -> String {
    let (name, namespace) = (&cluster.name, &cluster.namespace);
    let salt = ManagedSecret::Salt.name(name);
    let entry = ManagedSecret::Salt.entry();
    let same_salt = format!(
        "the same salt (`kubectl create secret generic NEW-salt -n {namespace} --from-file={entry}=<(kubectl get secret {salt} -n {namespace} \
         -o jsonpath='{{.data.{entry}}}' | base64 -d)`)"
    );
    if is_shared {
        return format!(
            "the entries stay in the database: delete this cluster, have the store adopted (`osc-node database adopt --from {namespace}/{name}` with \
             OSC_CLUSTER_ID={namespace}/NEW), and give a cluster under that other name, NEW, {same_salt} and the same database"
        );
    }
    format!(
        "to keep the entries, back up a node with the program that runs there (`{}`); give a cluster under another name, NEW, {same_salt}, \
         create it, bring the entries in (`kubectl exec -i NEW-0 -n {namespace} -c node -- osc-node import --from - < {name}-0.db`), and delete this one",
        recovery::backup(cluster, &name.pod(0))
    )
}
