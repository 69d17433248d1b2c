//! From passphrase to data key, and Fernet tokens under it.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE};
use fernet::Fernet;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Salt, UserKey};
use crate::domain::Timestamp;

/// Rounds of PBKDF2. A constructor argument that tests lower, never a setting: every node must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iterations(pub u32);

impl Iterations {
    /// What the original uses; its databases open with nothing else.
    pub const STANDARD: Self = Self(480_000);
}

/// The key that seals and opens the values of one user key. Wiped on drop, never printed.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

/// A token is damaged, no token, or sealed under another key: Fernet does not tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key does not open the token")]
pub struct NotOpened;

/// PBKDF2-HMAC-SHA256 with a 32-byte result; about 55 ms of CPU at the standard count.
pub fn derive(user_key: &UserKey, salt: &Salt, iterations: Iterations) -> DataKey {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(
        user_key.password(),
        salt.bytes(),
        iterations.0,
        key.as_mut(),
    );
    DataKey(key)
}

impl DataKey {
    /// Seals a plaintext into a Fernet token that shows `now` in whole seconds.
    pub fn seal(&self, plaintext: &[u8], now: Timestamp) -> Result<String, NotOpened> {
        let seconds = u64::try_from(now.as_micros() / 1_000_000).unwrap_or_default();
        let token = self.fernet()?.encrypt_at_time(plaintext, seconds);
        // What cannot be read back must not be acknowledged.
        match self.open(&token) {
            Ok(opened) if *opened == plaintext => Ok(token),
            _ => Err(NotOpened),
        }
    }

    /// Opens a Fernet token of any age, also one from a node whose clock runs ahead.
    pub fn open(&self, token: &str) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        // The crate refuses tokens more than 60 s ahead of the given time and adds 60 to it.
        const END_OF_TIME: u64 = u64::MAX - 60;
        self.fernet()?
            .decrypt_at_time(token, None, END_OF_TIME)
            .map(Zeroizing::new)
            .map_err(|_| NotOpened)
    }

    /// Whether the key opens the token, without opening it: the HMAC alone tells.
    pub fn opens(&self, token: &str) -> bool {
        let Ok(bytes) = URL_SAFE.decode(token) else {
            return false;
        };
        let Some((signed, signature)) = bytes.split_last_chunk::<32>() else {
            return false;
        };
        let (signing_key, _) = self.0.split_at(16);
        Hmac::<Sha256>::new_from_slice(signing_key)
            .is_ok_and(|hmac| hmac.chain_update(signed).verify_slice(signature).is_ok())
    }

    fn fernet(&self) -> Result<Fernet, NotOpened> {
        Fernet::new(&Zeroizing::new(URL_SAFE.encode(self.0.as_ref()))).ok_or(NotOpened)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made with Python's `cryptography`: salt 00..3f, IV 00..0f, time 1768471845.
    const TOKEN: &str = "gAAAAABpaL0lAAECAwQFBgcICQoLDA0OD1xn5CYLb5yvmI0MNhNKjBTeuJjEnEHo8yb6f04frKWYJnzvVp2kjhNYvdjQV_4pUckf7AoZoZTmy2pnKnhYr-wbpeqj1aWyDATAa3ONAsyTyjet8cCnPWQi1UjORMtIdw==";

    fn salt() -> Salt {
        Salt::from_bytes(&std::array::from_fn::<u8, 64, _>(|i| {
            u8::try_from(i).unwrap()
        }))
        .unwrap()
    }

    fn key_text(header: &[u8]) -> String {
        URL_SAFE.encode(
            derive(&UserKey::from_header(header), &salt(), Iterations::STANDARD)
                .0
                .as_ref(),
        )
    }

    #[test]
    fn derived_keys_are_those_of_python() {
        assert_eq!(
            key_text(b"MySecretKey123"),
            "rLahVZ-Gf-2LDN8QkgQjDPRd7luGLu2b2UG0k0ZYnpI="
        );
        assert_eq!(
            key_text("pässwörd1".as_bytes()),
            "J2WfDeDaQtEweekzQPMFutuXKd0JL84RzFSEMTOG0UU="
        );
    }

    #[test]
    fn a_token_made_by_python_opens_and_a_damaged_one_does_not() {
        let key = derive(
            &UserKey::from_header(b"MySecretKey123"),
            &salt(),
            Iterations::STANDARD,
        );
        let plaintext = key.open(TOKEN).unwrap();
        assert_eq!(
            plaintext.as_slice(),
            br#"{"host": "db", "port": 5432, "n": null, "u": "\u00e9"}"#
        );
        assert_eq!(
            key.open(&TOKEN.replace("gAAAAABp", "gAAAAABq")),
            Err(NotOpened)
        );
        assert_eq!(key.open("no token"), Err(NotOpened));
        assert!(key.opens(TOKEN));
        assert!(!key.opens(&TOKEN.replace("gAAAAABp", "gAAAAABq")));
        assert!(!key.opens("no token"));
    }

    proptest! {
        #[test]
        fn no_change_of_a_token_opens_it_or_makes_opening_it_panic(at in 0..1000_usize, byte in any::<u8>(), text in ".{0,120}") {
            let key = derive(&UserKey::from_header(b"k"), &salt(), Iterations(1));
            let token = key.seal(b"{\"a\": 1}", Timestamp::from_micros(1_768_471_845_000_000)).unwrap();
            let mut bytes = URL_SAFE.decode(&token).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= byte;
            let changed = URL_SAFE.encode(&bytes);
            prop_assert_eq!(key.open(&changed).is_ok(), changed == token);
            prop_assert_eq!(key.opens(&changed), changed == token);
            let cut = URL_SAFE.encode(&bytes[..at]);
            for rubbish in [text.as_str(), &cut, &token[..at]] {
                prop_assert!(key.open(rubbish).is_err() && !key.opens(rubbish));
            }
        }
    }

    #[test]
    fn a_token_from_the_far_future_opens() {
        let key = derive(&UserKey::from_header(b"k"), &salt(), Iterations(1));
        let year_2200 = Timestamp::from_micros(7_258_118_400_000_000);
        assert_eq!(
            key.open(&key.seal(b"1", year_2200).unwrap())
                .unwrap()
                .as_slice(),
            b"1"
        );
    }
}
