//! Nodes that have left and join again. The operator marks them on the StatefulSet before it instructs them, and writes a lower
//! number of nodes only where the set is unchanged: of two operators, one of which readmits a node that the other removes, one
//! is refused. An operator that reads the mark completes it, whatever the resource asks for by then.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::validate::ValidatedCluster;
use crate::names::{ANNOTATION_LET_IN, FIELD_MANAGER};

/// The lives that have left and whose nodes join again: incarnations by the nodes' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<String, String>);

impl Marks {
    /// The marks on the set. An unreadable mark counts as none.
    pub fn read(set: Option<&StatefulSet>) -> Self {
        let text = set.and_then(|set| set.annotations().get(ANNOTATION_LET_IN));
        let each = text.into_iter().flat_map(|text| text.split(','));
        let lives = each.filter_map(|life| life.trim().split_once('/'));
        Self(
            lives
                .map(|(name, incarnation)| (name.to_owned(), incarnation.to_owned()))
                .collect(),
        )
    }

    /// Marks a life.
    pub fn insert(&mut self, name: &str, incarnation: &str) {
        self.0.insert(name.to_owned(), incarnation.to_owned());
    }

    /// Whether this life is marked.
    pub fn has(&self, name: &str, incarnation: &str) -> bool {
        self.0.get(name).is_some_and(|marked| marked == incarnation)
    }

    /// Whether any life of this node is.
    pub fn names(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All marks: names and incarnations.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let each = self.0.iter();
        each.map(|(name, incarnation)| (name.as_str(), incarnation.as_str()))
    }

    /// Whether no node is let in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn text(&self) -> String {
        let lives: Vec<_> = self
            .iter()
            .map(|(name, incarnation)| format!("{name}/{incarnation}"))
            .collect();
        lives.join(",")
    }
}

/// Writes the marks, where the set is unchanged; otherwise the next reconcile decides anew. A failure is logged and stops
/// nothing.
pub(super) async fn write(
    client: &Client,
    cluster: &ValidatedCluster,
    set: &StatefulSet,
    marks: &Marks,
) {
    let text = (!marks.is_empty()).then(|| marks.text());
    let patch = Patch::Merge(json!({ "metadata": {
        "resourceVersion": set.resource_version(), "annotations": { ANNOTATION_LET_IN: text },
    } }));
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &cluster.namespace);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let name = cluster.name.as_str();
    if let Err(error) = api.patch_metadata(name, &parameters, &patch).await {
        tracing::debug!(error = %error, name, "let_in_not_marked");
    }
}

/// The set to write: with fewer nodes only where it is unchanged.
pub(super) fn guarded(wanted: &StatefulSet, there: Option<&StatefulSet>) -> StatefulSet {
    let replicas = |set: &StatefulSet| set.spec.as_ref().and_then(|spec| spec.replicas);
    let mut guarded = wanted.clone();
    if let Some(there) = there
        && wanted.metadata.resource_version.is_none()
        && replicas(wanted) < replicas(there)
    {
        guarded.metadata.resource_version = there.resource_version();
    }
    guarded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i32, marks: Option<&str>) -> StatefulSet {
        let annotations = marks.map(|marks| json!({ ANNOTATION_LET_IN: marks }));
        serde_json::from_value(json!({
            "metadata": { "resourceVersion": "7", "annotations": annotations },
            "spec": { "selector": {}, "template": {}, "serviceName": "prod-nodes", "replicas": replicas },
        }))
        .unwrap()
    }

    #[test]
    fn marks_are_read_as_they_were_written() {
        let mut marks = Marks::default();
        marks.insert("prod-2", "c");
        marks.insert("prod-1", "b");
        assert_eq!(marks.text(), "prod-1/b,prod-2/c");
        assert_eq!(Marks::read(Some(&set(3, Some(&marks.text())))), marks);
        assert!(Marks::read(Some(&set(3, Some("strange")))).is_empty());
        assert!(Marks::read(Some(&set(3, None))).is_empty());
        assert!(Marks::read(None).is_empty());
    }

    #[test]
    fn a_set_with_fewer_nodes_is_written_only_where_it_is_what_was_read() {
        let version = |wanted: &StatefulSet, there: Option<&StatefulSet>| {
            guarded(wanted, there).metadata.resource_version
        };
        let mut wanted = set(2, None);
        wanted.metadata.resource_version = None;
        assert_eq!(version(&wanted, Some(&set(3, None))).as_deref(), Some("7"));
        assert_eq!(version(&wanted, Some(&set(2, None))), None);
        assert_eq!(version(&wanted, None), None);
    }
}
