//! The metadata that all children have in common.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource;

use crate::{
    cluster::{resource::OpenSecureConfCluster, validate::ValidatedCluster},
    names::{ANNOTATION_LAYOUT, ANNOTATION_OPERATOR, LAYOUT, RETAINED},
};

/// Name, namespace, labels, and the cluster as the owner.
pub(in crate::cluster) fn owned(cluster: &ValidatedCluster, name: String) -> ObjectMeta {
    ObjectMeta {
        owner_references: Some(vec![owner(cluster)]),
        ..named(cluster, name)
    }
}

/// The same for the workload, with its layout and its operator.
pub(in crate::cluster) fn of_workload(cluster: &ValidatedCluster) -> ObjectMeta {
    let operator = cluster.installation.operator.clone();
    ObjectMeta {
        annotations: Some(
            [
                (ANNOTATION_LAYOUT.to_owned(), LAYOUT.to_owned()),
                (ANNOTATION_OPERATOR.to_owned(), operator),
            ]
            .into(),
        ),
        ..owned(cluster, cluster.name.as_str().to_owned())
    }
}

/// The same without an owner, for objects that must outlive the resource.
pub(in crate::cluster) fn retained(cluster: &ValidatedCluster, name: String) -> ObjectMeta {
    ObjectMeta {
        annotations: Some(retention()),
        ..named(cluster, name)
    }
}

/// The annotations of objects that must outlive the resource.
pub(in crate::cluster) fn retention() -> BTreeMap<String, String> {
    RETAINED
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn named(cluster: &ValidatedCluster, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(cluster.name.labels()),
        ..ObjectMeta::default()
    }
}

fn owner(cluster: &ValidatedCluster) -> OwnerReference {
    OwnerReference {
        api_version: OpenSecureConfCluster::api_version(&()).into_owned(),
        kind: OpenSecureConfCluster::kind(&()).into_owned(),
        name: cluster.name.as_str().to_owned(),
        uid: cluster.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Selects this cluster's pods.
pub(in crate::cluster) fn pod_selector(cluster: &ValidatedCluster) -> LabelSelector {
    LabelSelector {
        match_labels: Some(cluster.name.selector()),
        match_expressions: None,
    }
}
