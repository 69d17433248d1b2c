//! The salt: 64 bytes, one for a whole cluster and for ever. Losing or forking it loses every value.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The salt of key derivation. Wiped on drop, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(Zeroizing<[u8; 64]>);

/// What may be shown of a salt: the first 8 bytes of its SHA-256, in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Salt {
    /// How many bytes it has.
    pub const BYTES: usize = 64;

    /// A salt of these bytes.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The salt from exactly 64 bytes, else `None`.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::new)
    }

    /// The raw 64 bytes.
    pub fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// What may be shown of it.
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::digest(self.0.as_ref());
        let first = digest.first_chunk::<8>();
        Fingerprint(first.map_or(0, |bytes| u64::from_be_bytes(*bytes)))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({})", self.fingerprint())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sixty_four_bytes_are_a_salt() {
        assert!(Salt::from_bytes(&[0; 63]).is_none());
        assert!(Salt::from_bytes(&[0; 65]).is_none());
        assert_eq!(Salt::from_bytes(&[0; 64]), Some(Salt::new([0; 64])));
    }

    #[test]
    fn a_fingerprint_is_the_beginning_of_the_sha_256() {
        // printf '\7%.0s' {1..64} | sha256sum
        let fingerprint = Salt::new([7; 64]).fingerprint().to_string();
        assert_eq!(fingerprint, "6cfeeb3aa25d3f41");
    }

    #[test]
    fn debug_output_shows_the_fingerprint_only() {
        let salt = Salt::new([7; 64]);
        assert_eq!(format!("{salt:?}"), format!("Salt({})", salt.fingerprint()));
    }
}
