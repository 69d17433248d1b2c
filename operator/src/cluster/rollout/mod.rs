//! The operator replaces pods, one at a time: the StatefulSet has `OnDelete`, so that Kubernetes itself replaces none for
//! another pod template. Changes of another writer to the template are removed before a pod is made from it.

mod accepted;
mod drift;
mod observed;
mod plan;
mod prepare;
mod record;
mod replace;
mod silence;
mod strategy;
mod turns;
mod upgrade;

pub use accepted::Accepted;
pub(super) use observed::{is_rolled_out, plan_rollout};
pub(super) use plan::UNDER_WAY;
pub use plan::{RolloutPlan, Waiting, Why};
pub(super) use prepare::{prepare, restore_template};
pub(super) use replace::{
    Force, Next, REPLACEMENT_HAD_BEGUN, Replaced, carry_out, next_to_delete, take_away,
};
pub use silence::ANSWER_TIMEOUT;
pub(super) use silence::Silence;
pub(super) use strategy::ON_DELETE;
pub use turns::AT_ONCE;
pub(super) use turns::{Place, Turns};
pub use upgrade::LetIn;
pub(super) use upgrade::{Situation, Upcoming, Upgrade, upgrade};
