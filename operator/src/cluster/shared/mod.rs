//! Clusters whose nodes share a database. The nodes keep nothing and do not know each other, so there is no bootstrap, no membership, no
//! volume, and Kubernetes replaces pods by itself; what is left of the steps stands here, by way of what all clusters have in common. As with
//! those, a reconcile that finds everything as it was only looks.
//!
//! | step | file | may do |
//! |---|---|---|
//! | dereference | `objects.rs` | read the Deployment and the Secrets that the resource names |
//! | plan | `address.rs`, `salt.rs`, `rollout.rs` | nothing but think (`salt.rs` asks nodes where the Secret is lost) |
//! | converge | `converge.rs`, `address_secret.rs` | write children |
//! | status | `steps.rs`, `status/verdicts/shared.rs` | think, then write the status |

mod address;
mod address_secret;
mod converge;
mod objects;
pub(in crate::cluster) mod rollout;
mod salt;
mod steps;

pub(super) use objects::SharedObjects;
pub(super) use steps::steps;
