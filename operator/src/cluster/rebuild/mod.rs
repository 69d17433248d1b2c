//! Nodes that a user wants to rebuild: their volume is given up, and they load their rows from the others.
//!
//! | file | what it is about | may do |
//! |---|---|---|
//! | `plan.rs` | which node is next, and what keeps it from being given up | compute only |
//! | `observed.rs` | pods and claims in the plan's form | compute only |
//! | `record.rs` | which incarnation lives on which volume, as claims record it | write annotations |
//! | `act.rs` | makes a node leave, and gives its volume up | order and delete |

mod act;
mod observed;
mod plan;
mod record;

pub(super) use act::carry_out;
pub(super) use observed::plan_rebuild;
pub use plan::{Blocked, RebuildPlan};
pub(super) use record::record;

use super::{resource::RebuildMember, validate::ValidatedCluster};

/// The command that requests it.
pub(super) fn command(cluster: &ValidatedCluster, node: &str, incarnation: &str) -> String {
    let entry = RebuildMember {
        name: node.to_owned(),
        incarnation: incarnation.to_owned(),
        force: true,
    };
    let patch = serde_json::json!({ "spec": { "rebuildMembers": [entry] } });
    let (name, namespace) = (&cluster.name, &cluster.namespace);
    format!("kubectl patch osc {name} -n {namespace} --type merge -p '{patch}'")
}
