//! The operator exchanges the clients' key that it made without cutting a client off: every node accepts the new key before a
//! client gets it, and the old one until a person ends it.

mod accepted;
mod act;
mod plan;
mod stored;

pub(in crate::cluster) use accepted::{AcceptedKeys, accepted};
pub(in crate::cluster) use act::{Rotation, look, rotate};
pub use plan::{KeyRotation, WaitedFor};
pub use stored::{KeyPhase, KeyRecord};
