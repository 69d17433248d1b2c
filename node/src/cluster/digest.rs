//! Digests: a table in a few numbers, so that members can compare their rows without sending them.
//!
//! A row counts in the bucket of its name, with its hash: the numbers differ where the rows do. Only its name, its version and
//! its hash matter here, not its content.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{ExchangeId, Seq, WireIdentity};
use crate::{
    cluster::limits::digests::{AGE, BUCKETS, LISTED_BUCKETS, LISTED_ENTRIES, ROUND},
    domain::{Clock, Identity, RowHash, Stamp, Timestamp, Version, entry_id},
};

/// One part of a table: the entries whose names fall into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct Bucket(u16);

impl Bucket {
    fn of(environment: &str, key: &str) -> Self {
        let rest = entry_id(environment, key) % u64::from(BUCKETS);
        Self(u16::try_from(rest).unwrap_or_default())
    }
}

/// The boundary of a round of comparisons: rows with earlier stamps are compared. All members compute the same one by
/// themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cutoff(Clock);

impl Cutoff {
    /// The round that is due at a time.
    pub(super) fn at(now: Timestamp) -> Self {
        let round = micros(ROUND);
        let number = now
            .as_micros()
            .saturating_sub(micros(AGE))
            .div_euclid(round);
        Self(Clock::at(Timestamp::from_micros(
            number.saturating_mul(round),
        )))
    }

    /// The stamp's clock before which rows count.
    pub fn clock(self) -> Clock {
        self.0
    }

    /// The number of the round since 1970.
    fn number(self) -> i64 {
        self.0.time().as_micros().div_euclid(micros(ROUND))
    }

    /// Whether this round follows another one, or wall clocks were set back far behind it. A boundary that clocks cross to and
    /// fro makes no round.
    pub(super) fn follows(self, last: Self) -> bool {
        self > last || self.number() < last.number() - 1
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A scan of the table that an engine asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct Scan {
    /// The scan's id, which its result repeats.
    pub id: ExchangeId,
    /// Which rows count.
    pub cutoff: Cutoff,
    /// Buckets whose entries are listed one by one.
    pub listed: BTreeSet<Bucket>,
}

/// An entry of a listed bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct ListedEntry {
    pub(super) stamp: Stamp,
    pub(super) live: bool,
}

/// The digest of a table, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct Digest {
    pub(super) scan: Scan,
    /// The last sequence at that moment: a node that holds the feed so far has seen every counted row.
    pub(super) head: Seq,
    buckets: Vec<u64>,
    pub(super) entries: BTreeMap<Identity, ListedEntry>,
}

impl Digest {
    /// The digest of an empty table, to which rows are added.
    pub fn new(scan: Scan, head: Seq) -> Self {
        Self {
            scan,
            head,
            buckets: vec![0; usize::from(BUCKETS)],
            entries: BTreeMap::new(),
        }
    }

    /// Adds a row. Tombstones are listed but not counted: one member may have purged some that another has not.
    pub fn add(
        &mut self,
        (environment, key): (&str, &str),
        version: Version,
        hash: RowHash,
        live: bool,
    ) {
        if version.clock >= self.scan.cutoff.0 {
            return;
        }
        let bucket = Bucket::of(environment, key);
        if live && let Some(sum) = self.buckets.get_mut(usize::from(bucket.0)) {
            let [first, ..] = hash.0.as_chunks::<8>().0 else {
                return;
            };
            *sum = sum.wrapping_add(u64::from_be_bytes(*first));
        }
        if self.scan.listed.contains(&bucket)
            && self.entries.len() < LISTED_ENTRIES
            && let Some(identity) = Identity::of(environment, key)
        {
            let stamp = Stamp { version, hash };
            self.entries.insert(identity, ListedEntry { stamp, live });
        }
    }

    /// One number for all buckets.
    pub(super) fn root(&self) -> u64 {
        root(&self.buckets)
    }

    /// The buckets in which another table differs.
    pub(super) fn differing(&self, theirs: &[u64]) -> BTreeSet<Bucket> {
        (0..BUCKETS)
            .zip(self.buckets.iter().zip(theirs))
            .filter(|(_, (mine, theirs))| mine != theirs)
            .map(|(bucket, _)| Bucket(bucket))
            .collect()
    }

    /// The digest as it travels.
    pub(super) fn to_wire(&self) -> WireDigest {
        let bytes: Vec<u8> = self
            .buckets
            .iter()
            .flat_map(|sum| sum.to_be_bytes())
            .collect();
        WireDigest {
            head: self.head,
            buckets: BASE64_STANDARD.encode(bytes),
            entries: self
                .entries
                .iter()
                .map(|(identity, entry)| WireListed {
                    identity: WireIdentity::from(identity),
                    version: entry.stamp.version,
                    hash: BASE64_STANDARD.encode(entry.stamp.hash.0),
                    live: entry.live,
                })
                .collect(),
        }
    }
}

