//! Pods are replaced by the operator, one at a time: the StatefulSet says `OnDelete`, so that Kubernetes itself replaces none for another pod
//! template. Whatever somebody else writes into the template is taken out again before a pod sees it.

mod drift;
mod observed;
mod plan;
mod prepare;
mod replace;
mod strategy;

pub(super) use observed::plan_rollout;
pub(super) use plan::UNDER_WAY;
pub use plan::{RolloutPlan, Waiting, Why};
pub(super) use prepare::prepare;
pub(super) use replace::carry_out;
pub(super) use strategy::ON_DELETE;
