//! What a node shows of the access keys that it accepts, so that an operator who knows them too can tell which ones. Pure.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;

/// No other code under the cluster key begins so.
const PURPOSE: &[u8] = b"opensecureconf.io/api-key-proof";
/// So many bytes of a code are shown: enough to tell keys apart, and short in a status.
const SHOWN: usize = 8;

/// The proof that a key with this SHA-256 is accepted: the beginning of a code under the cluster key. Who lacks the cluster key can neither
/// guess the other key by it nor recognize it elsewhere.
pub fn key_proof(cluster_key: &[u8], digest: &[u8; 32]) -> Option<String> {
    // A key of any length will do, so there always is one.
    let mut code = Hmac::<Sha256>::new_from_slice(cluster_key).ok()?;
    let length = u64::try_from(PURPOSE.len()).unwrap_or(u64::MAX);
    code.update(&length.to_be_bytes());
    code.update(PURPOSE);
    code.update(digest);
    let bytes = code.finalize().into_bytes();
    let shown = bytes.iter().take(SHOWN);
    Some(shown.fold(String::new(), |mut text, byte| {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    #[test]
    fn a_proof_is_the_same_in_every_release() {
        let digest = Sha256::digest(b"the clients' key").into();
        let proof = key_proof(b"the cluster key of the tests", &digest).unwrap();
        assert_eq!(proof, "2c89f027a3f8d9ab");
        assert_ne!(
            key_proof(b"another cluster key of tests", &digest).unwrap(),
            proof
        );
    }
}
