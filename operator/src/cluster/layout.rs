//! Which layout the objects of a cluster were made with: names, paths and annotations that hold together. Pure.

use super::{
    dereference::DereferencedObjects, secrets::ManagedSecret, stalled::Stalled,
    validate::ValidatedCluster,
};
use crate::names::LAYOUT;

/// Why nothing may be written: the salt or the StatefulSet is ours, and of another layout or of one before there were
/// numbers. A salt that somebody restored or manages himself gets the number when it is adopted.
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
    let nodes = found
        .child("StatefulSet", cluster.name.as_str())
        .map(|child| ("StatefulSet", child.name.clone(), child.layout.as_deref()));
    let (kind, name, layout) = salt
        .into_iter()
        .chain(nodes)
        .find(|(_, _, layout)| *layout != Some(LAYOUT))?;
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
            format!(
                "to keep the entries, back up a node with the program that runs there (osc-node backup) together with Secret {}; then \
                 create a cluster under another name, restore the backup into it (osc-node restore --new-cluster), and delete this one",
                ManagedSecret::Salt.name(&cluster.name)
            ),
        ),
    };
    Some(Stalled {
        reason: "UnsupportedLayout",
        message: format!(
            "{kind} {name} has layout {made}, and this operator knows layout {LAYOUT} only, so it writes nothing here: {way_out}"
        ),
    })
}
