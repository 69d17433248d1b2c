//! The kind `OpenSecureConfCluster`: one reconcile is dereference -> validate -> build -> apply -> status.
//!
//! | step | file | may do |
//! |---|---|---|
//! | dereference | [`dereference`] | read from the API server |
//! | validate | [`validate`] | nothing but think |
//! | plan | [`secret_plan`] | nothing but think |
//! | build | [`build`] | nothing but think |
//! | apply | [`apply`] | write children |
//! | observe | `observe.rs` | read pods, ask the nodes |
//! | status | [`status`] | think, then write the status |

pub mod apply;
pub mod build;
pub mod context;
pub mod controller;
pub mod dereference;
mod events;
mod figures;
pub mod node_status;
mod observe;
pub mod reconcile;
pub mod resource;
pub mod secret_plan;
pub mod stalled;
pub mod status;
pub mod validate;
