//! The kind `OpenSecureConfCluster`: one reconcile takes these steps, in this order.
//!
//! | step | file | may do |
//! |---|---|---|
//! | validate | [`validate`] | compute only |
//! | dereference | [`dereference`] | read from the API server |
//! | observe | `observe.rs` | read pods, ask the nodes |
//! | plan | [`decide`](opensecureconf_contract::bootstrap::decide), [`scaling`], [`salt`], [`secrets`], [`volumes`], `hibernation.rs` | compute only |
//! | build | [`build`] | compute only |
//! | converge | `converge.rs`: [`secrets`], `certificates/`, [`api_key`], [`apply`], `prune_protection.rs`, [`volumes`] | write children |
//! | order | `membership.rs`, [`readmission`] | instruct nodes to bootstrap, to leave, to remove; first mark nodes that join again |
//! | replace | [`rollout`] | compute, then delete one pod |
//! | status | [`status`] | compute, then write the status |
//!
//! A reconcile without changes reads from the watches (`settled.rs`, [`watched`]), and only looks; `pace.rs` decides when the
//! next one comes.

pub mod api_key;
pub mod apply;
pub mod build;
mod certificates;
pub mod context;
pub mod controller;
mod converge;
pub mod dereference;
mod downgrade;
mod events;
mod failing;
mod figures;
pub mod hibernation;
mod judged_deletion;
mod known;
mod lag;
mod last_reports;
mod layout;
mod membership;
mod mode_change;
mod observe;
mod ownership;
mod pace;
pub mod pause;
mod planned;
pub mod pod_creation;
mod prune_protection;
pub mod readmission;
pub mod rebuild;
pub mod reconcile;
mod recovery;
pub mod resource;
pub mod rollout;
pub mod rules;
pub mod salt;
pub mod scaling;
pub mod secrets;
mod settled;
mod shared;
mod shown;
pub mod stalled;
pub mod status;
mod steps;
pub mod validate;
pub mod volumes;
pub mod watched;
mod workload;

pub use workload::Workload;

use crate::controller::{difference, namespace_end, packed, port_clash, recorder, watch_retries};
