//! Clusters whose nodes share a database. The nodes store nothing and do not know each other, so there is no bootstrap, no
//! membership and no volume, and Kubernetes itself replaces pods; the remaining steps are here, beside those that all clusters
//! share. As with other clusters, a reconcile without changes only looks.
//!
//! | step | file | may do |
//! |---|---|---|
//! | dereference | `objects.rs` | read the Deployment and the Secrets that the resource names |
//! | plan | `address.rs`, `salt.rs`, `rollout.rs` | compute only (`salt.rs` asks nodes where the Secret is lost) |
//! | converge | `converge.rs`, `address_secret.rs` | write children |
//! | status | `steps.rs`, `status/verdicts/shared.rs` | compute, then write the status |

mod address;
mod address_secret;
mod converge;
mod objects;
pub(in crate::cluster) mod rollout;
mod salt;
#[cfg(test)]
pub(in crate::cluster) mod stalls;
mod steps;

pub(super) use objects::SharedObjects;
pub(super) use steps::steps;
