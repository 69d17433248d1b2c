//! Why pods wait, as far as Kubernetes says so.

mod containers;

use kube::ResourceExt;

use super::leaving::stays;
use crate::cluster::{dereference::PendingClaim, status::Observation};

/// What volumes and containers wait for.
pub(super) fn reasons(seen: &Observation<'_>, wanted: usize) -> Vec<String> {
    let volumes = seen
        .pending_claims
        .iter()
        .filter(|claim| stays(&claim.name, wanted))
        .map(volume);
    let pods = seen
        .pods
        .iter()
        .filter(|(pod, _)| stays(&pod.name_any(), wanted))
        .filter_map(|(pod, _)| containers::reason(pod));
    volumes.chain(pods).collect()
}

fn volume(claim: &PendingClaim) -> String {
    let PendingClaim {
        name,
        class,
        class_exists,
    } = claim;
    let anew = format!(
        "delete the cluster and this claim, which stays (kubectl delete pvc {name}), and create the cluster anew with another \
         storage.storageClassName"
    );
    match (class.as_deref(), class_exists) {
        (Some(""), _) => format!(
            "volume {name} waits for a PersistentVolume without a class (storage.storageClassName is empty); create one of its size"
        ),
        (Some(class), Some(false)) => format!(
            "volume {name} names StorageClass '{class}', which does not exist; create it, or {anew}"
        ),
        (Some(class), Some(true)) => format!(
            "volume {name} waits for StorageClass '{class}'; kubectl describe pvc {name} says what for"
        ),
        (Some(class), None) => format!(
            "volume {name} waits for StorageClass '{class}'; if there is none of that name (kubectl get storageclass), create it, or {anew}"
        ),
        (None, _) => format!(
            "volume {name} waits for a default StorageClass; mark one as the default, or {anew}"
        ),
    }
}
