//! Keys, tokens and the salt, exactly as the Python original makes them.
//!
//! PBKDF2-HMAC-SHA256 turns the caller's user key into a data key; a Fernet token under it holds one value.

mod cached_key;
mod cursor_key;
mod data_key;
mod derivation_pool;
mod keyring;
mod origin;
mod peer_proof;
mod salt;
mod token;
mod turn_queue;
mod user_key;

pub(crate) use cached_key::CachedKey;
pub use cursor_key::CursorKey;
pub use data_key::{DataKey, Iterations, Names, NotOpened, Unopened, derive};
pub use derivation_pool::DerivationQueueFull;
pub use keyring::{Derivation, KeyPlace, KeyRing};
pub use origin::Origin;
pub use peer_proof::{BodyDigest, MessageCode, PeerProofKey, SignedAnswer, SignedRequest};
pub use salt::{Fingerprint, Salt, SaltDecision, SaltError, SaltPolicy, SaltSources, decide};
pub use token::{canonical, token_time};
pub use user_key::UserKey;
