//! The nodes that have volumes.

use k8s_openapi::{
    api::{
        apps::v1::{
            StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
            StatefulSetUpdateStrategy,
        },
        core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::{metadata, pods::pod_template};
use crate::{
    cluster::{resource::Retention, rollout::ON_DELETE, validate::ValidatedCluster},
    names::DATA_CLAIM,
};

pub(super) fn build(cluster: &ValidatedCluster) -> StatefulSet {
    let retention = &cluster.spec.storage.retention;
    StatefulSet {
        metadata: metadata::of_workload(cluster),
        spec: Some(StatefulSetSpec {
            replicas: Some(cluster.spec.replicas),
            service_name: Some(cluster.name.nodes()),
            pod_management_policy: Some("Parallel".to_owned()),
            selector: metadata::pod_selector(cluster),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some(ON_DELETE.to_owned()),
                rolling_update: None,
            }),
            template: pod_template(cluster),
            volume_claim_templates: Some(vec![claim(cluster)]),
            persistent_volume_claim_retention_policy: Some(
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    when_deleted: Some(retention_text(retention.when_deleted).to_owned()),
                    when_scaled: Some(retention_text(retention.when_scaled).to_owned()),
                },
            ),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn retention_text(retention: Retention) -> &'static str {
    match retention {
        Retention::Retain => "Retain",
        Retention::Delete => "Delete",
    }
}

fn claim(cluster: &ValidatedCluster) -> PersistentVolumeClaim {
    let storage = &cluster.spec.storage;
    PersistentVolumeClaim {
        // Claims keep the labels that they were made with, so no version is among them.
        metadata: ObjectMeta {
            name: Some(DATA_CLAIM.to_owned()),
            labels: Some(cluster.name.selector()),
            annotations: Some(metadata::retention()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: storage.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(storage.size.clone()))].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
