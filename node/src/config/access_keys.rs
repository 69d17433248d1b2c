//! Access keys: from a setting or a file, kept as digests, compared in constant time, exchanged while the node runs.

use std::{
    fmt, fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use http::HeaderValue;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{Values, settings::DEFAULT_API_KEY};
use crate::{
    crypto::PeerProofKey,
    os::line_file::{self, LineFileError},
};

/// How short a key of one kind may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lengths {
    /// Shorter ones are refused.
    least: usize,
    /// Shorter ones are accepted with a warning.
    safe: usize,
}

/// A workload with an API key opens nothing yet; it may try 1,000 keys a minute.
const API_KEY: Lengths = Lengths { least: 8, safe: 16 };
/// Who has the cluster key is a node.
const CLUSTER_KEY: Lengths = Lengths {
    least: 16,
    safe: 32,
};

/// The SHA-256 of a key, so that a comparison tells nothing of its length.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey([u8; 32]);

impl AccessKey {
    /// The digest of a key as it is sent.
    pub fn new(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(***)")
    }
}

/// Keys of one kind, all of them accepted. Clones share what is accepted.
#[derive(Clone)]
pub struct AccessKeys {
    keys: Arc<RwLock<Keys>>,
    file: Option<PathBuf>,
    /// Keys that are accepted as well while callers move to others; it may be absent.
    previous: Option<PathBuf>,
    lengths: Lengths,
}

/// What is accepted, and what is shown to others.
#[derive(Default)]
struct Keys {
    accepted: Vec<AccessKey>,
    /// What nodes sign with, one for each of them.
    proofs: Vec<PeerProofKey>,
    /// The first key itself; only nodes show theirs to each other.
    first: Zeroizing<Vec<u8>>,
    /// Bytes of the shortest.
    shortest: usize,
}

impl Keys {
    fn new(keys: &[&[u8]]) -> Result<Self, KeyFileError> {
        if keys.iter().any(|key| HeaderValue::from_bytes(key).is_err()) {
            return Err(KeyFileError::Unsendable);
        }
        Ok(Self {
            accepted: keys.iter().map(|key| AccessKey::new(key)).collect(),
            proofs: keys.iter().map(|key| PeerProofKey::derive(key)).collect(),
            first: Zeroizing::new(keys.first().map(|key| key.to_vec()).unwrap_or_default()),
            shortest: keys.iter().map(|key| key.len()).min().unwrap_or_default(),
        })
    }
}

impl Keys {
    /// Refuses keys that are too short.
    fn check(&self, Lengths { least, safe }: Lengths) -> Result<(), KeyFileError> {
        if self.accepted.is_empty() || self.shortest >= least {
            return Ok(());
        }
        let has = self.shortest;
        Err(KeyFileError::Short { has, least, safe })
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot be read ({path}): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line of it is no key.
    #[error("cannot be used ({path}): {fault}")]
    Lines {
        /// The file.
        path: PathBuf,
        /// What it has instead.
        fault: LineFileError,
    },
    /// It has no line with a key.
    #[error("holds no key ({0})")]
    Empty(PathBuf),
    /// A workload that may read configuration must not pass as a node.
    #[error("holds a key that is an API key and a cluster key at once")]
    Shared,
    /// It holds a key that nobody can send.
    #[error(
        "holds a key with a line break or another control character, which no HTTP header can carry; make another key"
    )]
    Unsendable,
    /// It holds a key that is tried out in no time.
    #[error(
        "holds a key with {has} characters; make a random one with at least {safe} ({least} are the least)"
    )]
    Short {
        /// Bytes of the shortest.
        has: usize,
        /// Fewer are refused.
        least: usize,
        /// So many are safe.
        safe: usize,
    },
    /// It holds the key that everybody knows.
    #[error("holds the well-known default key; make one of your own")]
    WellKnown,
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

    /// The first key: what a node shows to others.
    pub fn first(&self) -> Zeroizing<Vec<u8>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.first.clone()
    }

    /// What nodes sign with: one key for each of these, the first first.
    pub fn proof_keys(&self) -> Vec<PeerProofKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.proofs.clone()
    }

    /// Whether the presented key is one of these; takes the same time whichever it is.
    pub fn accept(&self, presented: &[u8]) -> bool {
        self.has_shown(&AccessKey::new(presented))
    }

    /// The same of a key whose digest is at hand.
    pub fn has_shown(&self, presented: &AccessKey) -> bool {
        let none = Choice::from(0);
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .accepted
            .iter()
            .fold(none, |found, key| found | key.0.ct_eq(&presented.0))
            .into()
    }

    /// How many characters a key should have, where one of them is shorter.
    pub(super) fn weakness(&self) -> Option<usize> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let safe = self.lengths.safe;
        (!keys.accepted.is_empty() && keys.shortest < safe).then_some(safe)
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

    /// Reads the files again and tells whether they hold other keys than before. What was accepted stays accepted where the
    /// file is of no use now, or holds a key of the other kind.
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