/// The digest of a whole table at rest, tombstones and young rows included: equal where two tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDigest {
    rows: u64,
    digest: Digest,
}

impl Default for TableDigest {
    /// Of an empty table.
    fn default() -> Self {
        let scan = Scan {
            id: ExchangeId(0),
            cutoff: Cutoff(Clock::from_raw(i64::MAX)),
            listed: BTreeSet::new(),
        };
        Self {
            rows: 0,
            digest: Digest::new(scan, Seq::START),
        }
    }
}

impl TableDigest {
    /// Adds a row, whose hash stands for its content.
    pub fn add(&mut self, identity: &Identity, stamp: Stamp) {
        self.rows += 1;
        let names = (identity.environment.as_str(), identity.key.as_str());
        self.digest.add(names, stamp.version, stamp.hash, true);
    }
}

/// The buckets that a round lists, out of those that differed in the last one. Two members that differ in more buckets choose
/// the same ones; each round chooses others, so that none is left out for ever.
pub(super) fn choose(differing: &BTreeSet<Bucket>, cutoff: Cutoff) -> BTreeSet<Bucket> {
    let rounds = i64::from(BUCKETS) / i64::try_from(LISTED_BUCKETS).unwrap_or(1);
    let turn = usize::try_from(cutoff.number().rem_euclid(rounds)).unwrap_or_default();
    let first = Bucket(u16::try_from(turn * LISTED_BUCKETS).unwrap_or_default());
    differing
        .range(first..)
        .chain(differing.range(..first))
        .take(LISTED_BUCKETS)
        .copied()
        .collect()
}

