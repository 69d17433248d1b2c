//! A claim as it was read: its requested size, its capacity, and the owners whose deletion would delete it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimCondition};
use kube::ResourceExt;

use super::{Ownership, VolumeSize};
use crate::names::{ANNOTATION_ASKED_SIZE, ANNOTATION_INCARNATION};

/// Conditions of a claim that report a failure.
const FAILURES: [&str; 2] = ["ControllerResizeError", "NodeResizeError"];

/// The claim of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeClaim {
    /// Its name.
    pub name: String,
    /// The number of its node.
    pub ordinal: usize,
    /// Its identity, so that only this very claim is ever changed.
    pub uid: Option<String>,
    /// Its version.
    pub resource_version: Option<String>,
    /// The requested size.
    pub requested: Option<VolumeSize>,
    /// The size that the operator last requested for it; `None` where it never did.
    pub asked: Option<VolumeSize>,
    /// The size that its file system has; `None` while it has no volume.
    pub capacity: Option<VolumeSize>,
    /// Its storage class.
    pub class: Option<String>,
    /// Whether it goes as soon as its pod does.
    pub is_ending: bool,
    /// The owners whose deletion deletes it.
    pub owners: Vec<Ownership>,
    /// Which incarnation of its node lives on it, as far as that was ever heard.
    pub incarnation: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The driver's report of a failed expansion.
    pub failure: Option<String>,
    /// Whether the driver has given that expansion up.
    pub is_infeasible: bool,
}

impl VolumeClaim {
    /// The facts about a claim; `None` where its name is no node's.
    pub fn read(claim: &PersistentVolumeClaim) -> Option<Self> {
        let name = claim.name_any();
        let ordinal = name.rsplit('-').next()?.parse().ok()?;
        let (spec, status) = (claim.spec.as_ref(), claim.status.as_ref());
        let is_bound = status.is_some_and(|status| status.phase.as_deref() == Some("Bound"));
        let capacity = status.and_then(|status| status.capacity.as_ref()?.get("storage"));
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let steps = status.and_then(|status| status.allocated_resource_statuses.as_ref());
        Some(Self {
            ordinal,
            uid: claim.uid(),
            resource_version: claim.resource_version(),
            requested: spec
                .and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"))
                .and_then(VolumeSize::of),
            capacity: capacity.filter(|_| is_bound).and_then(VolumeSize::of),
            asked: claim
                .annotations()
                .get(ANNOTATION_ASKED_SIZE)
                .and_then(|size| VolumeSize::read(size)),
            class: spec.and_then(|spec| spec.storage_class_name.clone()),
            is_ending: claim.metadata.deletion_timestamp.is_some(),
            owners: claim.owner_references().iter().map(Ownership::of).collect(),
            incarnation: claim.annotations().get(ANNOTATION_INCARNATION).cloned(),
            created: claim.creation_timestamp().map(|time| time.0),
            failure: conditions.into_iter().flatten().find_map(failure),
            is_infeasible: steps
                .and_then(|steps| steps.get("storage"))
                .is_some_and(|step| step.ends_with("Infeasible")),
            name,
        })
    }

    /// Whether it is that of the node with this ordinal.
    pub(in crate::cluster) fn of_node(&self, ordinal: i32) -> bool {
        i32::try_from(self.ordinal) == Ok(ordinal)
    }

    /// The granted part of the request: a volume that an administrator made beforehand may be larger than requested.
    pub(super) fn held(&self) -> Option<&VolumeSize> {
        let capacity = self.capacity.as_ref()?;
        Some(capacity.min(self.requested.as_ref()?))
    }
}

fn failure(condition: &PersistentVolumeClaimCondition) -> Option<String> {
    let fails = condition.status == "True" && FAILURES.contains(&condition.type_.as_str());
    let words = condition.message.as_ref().or(condition.reason.as_ref());
    words.filter(|_| fails).cloned()
}
