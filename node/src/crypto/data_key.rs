//! From passphrase to data key, and Fernet tokens under it.

use std::{borrow::Cow, fmt};

use aes::Aes128Dec;
use base64::{
    Engine,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use cbc::cipher::{
    BlockDecryptMut, InnerIvInit, KeyInit as _, block_padding::Pkcs7, generic_array::GenericArray,
};
use fernet::Fernet;
use hmac::{Hmac, KeyInit, Mac};
use opensecureconf_derivation::pbkdf2_sha256;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::{
    Salt, UserKey,
    token::{VERSION, canonical, decode},
};
use crate::domain::{Seal, Timestamp};

/// Rounds of PBKDF2. A constructor argument that tests lower, never a setting: every node must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iterations(pub u32);

impl Iterations {
    /// The original's count, without which its databases do not open.
    pub const STANDARD: Self = Self(480_000);
}

/// The part of a token before the ciphertext: version, time and IV.
const HEAD: usize = 1 + 8 + 16;
/// Ends the plaintext of a value that has a seal. Every reader of JSON ignores it, and the token authenticates it.
const SEALED: u8 = b' ';

/// The key that seals and opens the values of one user key. Wiped on drop, never printed.
#[derive(Clone)]
pub struct DataKey {
    fernet: Zeroizing<[u8; 32]>,
    /// Signs tokens; its key, the first half, is worked in already. Wipes itself.
    tokens: Hmac<Sha256>,
    /// Deciphers them with the second half. Wipes itself.
    cipher: Aes128Dec,
    /// Makes the seals of values. Its key is derived from the data key, and already absorbed. Wipes itself.
    seals: Hmac<Sha256>,
}

/// A token is damaged, no token, or sealed under another key: Fernet does not distinguish these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key does not open the token")]
pub struct NotOpened;

/// Why the value of an entry is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// The key does not open the token.
    #[error(transparent)]
    Closed(#[from] NotOpened),
    /// The key opens it, but it was written for another entry, or its seal is lost.
    #[error("its value was written for another entry")]
    Misplaced,
    /// The key opens it, and nothing binds it to its entry, whose row was changed.
    #[error("its content does not fit its hash")]
    Altered,
}

/// The names of an entry: its environment, `""` for the default one, and its key.
pub type Names<'a> = (&'a str, &'a str);

/// PBKDF2-HMAC-SHA256 with a 32-byte result; about 55 ms of CPU at the standard count.
pub fn derive(user_key: &UserKey, salt: &Salt, iterations: Iterations) -> DataKey {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2_sha256(user_key.password(), salt.bytes(), iterations.0, &mut key);
    DataKey::new(key)
}

impl DataKey {
    pub(super) fn new(fernet: Zeroizing<[u8; 32]>) -> Self {
        let seals = Zeroizing::new(hmac(fernet.as_ref(), |hmac| {
            hmac.update(b"opensecureconf seal 1");
        }));
        let (signing, deciphering) = fernet.split_at(16);
        Self {
            tokens: keyed(signing),
            cipher: Aes128Dec::new(GenericArray::from_slice(deciphering)),
            seals: keyed(seals.as_ref()),
            fernet,
        }
    }

    /// The token of an entry's value, and the seal that binds it to the entry.
    pub fn seal_value(
        &self,
        entry: Names<'_>,
        plaintext: &[u8],
        now: Timestamp,
    ) -> Result<(String, Seal), NotOpened> {
        let mut marked = Zeroizing::new(Vec::with_capacity(plaintext.len() + 1));
        marked.extend_from_slice(plaintext);
        marked.push(SEALED);
        let token = self.seal(&marked, now)?;
        let seal = self.seal_of(entry, &token);
        Ok((token, seal))
    }

    /// Opens the value of an entry that [`Self::seal_value`] or a release without seals wrote. `extra` is the row's, which has
    /// the seal; the row's hash was compared before.
    pub fn open_value(
        &self,
        entry: Names<'_>,
        token: &str,
        extra: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        self.open_unchecked_value(entry, token, extra, || true)
    }

    /// The same of a row whose hash was not compared: only of a value without a seal this asks whether the row `is_as_written`.
    pub fn open_unchecked_value(
        &self,
        entry: Names<'_>,
        token: &str,
        extra: Option<&str>,
        is_as_written: impl FnOnce() -> bool,
    ) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let mut plaintext = self.open(token)?;
        if plaintext.last() == Some(&SEALED) {
            if extra.and_then(Seal::of_extra) != Some(self.seal_of(entry, token)) {
                return Err(Unopened::Misplaced);
            }
            plaintext.pop();
        } else if !is_as_written() {
            return Err(Unopened::Altered);
        }
        Ok(plaintext)
    }

    /// The seal that binds a token under this key to an entry. It covers the token too, so that no other token fits it.
    fn seal_of(&self, (environment, key): Names<'_>, token: &str) -> Seal {
        let mut hmac = self.seals.clone();
        add_parts(&mut hmac, [environment, key, token]);
        let mac: [u8; 32] = hmac.finalize().into_bytes().into();
        Seal(mac.first_chunk().copied().unwrap_or_default())
    }

    /// A text that only this key makes of an entry and a request. It reveals neither.
    pub fn mark_of(&self, (environment, key): Names<'_>, asked: &[&str]) -> String {
        let mut hmac = self.seals.clone();
        // No seal begins so: its first part would be longer than any.
        hmac.update(b"opensecureconf request 1");
        add_parts(&mut hmac, [environment, key]);
        add_parts(&mut hmac, asked.iter().copied());
        let mac: [u8; 32] = hmac.finalize().into_bytes().into();
        URL_SAFE.encode(mac)
    }

    /// Seals a plaintext into a Fernet token that shows `now` in whole seconds.
    pub fn seal(&self, plaintext: &[u8], now: Timestamp) -> Result<String, NotOpened> {
        let seconds = u64::try_from(now.as_micros() / 1_000_000).unwrap_or_default();
        let token = self.fernet()?.encrypt_at_time(plaintext, seconds);
        // A token that cannot be read back must not be acknowledged.
        match self.open(&token) {
            Ok(opened) if *opened == plaintext => Ok(token),
            _ => Err(NotOpened),
        }
    }

    /// Opens a Fernet token of any age, also one from a node whose clock runs ahead.
    pub fn open(&self, token: &str) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        self.open_spelt(token)
            .or_else(|closed| match canonical(token) {
                Cow::Borrowed(_) => Err(closed),
                Cow::Owned(token) => self.open_spelt(&token),
            })
    }

    /// Opens a token as it is spelt, whatever its padding. Measured: with absorbed keys, and in the memory of the token itself,
    /// it takes half as long as the crate that seals.
    fn open_spelt(&self, token: &str) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let token = URL_SAFE_NO_PAD.decode(token.trim_end_matches('='));
        let mut token = Zeroizing::new(token.map_err(|_| NotOpened)?);
        let (signed, signature) = token.split_last_chunk_mut::<32>().ok_or(NotOpened)?;
        let mac = self.tokens.clone().chain_update(&*signed);
        mac.verify_slice(signature).map_err(|_| NotOpened)?;
        let (head, ciphertext) = signed.split_at_mut_checked(HEAD).ok_or(NotOpened)?;
        let (version, iv) = (head.first(), head.last_chunk::<16>());
        let iv = iv.filter(|_| version == Some(&VERSION)).ok_or(NotOpened)?;
        let cipher = cbc::Decryptor::inner_iv_init(self.cipher.clone(), iv.into());
        let plaintext = cipher.decrypt_padded_mut::<Pkcs7>(ciphertext);
        let length = plaintext.map_err(|_| NotOpened)?.len();
        token.copy_within(HEAD..HEAD + length, 0);
        token.truncate(length);
        Ok(token)
    }

    /// Whether the key opens the token, without opening it: the HMAC alone shows that.
    pub fn opens(&self, token: &str) -> bool {
        let Some(bytes) = decode(token) else {
            return false;
        };
        let Some((signed, signature)) = bytes.split_last_chunk::<32>() else {
            return false;
        };
        let mac = self.tokens.clone().chain_update(signed);
        mac.verify_slice(signature).is_ok()
    }

    fn fernet(&self) -> Result<Fernet, NotOpened> {
        Fernet::new(&Zeroizing::new(URL_SAFE.encode(self.fernet.as_ref()))).ok_or(NotOpened)
    }
}

