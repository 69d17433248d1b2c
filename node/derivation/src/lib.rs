//! PBKDF2-HMAC-SHA256 for the node, alone in a crate.
//!
//! The `pbkdf2` crate is generic: its loop is compiled in the crate that calls it. Test builds leave the node's code
//! unoptimized, where one derivation takes ten times as long; this crate is optimized in every profile (`Cargo.toml` of the
//! workspace).

use sha2::Sha256;

/// Fills `key` with PBKDF2-HMAC-SHA256 (RFC 8018, section 5.2) of `password` and `salt` over `iterations` rounds.
#[inline(never)]
pub fn pbkdf2_sha256(password: &[u8], salt: &[u8], iterations: u32, key: &mut [u8; 32]) {
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, key);
}

#[cfg(test)]
mod tests {
    use super::pbkdf2_sha256;

    /// Vectors of RFC 7914, section 11: the first 32 of their 64 bytes, which are the whole first block.
    #[test]
    fn keys_are_those_of_the_standard() {
        let key = |password: &[u8], salt: &[u8], iterations| {
            let mut key = [0; 32];
            pbkdf2_sha256(password, salt, iterations, &mut key);
            key.map(|byte| format!("{byte:02x}")).concat()
        };
        assert_eq!(
            key(b"passwd", b"salt", 1),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        );
        assert_eq!(
            key(b"Password", b"NaCl", 80_000),
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
        );
    }
}
