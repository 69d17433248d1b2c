//! What the operator may do on Kubernetes, what it lacks in a namespace, and what people may do with its resource.

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