/// Each part with its length, so that no two rows of parts are the same text.
fn add_parts<'p>(hmac: &mut Hmac<Sha256>, parts: impl IntoIterator<Item = &'p str>) {
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        hmac.update(&length.to_be_bytes());
        hmac.update(part.as_bytes());
    }
}

pub(super) fn hmac(key: &[u8], message: impl FnOnce(&mut Hmac<Sha256>)) -> [u8; 32] {
    // HMAC takes keys of every length.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mut hmac| {
        message(&mut hmac);
        hmac.finalize().into_bytes().into()
    })
}

/// HMAC into which a key is worked already, which is no longer than a block.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let hmac = Hmac::new(&block);
    block.as_mut_slice().zeroize();
    hmac
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
                .fernet
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
        fn what_is_opened_is_what_the_crate_opens_that_seals(plaintext in proptest::collection::vec(any::<u8>(), 0..200), padding in "={0,5}", at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let key = derive(&UserKey::from_header(b"k"), &salt(), Iterations(1));
            let fernet = key.fernet().unwrap();
            let end_of_time = u64::MAX - 60;
            let token = fernet.encrypt_at_time(&plaintext, end_of_time);
            prop_assert_eq!(&*key.open(&token).unwrap(), &plaintext);
            // Signed again, so that the checks behind the signature run too.
            let mut bytes = URL_SAFE.decode(&token).unwrap();
            let signed = bytes.len() - 32;
            bytes[at.index(signed)] ^= byte;
            let signature = key.tokens.clone().chain_update(&bytes[..signed]).finalize();
            bytes[signed..].copy_from_slice(&signature.into_bytes());
            let changed = URL_SAFE.encode(&bytes);
            for token in [token.trim_end_matches('='), changed.trim_end_matches('=')] {
                let token = format!("{token}{padding}");
                let theirs = fernet.decrypt_at_time(&token, None, end_of_time);
                prop_assert_eq!(key.open_spelt(&token).ok().map(|opened| opened.to_vec()), theirs.ok());
            }
        }

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

    fn key(user_key: &[u8]) -> DataKey {
        derive(&UserKey::from_header(user_key), &salt(), Iterations(1))
    }

    const NOW: Timestamp = Timestamp::from_micros(1_768_471_845_000_000);

    #[test]
    fn a_value_opens_under_its_own_names_only() {
        let (token, seal) = key(b"k").seal_value(("e", "k"), b"{}", NOW).unwrap();
        let extra = seal.into_extra(None);
        let open = |entry, extra| {
            let opened = key(b"k").open_value(entry, &token, extra);
            opened.map(|plaintext| plaintext.to_vec())
        };
        assert_eq!(open(("e", "k"), Some(&extra)), Ok(b"{}".to_vec()));
        // The names, their boundary; the seal of another token, and of another key.
        for other in [("e", "l"), ("", "ek"), ("ek", ""), ("", "k")] {
            assert_eq!(open(other, Some(&extra)), Err(Unopened::Misplaced));
        }
        let (_, earlier) = key(b"k").seal_value(("e", "k"), b"{}", NOW).unwrap();
        let (_, foreign) = key(b"other").seal_value(("e", "k"), b"{}", NOW).unwrap();
        let (earlier, foreign) = (earlier.into_extra(None), foreign.into_extra(None));
        for wrong in [Some(earlier.as_str()), Some(&foreign), Some("{}"), None] {
            assert_eq!(open(("e", "k"), wrong), Err(Unopened::Misplaced));
        }
        let closed = key(b"other").open_value(("e", "k"), &token, Some(&extra));
        assert_eq!(closed, Err(Unopened::Closed(NotOpened)));
        assert_eq!(
            *key(b"k").open(&token).unwrap(),
            b"{} ",
            "an older reader sees a blank that JSON ignores"
        );
    }

    #[test]
    fn a_mark_is_that_of_one_key_one_entry_and_all_that_was_asked() {
        let mark = |user_key: &[u8], entry, asked: &[&str]| key(user_key).mark_of(entry, asked);
        let one = mark(b"k", ("e", "k"), &["r", "", "1"]);
        assert_eq!(one, mark(b"k", ("e", "k"), &["r", "", "1"]));
        let others = [
            mark(b"other", ("e", "k"), &["r", "", "1"]),
            mark(b"k", ("", "ek"), &["r", "", "1"]),
            mark(b"k", ("e", "k"), &["r", "1", ""]),
            mark(b"k", ("e", "k"), &["r", "", "2"]),
            mark(b"k", ("e", "k"), &["s", "", "1"]),
        ];
        assert!(!others.contains(&one), "{others:?}");
    }

    #[test]
    fn a_value_from_before_there_were_seals_opens_without() {
        let token = key(b"k").seal(b"{}", NOW).unwrap();
        let opened = key(b"k").open_value(("e", "k"), &token, None).unwrap();
        assert_eq!(*opened, b"{}");
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
