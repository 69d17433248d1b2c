//! The kind `OpenSecureConfCluster`: one reconcile is dereference -> validate -> build -> apply -> status.
//!
//! | step | file | may do |
//! |---|---|---|
//! | dereference | [`dereference`] | read from the API server, ask the nodes |
//! | validate | [`validate`] | nothing but think |
//! | plan | [`secret_plan`], [`founding`], [`scaling`] | nothing but think |
//! | build | [`build`] | nothing but think |
//! | apply | [`apply`] | write children |
//! | status | [`status`] | think, then write the status |

pub mod apply;
pub mod build;
pub mod controller;
pub mod dereference;
mod events;
pub mod founding;
pub mod node_status;
pub mod reconcile;
pub mod resource;
pub mod scaling;
pub mod secret_plan;
pub mod status;
pub mod validate;
