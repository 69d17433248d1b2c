//! The operator's rights on Kubernetes, those that it lacks in a namespace, and people's rights on its resource.

mod list;
mod refusal;
mod review;
mod standing;

pub use list::{EDIT, Need, RIGHTS, Right, Rule, Scope, VIEW};
pub use refusal::refusal;
pub use review::Lack;
pub(crate) use review::qualified;
pub(crate) use standing::words;
pub use standing::{RETRY, Standings};