/// One key per line; blank lines and blanks around a key do not count. Only the file of the previous keys may be absent
/// or empty.
///
/// # Errors
/// A file that cannot be read or has no key, and a line that is no key.
fn read_files(path: &Path, previous: Option<&Path>) -> Result<Keys, KeyFileError> {
    let previous_path = previous.unwrap_or(path);
    let previous = match previous.map(read) {
        Some(Err(KeyFileError::Unreadable { source, .. }))
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Zeroizing::default()
        }
        Some(text) => text?,
        None => Zeroizing::default(),
    };
    let text = read(path)?;
    let lines_of = |text, path: &Path| {
        line_file::items(text).map_err(|fault| KeyFileError::Lines {
            path: path.to_owned(),
            fault,
        })
    };
    let current = lines_of(&text, path)?;
    if current.is_empty() {
        return Err(KeyFileError::Empty(path.to_owned()));
    }
    // The previous one first: it is shown to nodes that may not have read the new one yet.
    let mut keys = lines_of(&previous, previous_path)?;
    keys.extend(current);
    if keys.contains(&DEFAULT_API_KEY.as_bytes()) {
        return Err(KeyFileError::WellKnown);
    }
    Keys::new(&keys)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let text = fs::read(path).map_err(|source| KeyFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Ok(Zeroizing::new(text))
}

/// The API keys of a node that requires one.
pub(super) fn api_keys(values: &mut Values<'_>) -> AccessKeys {
    // The default is there for contract's sake; where a file is given it does not contradict it.
    let given = values.text("API_KEY").filter(|key| key != DEFAULT_API_KEY);
    let previous = values.text("API_KEY_PREVIOUS_FILE").map(PathBuf::from);
    if previous.is_some() && values.text("API_KEY_FILE").is_none() {
        values.faults.add(
            "OSC_API_KEY_PREVIOUS_FILE",
            "needs OSC_API_KEY_FILE, which holds the keys that stay",
        );
    }
    keys(values, "API_KEY", given, previous, API_KEY).unwrap_or_else(|| {
        values.faults.add(
            "OSC_API_KEY",
            "is missing: OSC_API_KEY_REQUIRED=true needs a key of your own: set OSC_API_KEY_FILE or OSC_API_KEY (the well-known default is refused)",
        );
        AccessKeys::new(Keys::default(), None, API_KEY)
    })
}

/// What a node that requires no API key may be believed to protect.
pub(super) fn unrequired(values: &Values<'_>, host: IpAddr) -> Vec<String> {
    let mut lines = Vec::new();
    if values
        .text("API_KEY")
        .is_some_and(|key| key != DEFAULT_API_KEY)
    {
        lines.push(
            "OSC_API_KEY is set and OSC_API_KEY_REQUIRED is not: nobody has to show a key; set OSC_API_KEY_REQUIRED=true"
                .to_owned(),
        );
    }
    if !host.to_canonical().is_loopback() {
        lines.push(format!(
            "OSC_HOST is {host} and OSC_API_KEY_REQUIRED is not set: whoever reaches this node needs no API key; set \
             OSC_API_KEY_REQUIRED=true and a key"
        ));
    }
    lines
}

/// The keys that nodes and operators show; `None` where none is set.
pub(super) fn cluster_keys(values: &mut Values<'_>, required: bool) -> Option<AccessKeys> {
    let given = values.text("CLUSTER_KEY");
    let keys = keys(values, "CLUSTER_KEY", given, None, CLUSTER_KEY);
    if required && keys.is_none() {
        values.faults.add(
            "OSC_CLUSTER_KEY",
            "is missing: OSC_CLUSTER_ENABLED=true needs a cluster key: set OSC_CLUSTER_KEY_FILE or OSC_CLUSTER_KEY",
        );
    }
    keys
}

fn keys(
    values: &mut Values<'_>,
    name: &str,
    given: Option<String>,
    previous: Option<PathBuf>,
    lengths: Lengths,
) -> Option<AccessKeys> {
    let file = values.text(&format!("{name}_FILE")).map(PathBuf::from);
    let file_variable = format!("OSC_{name}_FILE");
    let source = match &file {
        Some(_) => file_variable.clone(),
        None => format!("OSC_{name}"),
    };
    let accepted = match (given, &file) {
        (Some(_), Some(_)) => {
            values.faults.add(
                &format!("OSC_{name}"),
                &format!("and {file_variable} are both set; keep one"),
            );
            Ok(Keys::default())
        }
        (Some(key), None) => Keys::new(&[Zeroizing::new(key).as_bytes()])
            .map_err(|error| (format!("OSC_{name}"), error)),
        (None, None) => return None,
        (None, Some(path)) => {
            read_files(path, previous.as_deref()).map_err(|error| (file_variable, error))
        }
    };
    let accepted = accepted.and_then(|keys| match keys.check(lengths) {
        Ok(()) => Ok(keys),
        Err(error) => Err((source, error)),
    });
    let accepted = accepted.unwrap_or_else(|(variable, error)| {
        values.faults.add(&variable, &error.to_string());
        Keys::default()
    });
    Some(AccessKeys {
        previous,
        ..AccessKeys::new(accepted, file, lengths)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_that_became_useless_takes_no_key_away() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "the old key\n").unwrap();
        let keys = AccessKeys::new(
            read_files(&path, None).unwrap(),
            Some(path.clone()),
            API_KEY,
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
        let other = AccessKeys::new(Keys::new(&[b"of the other kind"]).unwrap(), None, API_KEY);
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
    fn a_byte_order_mark_is_no_part_of_a_key_and_a_comment_is_none() {
        let folder = tempfile::TempDir::new().unwrap();
        let (path, previous) = (folder.path().join("keys"), folder.path().join("previous"));
        fs::write(&path, "\u{feff}new\n").unwrap();
        fs::write(&previous, "\u{feff}old\r\n").unwrap();
        let keys = AccessKeys::new(read_files(&path, Some(&previous)).unwrap(), None, API_KEY);
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
                let keys = AccessKeys::new(accepted, None, API_KEY);
                let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
                for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
                    prop_assert_eq!(keys.accept(line), !line.is_empty());
                }
            }
        }
    }
}
