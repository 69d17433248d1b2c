//! Whether nothing deletes a claim any more: the StatefulSet keeps claims, its controller has observed that, and no claim
//! belongs to an object that will go. Pure.

use k8s_openapi::{api::apps::v1::StatefulSet, apimachinery::pkg::apis::meta::v1::OwnerReference};

use super::VolumeClaim;

/// An owner whose deletion deletes a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// Its kind.
    pub kind: String,
    /// Its identity.
    pub uid: String,
}

impl Ownership {
    pub(super) fn of(owner: &OwnerReference) -> Self {
        Self {
            kind: owner.kind.clone(),
            uid: owner.uid.clone(),
        }
    }
}

/// When claims are to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cluster) enum Kept {
    /// When the StatefulSet goes.
    WhenDeleted,
    /// When pods go.
    WhenScaled,
}

/// Whether both are kept in their present state.
pub(in crate::cluster) fn is_kept(
    when: Kept,
    stateful_set: &StatefulSet,
    claims: &[VolumeClaim],
) -> bool {
    let spec = stateful_set.spec.as_ref();
    let policy = spec.and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    // Kubernetes keeps claims by default.
    let (said, kind) = match when {
        Kept::WhenDeleted => (
            policy.and_then(|policy| policy.when_deleted.as_deref()),
            "StatefulSet",
        ),
        Kept::WhenScaled => (
            policy.and_then(|policy| policy.when_scaled.as_deref()),
            "Pod",
        ),
    };
    let status = stateful_set.status.as_ref();
    let heard = status.and_then(|status| status.observed_generation);
    said.is_none_or(|said| said == "Retain")
        && heard >= stateful_set.metadata.generation
        && stateful_set.metadata.deletion_timestamp.is_none()
        && claims
            .iter()
            .all(|claim| claim.owners.iter().all(|owner| owner.kind != kind))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(deleted: &str, scaled: &str, heard: i64) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "generation": 3 },
            "spec": {
                "selector": {}, "template": {}, "serviceName": "prod-nodes",
                "persistentVolumeClaimRetentionPolicy": { "whenDeleted": deleted, "whenScaled": scaled },
            },
            "status": { "replicas": 0, "observedGeneration": heard },
        }))
        .unwrap()
    }

    fn claim(owner: Option<&str>) -> VolumeClaim {
        let owner_of =
            |kind: &str| json!([{ "apiVersion": "v1", "kind": kind, "name": "x", "uid": "u" }]);
        let claim = json!({ "metadata": { "name": "data-prod-0", "ownerReferences": owner.map(owner_of) } });
        VolumeClaim::read(&serde_json::from_value(claim).unwrap()).unwrap()
    }

    #[test]
    fn a_claim_is_kept_once_the_controller_has_heard_and_let_it_go() {
        let kept = |set: &StatefulSet, owner| is_kept(Kept::WhenDeleted, set, &[claim(owner)]);
        assert!(kept(&set("Retain", "Delete", 3), None));
        assert!(kept(&set("Retain", "Delete", 3), Some("Pod")));
        assert!(!kept(&set("Delete", "Retain", 3), None));
        assert!(!kept(&set("Retain", "Retain", 2), None), "not heard yet");
        assert!(!kept(&set("Retain", "Retain", 3), Some("StatefulSet")));
    }

    #[test]
    fn a_claim_that_goes_with_its_pod_is_not_kept_when_pods_go() {
        let kept = |set: &StatefulSet, owner| is_kept(Kept::WhenScaled, set, &[claim(owner)]);
        assert!(kept(&set("Delete", "Retain", 3), Some("StatefulSet")));
        assert!(!kept(&set("Retain", "Delete", 3), None));
        assert!(!kept(&set("Retain", "Retain", 3), Some("Pod")));
    }
}
