//! The kind `OpenSecureConfCluster`: one reconcile takes these steps, in this order.
//!
//! | step | file | may do |
//! |---|---|---|
//! | validate | [`validate`] | nothing but think |
//! | dereference | [`dereference`] | read from the API server |
//! | observe | `observe.rs` | read pods, ask the nodes |
//! | plan | [`decide`](opensecureconf_contract::bootstrap::decide), [`scaling`], [`salt`], [`secrets`], [`volumes`], `hibernation.rs` | nothing but think |
//! | build | [`build`] | nothing but think |
//! | converge | `converge.rs`: [`secrets`], `certificates/`, [`api_key`], [`apply`], `prune_protection.rs`, [`volumes`] | write children |
//! | order | `membership.rs`, [`readmission`] | instruct nodes to bootstrap, to leave, to remove; mark first who is let in again |
//! | replace | [`rollout`] | think, then delete one pod |
//! | status | [`status`] | think, then write the status |
//!
//! A reconcile that finds everything as it was reads what the watches have shown (`settled.rs`, [`watched`]), and only looks; `pace.rs` says
//! when the next one comes.

pub mod api_key;
pub mod apply;
pub mod build;
mod certificates;
pub mod context;
pub mod controller;
mod converge;
pub mod dereference;
pub mod difference;
mod events;
mod failing;
mod figures;
pub mod hibernation;
mod lag;
mod layout;
mod membership;
mod mode_change;
mod namespace_end;
mod observe;
mod ownership;
mod pace;
mod packed;
pub mod pause;
mod planned;
pub mod pod_creation;
mod port_clash;
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
mod watch_retries;
pub mod watched;
mod workload;

pub use workload::Workload;
