//! A set of access keys: their digests, and the keys derived from them for signatures.

use std::fmt;

use http::HeaderValue;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::key_error::KeyFileError;
use crate::crypto::PeerProofKey;

/// How short a key of one kind may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// Shorter keys are refused.
    pub(super) least: usize,
    /// Shorter keys are accepted with a warning.
    pub(super) safe: usize,
}

impl Lengths {
    /// A workload with an API key opens no entry yet; it may try 1,000 keys a minute.
    pub(crate) const API_KEY: Self = Self { least: 8, safe: 16 };
    /// A holder of the cluster key counts as a node.
    pub(crate) const CLUSTER_KEY: Self = Self {
        least: 16,
        safe: 32,
    };
}

/// The SHA-256 of a key, so that a comparison reveals nothing of its length.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey(pub(super) [u8; 32]);

impl AccessKey {
    /// The digest of a key in the form in which a client sends it.
    pub fn new(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(***)")
    }
}

/// The accepted keys, and the keys that the node shows to others.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) accepted: Vec<AccessKey>,
    /// How many of the keys, at the beginning, are previous ones.
    pub(super) previous: usize,
    /// The signing keys, one for each access key.
    pub(super) proofs: Vec<PeerProofKey>,
    /// The first key itself; only nodes show theirs to each other.
    pub(super) first: Zeroizing<Vec<u8>>,
    /// Bytes of the shortest.
    pub(super) shortest: usize,
}

impl Keys {
    pub(super) fn new(keys: &[&[u8]]) -> Result<Self, KeyFileError> {
        if keys.iter().any(|key| HeaderValue::from_bytes(key).is_err()) {
            return Err(KeyFileError::Unsendable);
        }
        Ok(Self {
            accepted: keys.iter().map(|key| AccessKey::new(key)).collect(),
            previous: 0,
            proofs: keys.iter().map(|key| PeerProofKey::derive(key)).collect(),
            first: Zeroizing::new(keys.first().map(|key| key.to_vec()).unwrap_or_default()),
            shortest: keys.iter().map(|key| key.len()).min().unwrap_or_default(),
        })
    }
}

impl Keys {
    /// Refuses keys that are too short.
    pub(super) fn check(&self, Lengths { least, safe }: Lengths) -> Result<(), KeyFileError> {
        if self.accepted.is_empty() || self.shortest >= least {
            return Ok(());
        }
        let has = self.shortest;
        Err(KeyFileError::Short { has, least, safe })
    }
}
