//! The access keys that a node accepts: compared in constant time, exchanged while the node runs.

use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{
    key_error::KeyFileError,
    key_file::read_files,
    key_set::{AccessKey, Keys, Lengths},
};
use crate::{
    crypto::{PeerProofKey, key_proof},
    domain::KeyNumber,
};

/// Keys of one kind, all of them accepted. Clones share them.
#[derive(Clone)]
pub struct AccessKeys {
    keys: Arc<RwLock<Keys>>,
    file: Option<PathBuf>,
    /// The file of keys that are accepted as well while callers move to others; it may be absent.
    previous: Option<PathBuf>,
    lengths: Lengths,
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl AccessKeys {
    fn new(keys: Keys, file: Option<PathBuf>, lengths: Lengths) -> Self {
        Self {
            keys: Arc::new(RwLock::new(keys)),
            file,
            previous: None,
            lengths,
        }
    }

    /// An empty set: the node accepts no key.
    pub(crate) fn none(lengths: Lengths) -> Self {
        Self::new(Keys::default(), None, lengths)
    }

    /// The one key that a setting names.
    ///
    /// # Errors
    /// A key that no client can send, or that is too short.
    pub(crate) fn given(key: &[u8], lengths: Lengths) -> Result<Self, KeyFileError> {
        let keys = Keys::new(&[key])?;
        keys.check(lengths)?;
        Ok(Self::new(keys, None, lengths))
    }

    /// The keys of a file, and of the file of previous keys.
    ///
    /// # Errors
    /// A file that cannot be read or has no key, and a line that is no key or too short.
    pub(crate) fn of_files(
        file: PathBuf,
        previous: Option<PathBuf>,
        lengths: Lengths,
    ) -> Result<Self, KeyFileError> {
        let keys = read_files(&file, previous.as_deref())?;
        keys.check(lengths)?;
        Ok(Self {
            previous,
            ..Self::new(keys, Some(file), lengths)
        })
    }

    /// The first key, which the node shows to others.
    pub fn first(&self) -> Zeroizing<Vec<u8>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.first.clone()
    }

