//! The clients' key that the operator made is changed without a caller being cut off: every node accepts the new one before a client
//! gets it, and the old one until a person ends it.

mod accepted;
mod act;
mod plan;
mod stored;

pub(in crate::cluster) use accepted::{AcceptedKeys, accepted};
pub(in crate::cluster) use act::{Rotation, look, rotate};
pub use plan::{KeyRotation, WaitedFor};
pub use stored::{KeyPhase, KeyRecord};
