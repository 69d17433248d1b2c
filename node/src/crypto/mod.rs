//! Keys, tokens and the salt, exactly as the Python original makes them.
//!
//! PBKDF2-HMAC-SHA256 turns the client's user key into a data key; a Fernet token under it holds one value.

mod cursor_key;
mod data_key;
mod peer_proof;
mod salt;
mod token;
mod user_key;

pub use opensecureconf_contract::{Fingerprint, Salt, key_proof};

pub use cursor_key::CursorKey;
pub use data_key::{DataKey, Iterations, Names, NotOpened, Unopened, derive};
pub use peer_proof::{BodyDigest, MessageCode, PeerProofKey, SignedAnswer, SignedRequest};
pub use salt::{SaltDecision, SaltError, SaltPolicy, SaltSources, decide};
pub use token::{canonical, token_time};
pub use user_key::UserKey;
