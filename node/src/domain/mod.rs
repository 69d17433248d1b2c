//! Entries, and the rules that hold for them wherever they are stored or transported.
//!
//! Pure: no I/O, no clock, no randomness.

mod clock;
mod content;
mod identity;
mod origin;
mod principal;
mod row;
mod seal;

pub use clock::{Clock, HybridClock, Incarnation, NoVersion, Timestamp, Version};
pub(crate) use content::FINGERPRINT;
pub use content::{Content, Fingerprint};
pub use identity::{Category, ConfigKey, Environment, Identity, entry_id};
pub use origin::Origin;
pub use principal::{KeyNumber, Principal};
pub use row::{Row, RowHash, Stamp};
pub use seal::{NoSeal, Seal};
