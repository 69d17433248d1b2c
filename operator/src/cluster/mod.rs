//! The kind `OpenSecureConfCluster`: one reconcile takes these steps, in this order.
//!
//! | step | file | may do |
//! |---|---|---|
//! | validate | [`validate`] | nothing but think |
//! | dereference | [`dereference`] | read from the API server |
//! | observe | `observe.rs` | read pods, ask the nodes |
//! | plan | [`founding`], [`scaling`], [`salt`], [`secret_plan`] | nothing but think |
//! | build | [`build`] | nothing but think |
//! | apply | [`apply`] | write children |
//! | order | `membership.rs` | tell nodes to found, to leave, to remove |
//! | status | [`status`] | think, then write the status |

pub mod apply;
pub mod build;
pub mod context;
pub mod controller;
pub mod dereference;
mod events;
mod figures;
pub mod founder_mark;
pub mod founding;
mod membership;
pub mod node_status;
mod observe;
pub mod reconcile;
pub mod resource;
pub mod salt;
pub mod scaling;
pub mod secret_plan;
pub mod stalled;
pub mod status;
pub mod validate;