    /// The signing keys, one for each of these keys, the first first.
    pub fn proof_keys(&self) -> Vec<PeerProofKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.proofs.clone()
    }

    /// Whether the presented key is one of these; takes the same time whichever matches.
    pub fn accept(&self, presented: &[u8]) -> bool {
        self.number_of(&AccessKey::new(presented)).is_some()
    }

    /// The number of the key with this digest; `None` where it is none of these. Takes the same time whichever matches.
    pub fn number_of(&self, presented: &AccessKey) -> Option<KeyNumber> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut place) = (Choice::from(0), 0_u64);
        for (index, key) in (0..).zip(&keys.accepted) {
            let is_this = key.0.ct_eq(&presented.0);
            place.conditional_assign(&index, is_this);
            found |= is_this;
        }
        let place = usize::try_from(place).ok().filter(|_| found.into())?;
        let count = keys.accepted.len();
        // Previous keys stand first in the file, and count last.
        let number = (place + count).checked_sub(keys.previous)?;
        Some(KeyNumber::at(number.checked_rem(count)?))
    }

    /// How many characters a key should have, where one of these is shorter.
    pub(crate) fn weakness(&self) -> Option<usize> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let safe = self.lengths.safe;
        (!keys.accepted.is_empty() && keys.shortest < safe).then_some(safe)
    }

    /// Proofs that show a holder of the cluster key which keys these are; none without a cluster key. They reveal nothing to
    /// others.
    pub fn key_proofs(&self, cluster_keys: &Self) -> Vec<String> {
        let cluster_key = cluster_keys.first();
        if cluster_key.is_empty() {
            return Vec::new();
        }
        let current = self.current();
        let proofs: BTreeSet<_> = current
            .iter()
            .filter_map(|key| key_proof(&cluster_key, &key.0))
            .collect();
        proofs.into_iter().collect()
    }

    /// Whether any key is in both.
    pub fn shares_a_key_with(&self, other: &Self) -> bool {
        self.current().iter().any(|key| other.has(key))
    }

    fn current(&self) -> Vec<AccessKey> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .accepted
            .clone()
    }

    fn has(&self, key: &AccessKey) -> bool {
        self.current().contains(key)
    }

    /// The files that the keys came from; none where they came from a setting.
    pub fn files(&self) -> Vec<PathBuf> {
        self.file.iter().chain(&self.previous).cloned().collect()
    }

    /// Reads the files again and returns whether the keys changed. The accepted keys stay where a file is useless now, or holds
    /// a key of the other kind.
    pub fn reload(&self, other_kind: Option<&Self>) -> Result<bool, KeyFileError> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let keys = read_files(file, self.previous.as_deref())?;
        keys.check(self.lengths)?;
        if keys
            .accepted
            .iter()
            .any(|key| other_kind.is_some_and(|other| other.has(key)))
        {
            return Err(KeyFileError::Shared);
        }
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.accepted != keys.accepted;
        *current = keys;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_that_became_useless_takes_no_key_away() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "the old key\n").unwrap();
        let keys = AccessKeys::new(
            read_files(&path, None).unwrap(),
            Some(path.clone()),
            Lengths::API_KEY,
        );
        fs::write(&path, "the old key\nthe new key\n").unwrap();
        assert!(keys.reload(None).unwrap());
        assert!(keys.accept(b"the old key") && keys.accept(b"the new key"));
        fs::write(&path, "\n \n").unwrap();
        assert!(keys.reload(None).is_err());
        assert!(keys.accept(b"the new key"));
        fs::write(&path, "the new key\n").unwrap();
        assert!(keys.reload(None).unwrap());
        assert!(!keys.accept(b"the old key"));
        assert!(!keys.reload(None).unwrap(), "nothing changed");
        fs::write(&path, "the new key\nof the other kind\n").unwrap();
        let other = AccessKeys::new(
            Keys::new(&[b"of the other kind"]).unwrap(),
            None,
            Lengths::API_KEY,
        );
        assert!(matches!(
            keys.reload(Some(&other)),
            Err(KeyFileError::Shared)
        ));
        fs::write(&path, "the new key\nshort\n").unwrap();
        assert!(matches!(
            keys.reload(None),
            Err(KeyFileError::Short { has: 5, .. })
        ));
        assert!(keys.accept(b"the new key") && !keys.accept(b"of the other kind"));
    }

    #[test]
    fn keys_count_in_the_order_of_their_file_and_previous_ones_after_them() {
        let folder = tempfile::TempDir::new().unwrap();
        let (path, previous) = (folder.path().join("keys"), folder.path().join("previous"));
        fs::write(&path, "one\ntwo\n").unwrap();
        fs::write(&previous, "old\n").unwrap();
        let keys = AccessKeys::new(
            read_files(&path, Some(&previous)).unwrap(),
            None,
            Lengths::API_KEY,
        );
        let number = |key: &[u8]| keys.number_of(&AccessKey::new(key));
        assert_eq!(number(b"one"), Some(KeyNumber::at(0)));
        assert_eq!(number(b"two"), Some(KeyNumber::at(1)));
        assert_eq!(number(b"old"), Some(KeyNumber::at(2)));
        assert_eq!(number(b"none of them"), None);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_key_and_a_comment_is_none() {
        let folder = tempfile::TempDir::new().unwrap();
        let (path, previous) = (folder.path().join("keys"), folder.path().join("previous"));
        fs::write(&path, "\u{feff}new\n").unwrap();
        fs::write(&previous, "\u{feff}old\r\n").unwrap();
        let keys = AccessKeys::new(
            read_files(&path, Some(&previous)).unwrap(),
            None,
            Lengths::API_KEY,
        );
        assert!(keys.accept(b"new") && keys.accept(b"old"));
        assert_eq!(keys.first().as_slice(), b"old");

        for commented in [&path, &previous] {
            fs::write(commented, "key\n# mine\n").unwrap();
            let Err(error) = read_files(&path, Some(&previous)) else {
                panic!("a comment is a key");
            };
            assert_eq!(
                error.to_string(),
                format!(
                    "cannot be used ({}): line 2 begins with #, and there are no comments in such a file; take it out",
                    commented.display()
                )
            );
            fs::write(commented, "key\n").unwrap();
        }
    }

    proptest! {
        #[test]
        fn every_line_of_any_file_is_accepted_as_it_stands(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            io::Write::write_all(&mut file, &bytes).unwrap();
            if let Ok(accepted) = read_files(file.path(), None) {
                let keys = AccessKeys::new(accepted, None, Lengths::API_KEY);
                let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
                for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
                    prop_assert_eq!(keys.accept(line), !line.is_empty());
                }
            }
        }
    }
}
