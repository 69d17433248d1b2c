//! The caller's passphrase.

use std::fmt;

use zeroize::Zeroizing;

/// A user key as it came in a header. Wiped on drop, never printed, never stored, never sent to another node.
#[derive(Clone)]
pub struct UserKey {
    password: Zeroizing<Vec<u8>>,
    characters: usize,
}

impl UserKey {
    /// Reads header bytes as the original does: decoded as Latin-1, then encoded as UTF-8 to become the password.
    /// Databases with keys outside ASCII open only this way.
    pub fn from_header(bytes: &[u8]) -> Self {
        let mut password = Zeroizing::new(Vec::with_capacity(bytes.len() * 2));
        if bytes.is_ascii() {
            password.extend_from_slice(bytes);
        } else {
            for byte in bytes {
                password.extend_from_slice(char::from(*byte).encode_utf8(&mut [0; 2]).as_bytes());
            }
        }
        Self {
            password,
            characters: bytes.len(),
        }
    }

    /// The length that the minimum is compared with: Latin-1 characters, which are bytes on the wire.
    pub fn characters(&self) -> usize {
        self.characters
    }

    /// Whether every client encodes the key alike.
    pub fn is_ascii(&self) -> bool {
        self.password.is_ascii()
    }

    /// The password bytes for key derivation.
    pub fn password(&self) -> &[u8] {
        &self.password
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::UserKey;

    #[test]
    fn a_key_in_utf_8_is_encoded_twice() {
        let key = UserKey::from_header("pässwörd1".as_bytes());
        assert_eq!(key.password(), b"p\xc3\x83\xc2\xa4ssw\xc3\x83\xc2\xb6rd1");
        assert_eq!(key.characters(), 11);
        assert_eq!(format!("{key:?}"), "UserKey(***)");
    }
}
