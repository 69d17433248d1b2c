//! Seals the place where a page of a list ends: it may be the name of an entry that the caller must not learn of.

use hmac::Mac;
use zeroize::Zeroizing;

use super::{DataKey, NotOpened, Salt, data_key::hmac};
use crate::domain::Timestamp;

/// The padded length of a place, or a multiple of it, so that a cursor does not reveal the length of a name. In bytes.
const PADDED: usize = 128;

/// The key of cursors: the same on all nodes of a cluster, so that the next page can be had from any.
#[derive(Debug)]
pub struct CursorKey(DataKey);

impl CursorKey {
    /// The key that belongs to a salt.
    pub fn of(salt: &Salt) -> Self {
        let key = hmac(salt.bytes(), |hmac| {
            hmac.update(b"opensecureconf cursor 1");
        });
        Self(DataKey::new(Zeroizing::new(key)))
    }

    /// The cursor of a place, written as JSON, which may end with blanks.
    pub fn seal(&self, place: &str, now: Timestamp) -> Result<String, NotOpened> {
        let mut padded = place.as_bytes().to_vec();
        padded.resize(place.len().next_multiple_of(PADDED), b' ');
        self.0.seal(&padded, now)
    }

    /// The place of a cursor, as JSON.
    pub fn open(&self, cursor: &str) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        self.0.open(cursor)
    }
}
