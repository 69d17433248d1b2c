//! The names of nodes, lives and clusters.
//!
//! None of them is `serde(transparent)`: JSON is the same without, and tests that compare states know a value by its type's name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in one node's own order of changes; 0 is before the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Seq(i64);

impl Seq {
    /// Before the first change.
    pub const START: Self = Self(0);

    /// A sequence from its stored number.
    pub fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    /// The number under which the sequence is stored.
    pub fn raw(self) -> i64 {
        self.0
    }

    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many changes lie between an earlier sequence and this one; 0 where it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default()
    }
}

/// A node's name in the cluster (`OSC_CLUSTER_NODE_ID`): the same in every life.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberName(String);

impl MemberName {
    /// The length of the longest one, in bytes.
    pub const LONGEST: usize = 256;

    /// A name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a node answers: `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address(String);

impl Address {
    /// An address.
    pub fn new(address: impl Into<String>) -> Self {
        Self(address.into())
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A random number made at each start of a process: how a node finds itself in a list of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ProcessEpoch(u64);

impl ProcessEpoch {
    /// A process epoch from random bits.
    pub fn from_random(bits: u64) -> Self {
        Self(bits >> 1)
    }

    /// A process epoch from its stored number.
    pub fn from_raw(raw: i64) -> Self {
        Self(raw.unsigned_abs())
    }

    /// The number under which the process epoch is stored.
    pub fn raw(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

/// The random id that a cluster gets when it is bootstrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClusterUid(u64);

impl ClusterUid {
    /// A cluster uid from random bits.
    pub fn from_random(bits: u64) -> Self {
        Self(bits >> 1)
    }
}

impl fmt::Display for ClusterUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