fn root(buckets: &[u64]) -> u64 {
    let mut hash = Sha256::new();
    for sum in buckets {
        hash.update(sum.to_be_bytes());
    }
    let hash: [u8; 32] = hash.finalize().into();
    hash.first_chunk::<8>()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

/// A digest as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireDigest {
    head: Seq,
    buckets: String,
    #[serde(default)]
    entries: Vec<WireListed>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct WireListed {
    #[serde(flatten)]
    identity: WireIdentity,
    version: Version,
    hash: String,
    live: bool,
}

/// A digest of another member.
#[derive(Debug)]
pub(super) struct Theirs {
    pub(super) head: Seq,
    pub(super) root: u64,
    pub(super) buckets: Vec<u64>,
    pub(super) entries: Vec<(Identity, ListedEntry)>,
}

impl WireDigest {
    /// The digest; `None` where it is none.
    pub(super) fn into_digest(self) -> Option<Theirs> {
        let bytes = BASE64_STANDARD.decode(self.buckets).ok()?;
        let (chunks, rest) = bytes.as_chunks::<8>();
        let buckets: Vec<_> = chunks
            .iter()
            .map(|chunk| u64::from_be_bytes(*chunk))
            .collect();
        if buckets.len() != usize::from(BUCKETS) || !rest.is_empty() {
            return None;
        }
        let entries = self.entries.into_iter().take(LISTED_ENTRIES).map(|listed| {
            let hash = BASE64_STANDARD.decode(listed.hash).ok()?;
            let stamp = Stamp {
                version: listed.version,
                hash: RowHash(hash.try_into().ok()?),
            };
            let live = listed.live;
            Some((
                listed.identity.into_identity()?,
                ListedEntry { stamp, live },
            ))
        });
        Some(Theirs {
            head: self.head,
            root: root(&buckets),
            entries: entries.collect::<Option<_>>()?,
            buckets,
        })
    }
}

/// The bucket of an entry.
pub(super) fn bucket_of(identity: &Identity) -> Bucket {
    Bucket::of(identity.environment.as_str(), identity.key.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Incarnation;

    const NOW: Timestamp = Timestamp::from_micros(1_750_000_123_000_000);

    fn scan(listed: impl IntoIterator<Item = Bucket>) -> Scan {
        Scan {
            id: ExchangeId(1),
            cutoff: Cutoff::at(NOW),
            listed: listed.into_iter().collect(),
        }
    }

    fn version(clock: Clock) -> Version {
        Version {
            clock,
            incarnation: Incarnation::from_raw(1),
        }
    }

    fn old() -> Version {
        version(Clock::at(Timestamp::from_micros(
            NOW.as_micros() - 3_600_000_000,
        )))
    }

    fn digest(rows: &[(String, u8)]) -> Digest {
        let mut digest = Digest::new(scan([]), Seq::START);
        for (key, hash) in rows {
            digest.add(("", key), old(), RowHash([*hash; 32]), true);
        }
        digest
    }

    proptest! {
        #[test]
        fn the_order_of_rows_does_not_matter_and_every_other_row_shows(
            rows in proptest::collection::btree_map("[a-z]{1,8}", 1..200_u8, 1..50),
            other in 200..255_u8,
        ) {
            let rows: Vec<_> = rows.into_iter().collect();
            let reversed: Vec<_> = rows.iter().rev().cloned().collect();
            let whole = digest(&rows);
            prop_assert_eq!(whole.root(), digest(&reversed).root());

            let lacks = digest(&rows[1..]);
            let bucket = Bucket::of("", &rows[0].0);
            prop_assert_eq!(whole.differing(&lacks.buckets), BTreeSet::from([bucket]));
            prop_assert_ne!(whole.root(), lacks.root());

            let mut changed = rows.clone();
            changed[0].1 = other;
            prop_assert_eq!(whole.differing(&digest(&changed).buckets), BTreeSet::from([bucket]));
        }

        #[test]
        fn two_members_that_differ_in_much_list_the_same_buckets_and_in_time_all(
            differing in proptest::collection::btree_set(0..BUCKETS, 0..300),
            begin in 0..1_000_000_i64,
        ) {
            let differing: BTreeSet<_> = differing.into_iter().map(Bucket).collect();
            let mut seen = BTreeSet::new();
            for round in 0..64 {
                let at = Timestamp::from_micros((begin + round) * micros(ROUND));
                let chosen = choose(&differing, Cutoff::at(at));
                prop_assert!(chosen.len() <= LISTED_BUCKETS);
                seen.extend(chosen);
            }
            prop_assert_eq!(seen, differing);
        }
    }

    #[test]
    fn young_rows_and_tombstones_do_not_count() {
        let mut digest = Digest::new(scan([]), Seq::START);
        let empty = digest.root();
        digest.add(("", "deleted"), old(), RowHash([1; 32]), false);
        digest.add(
            ("", "young"),
            version(Clock::at(NOW)),
            RowHash([2; 32]),
            true,
        );
        let at_cutoff = version(Cutoff::at(NOW).clock());
        digest.add(("", "at the cutoff"), at_cutoff, RowHash([3; 32]), true);
        assert_eq!(digest.root(), empty);
        digest.add(("", "old"), old(), RowHash([4; 32]), true);
        assert_ne!(digest.root(), empty);
    }

    #[test]
    fn what_is_listed_travels_with_tombstones() {
        let mut digest = Digest::new(
            scan([Bucket::of("", "a"), Bucket::of("", "b")]),
            Seq::from_raw(7),
        );
        digest.add(("", "a"), old(), RowHash([1; 32]), true);
        digest.add(("", "b"), old(), RowHash([2; 32]), false);
        digest.add(("", "c"), old(), RowHash([3; 32]), true);
        let text = serde_json::to_string(&digest.to_wire()).unwrap();
        let theirs = serde_json::from_str::<WireDigest>(&text)
            .unwrap()
            .into_digest()
            .unwrap();
        assert_eq!(theirs.root, digest.root());
        assert_eq!(theirs.head, Seq::from_raw(7));
        assert_eq!(
            theirs.entries.into_iter().collect::<BTreeMap<_, _>>(),
            digest.entries
        );
        assert_eq!(digest.entries.len(), 2);
    }

    #[test]
    fn whole_tables_are_equal_only_with_their_tombstones_and_young_rows() {
        let of = |rows: &[(&str, u8)]| {
            let mut digest = TableDigest::default();
            for (key, hash) in rows {
                let stamp = Stamp {
                    version: version(Clock::at(NOW)),
                    hash: RowHash([*hash; 32]),
                };
                digest.add(&Identity::of("", key).unwrap(), stamp);
            }
            digest
        };
        let whole = of(&[("a", 1), ("b", 2)]);
        assert_eq!(whole, of(&[("b", 2), ("a", 1)]));
        for other in [of(&[("a", 1)]), of(&[("a", 1), ("b", 3)]), of(&[])] {
            assert_ne!(whole, other);
        }
    }

    #[test]
    fn a_digest_of_another_shape_is_none() {
        let wire = WireDigest {
            head: Seq::START,
            buckets: BASE64_STANDARD.encode([0; 16]),
            entries: Vec::new(),
        };
        assert!(wire.into_digest().is_none());
    }

    #[test]
    fn rounds_are_the_same_for_clocks_that_differ_a_little_and_go_on() {
        let at = |seconds: i64| {
            Cutoff::at(Timestamp::from_micros(
                1_750_000_200_000_000 + seconds * 1_000_000,
            ))
        };
        assert_eq!(at(1), at(299));
        assert!(at(300).follows(at(299)));
        assert!(!at(299).follows(at(300)));
        assert!(at(-600).follows(at(300)));
        let age = 1_750_000_200_000 - at(0).clock().time().as_micros() / 1000;
        assert!((600_000..900_000).contains(&age), "{age} ms");
    }
}
