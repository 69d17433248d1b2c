//! Data keys for requests: derived in threads of their own, shared by requests that ask at once, and cached where they proved
//! themselves.

mod cached_key;
mod derivation_pool;
mod keyring;
mod turn_queue;

pub(crate) use cached_key::CachedKey;
pub use derivation_pool::DerivationQueueFull;
pub use keyring::{Derivation, KeyPlace, KeyRing};
