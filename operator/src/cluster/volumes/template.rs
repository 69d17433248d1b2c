//! The fields that a StatefulSet keeps of the present one, or of one that existed a moment ago. Pure.

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy},
    core::v1::Pod,
};
use kube::ResourceExt;

use super::{Growth, VolumeSize};
use crate::names::RESTARTED_BY_KUBECTL;

/// The kept fields.
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct Template<'a> {
    /// The present set; `None` where there is none.
    pub(in crate::cluster) there: Option<&'a StatefulSet>,
    /// The plan for the sizes of volumes.
    pub(in crate::cluster) growth: &'a Growth,
    /// When a user asked for a restart of all pods.
    pub(in crate::cluster) restarted_at: Option<&'a str>,
}

impl Template<'_> {
    /// Keeps it.
    pub(in crate::cluster) fn keep(self, wanted: &mut StatefulSet) {
        self.keep_restart(wanted);
        let Some(spec) = wanted.spec.as_mut() else {
            return;
        };
        // Kubernetes lets no client change claim templates, and refuses the whole set of a client that tries.
        let there = self.there.and_then(|set| set.spec.as_ref());
        match there {
            Some(there) => spec
                .volume_claim_templates
                .clone_from(&there.volume_claim_templates),
            None => {
                if let Growth::Stalled {
                    template: Some(size),
                    ..
                } = self.growth
                {
                    set_size(spec.volume_claim_templates.iter_mut().flatten(), size);
                }
            }
        }
        if matches!(self.growth, Growth::Following { .. }) {
            let policy = spec
                .persistent_volume_claim_retention_policy
                .get_or_insert_with(StatefulSetPersistentVolumeClaimRetentionPolicy::default);
            policy.when_deleted = Some("Retain".to_owned());
        }
    }

    /// A set that is made anew without it would restart all pods.
    fn keep_restart(self, wanted: &mut StatefulSet) {
        let (Some(at), Some(spec)) = (self.restarted_at, wanted.spec.as_mut()) else {
            return;
        };
        let metadata = spec.template.metadata.get_or_insert_default();
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(RESTARTED_BY_KUBECTL.to_owned(), at.to_owned());
    }
}

fn set_size<'a>(
    claims: impl Iterator<Item = &'a mut k8s_openapi::api::core::v1::PersistentVolumeClaim>,
    size: &VolumeSize,
) {
    for claim in claims {
        let spec = claim.spec.get_or_insert_default();
        let resources = spec.resources.get_or_insert_default();
        let requests = resources.requests.get_or_insert_default();
        requests.insert("storage".to_owned(), size.quantity());
    }
}

/// When a user asked for a restart of all pods (`kubectl rollout restart`): by the template, or by pods whose set is gone.
pub(in crate::cluster) fn restarted_at<'a>(
    there: Option<&StatefulSet>,
    pods: impl Iterator<Item = &'a Pod>,
) -> Option<String> {
    match there {
        Some(set) => {
            let metadata = set.spec.as_ref()?.template.metadata.as_ref()?;
            metadata
                .annotations
                .as_ref()?
                .get(RESTARTED_BY_KUBECTL)
                .cloned()
        }
        None => pods
            .filter_map(|pod| pod.annotations().get(RESTARTED_BY_KUBECTL).cloned())
            .max(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSetSpec;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_restart_that_was_asked_for_outlives_the_set() {
        let set = |at: serde_json::Value| -> StatefulSet {
            serde_json::from_value(
                json!({ "metadata": {}, "spec": { "selector": {}, "serviceName": "s",
                "template": { "metadata": { "annotations": { RESTARTED_BY_KUBECTL: at } } } } }),
            )
            .unwrap()
        };
        let pod = |at: &str| -> Pod {
            serde_json::from_value(
                json!({ "metadata": { "annotations": { RESTARTED_BY_KUBECTL: at } } }),
            )
            .unwrap()
        };
        let pods = [pod("2026-01-02"), pod("2026-01-03"), Pod::default()];
        assert_eq!(
            restarted_at(Some(&set(json!("2026-01-04"))), pods.iter()).as_deref(),
            Some("2026-01-04")
        );
        assert_eq!(
            restarted_at(Some(&StatefulSet::default()), pods.iter()),
            None
        );
        assert_eq!(
            restarted_at(None, pods.iter()).as_deref(),
            Some("2026-01-03")
        );
        let mut made = StatefulSet {
            spec: Some(StatefulSetSpec::default()),
            ..StatefulSet::default()
        };
        let kept = Template {
            there: None,
            growth: &Growth::Settled,
            restarted_at: Some("2026-01-03"),
        };
        kept.keep(&mut made);
        assert_eq!(
            restarted_at(Some(&made), pods.iter()).as_deref(),
            Some("2026-01-03")
        );
    }
}
