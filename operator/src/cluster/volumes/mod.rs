//! The volumes of a cluster: how they grow, and what keeps them while their StatefulSet is replaced.
//!
//! | file | what it is about | may do |
//! |---|---|---|
//! | `size.rs` | how large a volume is | compute only |
//! | `claim.rs` | a claim as it was read | compute only |
//! | `growth.rs` | the request for each claim, and the report in the status | compute only |
//! | `template.rs` | the fields that a new StatefulSet keeps of the present one | compute only |
//! | `proof.rs` | whether nothing deletes a claim any more | compute only |
//! | `expansion.rs` | which classes let volumes grow | read |
//! | `act.rs` | requests sizes for claims, replaces the StatefulSet | write |

mod act;
mod claim;
mod expansion;
mod growth;
mod proof;
mod size;
#[cfg(test)]
pub(in crate::cluster) mod stalls;
mod template;

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim};
use kube::Client;

use super::validate::ValidatedCluster;
pub(super) use act::{act, is_proved};
pub use claim::VolumeClaim;
use expansion::expansion;
pub use growth::{Growth, Progress};
use growth::{Situation, another_class, classes_asked, plan};
pub use proof::Ownership;
pub(super) use proof::{Kept, is_kept};
pub use size::VolumeSize;
pub(super) use template::{Template, restarted_at};

/// Judges the sizes of a cluster's volumes, of which there are to be as many as nodes.
///
/// # Errors
/// Where storage classes cannot be read.
pub(super) async fn look(
    client: &Client,
    cluster: &ValidatedCluster,
    there: Option<&StatefulSet>,
    claims: &[VolumeClaim],
    nodes: i32,
) -> Result<Growth, kube::Error> {
    let storage = &cluster.spec.storage;
    let template = there.and_then(claim_template);
    if let Some(template) = template {
        let class = template.spec.as_ref();
        let class = class.and_then(|spec| spec.storage_class_name.as_deref());
        if let Some(stalled) = another_class(storage.storage_class_name.as_deref(), class) {
            return Ok(stalled);
        }
    }
    let size = template.and_then(|template| {
        let resources = template.spec.as_ref()?.resources.as_ref()?;
        VolumeSize::of(resources.requests.as_ref()?.get("storage")?)
    });
    let situation = Situation {
        wanted: VolumeSize::read(&storage.size),
        template: size,
        nodes,
        claims,
    };
    let classes = expansion(client, classes_asked(&situation)).await?;
    Ok(plan(&situation, &classes))
}

/// The command that gives the volumes of these nodes up: their StatefulSet makes claims and pods anew. It does not wait, like
/// all commands that delete objects that are made anew: `kubectl` may confuse the new object with the old one, and wait for
/// ever.
pub(super) fn renewal(cluster: &ValidatedCluster, ordinals: &[usize]) -> String {
    let ValidatedCluster {
        name, namespace, ..
    } = cluster;
    let all = |prefix: &str| {
        let names = ordinals.iter().map(|ordinal| format!("{prefix}{ordinal}"));
        names.collect::<Vec<_>>().join(" ")
    };
    let (claims, pods) = (all(&name.claim_prefix()), all(&format!("{name}-")));
    format!(
        "kubectl delete pvc {claims} -n {namespace} --wait=false && kubectl delete pod {pods} -n {namespace} --wait=false"
    )
}

fn claim_template(set: &StatefulSet) -> Option<&PersistentVolumeClaim> {
    let templates = set.spec.as_ref()?.volume_claim_templates.as_ref()?;
    templates.first()
}
