//! The messages between nodes. JSON over HTTP; unknown members are ignored, so that neighbouring releases work together.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{
    cluster::{
        Address, ClusterUid, Cutoff, MemberName, Mode, ProcessEpoch, PurgeMarks, Refusal, Roster,
        Seq, WireDigest,
    },
    crypto::Salt,
    domain::{
        Category, Clock, ConfigKey, Content, Environment, Identity, Incarnation, Row, RowHash,
        Timestamp, Version,
    },
};

/// The path at which nodes accept each other's messages. The number is the protocol's major version.
pub const EXCHANGE_PATH: &str = "/cluster/v1/exchange";

/// Entries in one message, in bytes as they travel, unless a single one has more.
pub const ENTRIES_BYTES: usize = 1 << 20;

/// The protocol's version. Nodes of one major version understand each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// Changes when old nodes cannot follow.
    pub major: u32,
    /// Changes with every addition.
    pub minor: u32,
}

impl Protocol {
    /// The version of this release.
    pub const CURRENT: Self = Self { major: 1, minor: 3 };

    /// Whether a node understands [`Request::Digest`].
    pub(in crate::cluster) fn has_digests(self) -> bool {
        self.minor >= 1
    }

    /// Whether a node keeps the seal of a value that another node has it write.
    pub(in crate::cluster) fn has_seals(self) -> bool {
        self.minor >= 2
    }

    /// Whether a node judges the [`PassedOver`] of a push.
    pub(in crate::cluster) fn passes_over(self) -> bool {
        self.minor >= 3
    }

    /// Whether a source of a snapshot admits the node that takes it.
    pub(in crate::cluster) fn sources_admit(self) -> bool {
        self.minor >= 2
    }
}

/// The sender, and all its facts on which others act. Part of every message in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not states"
)]
pub struct PeerInfo {
    /// The protocol.
    pub protocol: Protocol,
    /// The sender's release.
    pub release: String,
    /// `OSC_CLUSTER_ID`; empty when not set.
    pub cluster: String,
    /// How entries are shared.
    pub mode: Mode,
    /// The sender's name.
    pub name: MemberName,
    /// Its database.
    pub incarnation: Incarnation,
    /// The epoch of its process.
    pub process_epoch: ProcessEpoch,
    /// Counts the greetings of a process: an earlier one may arrive later, and then has old news.
    pub turn: u64,
    /// The epoch of the addressee's process and the last of its greetings that the sender has heard: this one was made after that.
    pub heard: Option<(ProcessEpoch, u64)>,
    /// Its last sequence when the process began.
    pub epoch_began: Seq,
    /// Where it found itself in its list.
    pub address: Option<Address>,
    /// The cluster's uid; `None` while blank.
    pub cluster_uid: Option<ClusterUid>,
    /// The fingerprint of its salt.
    pub salt: Option<String>,
    /// Whether it serves reads.
    pub ready: bool,
    /// Whether it gives snapshots.
    pub source: bool,
    /// Whether it acknowledges: a member that is neither fenced nor full.
    pub acknowledges: bool,
    /// Whether it is fenced.
    pub fenced: bool,
    /// Whether it will be fenced as soon as another node can give it a snapshot: no node has to wait for its rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yields: bool,
    /// Whether the sender's writes wait for the addressee no longer: one waited in vain, and the addressee has not acknowledged
    /// that yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_no_longer: bool,
    /// Federated: whether it holds values of an earlier life that it has not taken back yet, or of one that is over.
    #[serde(default)]
    pub takes_back: bool,
    /// Whether it has any rows.
    pub has_rows: bool,
    /// Its last sequence.
    pub head: Seq,
    /// Its highest purged sequence.
    pub purged: Seq,
    /// The purge marks of its snapshot's sources at that time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherited: PurgeMarks,
    /// The origin of its rows, if by snapshot: (source, the source's head, its own last sequence of them).
    pub origin: Option<(Incarnation, Seq, Seq)>,
    /// How far it durably holds the addressee's feed, and of which incarnation; an acknowledgement if it acknowledges.
    pub received: Option<(Incarnation, Seq)>,
    /// The hash of its roster.
    pub roster: u64,
    /// Live entries.
    pub entries: u64,
    /// Its wall clock.
    pub time: Timestamp,
}

/// The longest address in a greeting: a name of DNS and a port, and then some.
const LONGEST_ADDRESS: usize = 320;
/// The most purge marks in a greeting.
const MOST_MARKS: usize = 4096;

impl PeerInfo {
    /// Whether it is no longer than those of nodes: a node remembers it. The cluster's id is compared with this node's own.
    pub fn is_of_a_nodes_length(&self) -> bool {
        let salt = self.salt.as_deref().unwrap_or_default();
        let address = self.address.as_ref().map_or("", Address::as_str);
        let texts = [self.name.as_str(), self.release.as_str(), salt];
        texts.iter().all(|text| text.len() <= MemberName::LONGEST)
            && address.len() <= LONGEST_ADDRESS
            && self.inherited.len() <= MOST_MARKS
    }
}

/// A message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// The sender.
    pub hello: PeerInfo,
    /// The content.
    pub body: T,
}

/// A request of a node to another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// I live.
    Heartbeat,
    /// My changes after `from` up to `to`.
    Push {
        /// Where they begin: you hold my feed so far.
        from: Seq,
        /// Where they end.
        to: Seq,
        /// The changes.
        rows: Vec<WireRow>,
        /// I left out changes that others made and told you: refuse where you have not read their feeds so far.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        passed_over: Vec<PassedOver>,
    },
    /// Give me your changes after this sequence.
    Pull {
        /// I hold your feed so far.
        after: Seq,
    },
    /// My roster; give me yours.
    Roster(Roster),
    /// Give me these entries: mine are damaged.
    Entries(Vec<WireIdentity>),
    /// My digest of all rows before a time, as one number; if yours differs, give me your digest.
    Digest {
        /// Which rows count.
        cutoff: Cutoff,
        /// The number.
        root: u64,
    },
    /// Give me a page of a snapshot.
    Snapshot {
        /// The last entry that I have; `None` for the first page.
        after: Option<WireIdentity>,
        /// The incarnation that the joining node will have: it is admitted before the last page is given. Nodes of earlier
        /// releases admit themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incarnation: Option<Incarnation>,
    },
}

/// A part of a node's feed that has changes of that node alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// The node that made the changes.
    pub writer: Incarnation,
    /// Its process when it told them.
    pub process_epoch: ProcessEpoch,
    /// Where it has them: not behind this place of its feed.
    pub up_to: Seq,
}

/// An answer of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Understood; see the hello.
    Noted,
    /// Changes after the requested sequence, up to `to`.
    Changes {
        /// Where they end.
        to: Seq,
        /// The changes.
        rows: Vec<WireRow>,
    },
    /// The requested entries that exist and are sound.
    Entries(Vec<WireRow>),
    /// The answerer holds the same.
    SameDigest,
    /// The digest of a node with other rows. ([`Answer::Noted`] where it has no digest of these rows yet.)
    Digest(WireDigest),
    /// The answerer's roster.
    Roster(Roster),
    /// A page of a snapshot.
    Page {
        /// The state that goes with it.
        head: Box<SnapshotHead>,
        /// Rows in (environment, key) order.
        rows: Vec<WireRow>,
        /// Whether there are more.
        more: bool,
        /// The last entry of the page, also where that row itself was left out as damaged.
        last: Option<WireIdentity>,
    },
    /// No.
    Refused(Refusal),
}

/// The state that a snapshot carries beside its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SnapshotHead {
    /// The cluster's uid.
    pub cluster_uid: ClusterUid,
    /// The salt, 64 bytes in base64.
    pub salt: WireSalt,
    /// The roster.
    pub roster: Roster,
    /// The source's clock.
    pub clock: Clock,
    /// The highest clock of a tombstone that the source has purged.
    pub purged_clock: Clock,
    /// The purge marks of the source, and of the sources before it.
    #[serde(default)]
    pub purge_marks: PurgeMarks,
    /// The purge marks up to which the cluster admin lets the source go on without the deletes.
    #[serde(default)]
    pub forgiven: PurgeMarks,
    /// How far the source holds each member's feed, itself included.
    pub received: Vec<(Incarnation, Seq, ProcessEpoch)>,
}

impl SnapshotHead {
    /// Whether every stamp in it can have come from a clock.
    pub(in crate::cluster) fn is_plausible(&self) -> bool {
        self.clock.is_plausible() && self.purged_clock.is_plausible() && self.roster.is_plausible()
    }

    /// Whether the source of this first page has purged deletes that came after it: its earlier pages may have those entries, and
    /// no feed tells of the deletes.
    pub(in crate::cluster) fn is_outlived(&self, source: &PeerInfo) -> bool {
        let mut received = self.received.iter();
        received.any(|(member, seq, _)| *member == source.incarnation && source.purged > *seq)
    }
}

/// The salt on its way to a joining node. Never printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct WireSalt(String);

impl WireSalt {
    /// A salt as it travels.
    pub fn new(salt: &Salt) -> Self {
        Self(BASE64_STANDARD.encode(salt.bytes()))
    }

    /// The salt; `None` when these are not 64 bytes.
    pub fn to_salt(&self) -> Option<Salt> {
        Salt::from_bytes(&Zeroizing::new(BASE64_STANDARD.decode(&self.0).ok()?))
    }

    /// A salt, where one was found, in a state that tests compare: as it travels.
    ///
    /// # Errors
    /// Those of the serializer.
    #[cfg(feature = "rule-switches")]
    pub fn serialize_found<S: serde::Serializer>(
        salt: &Option<Salt>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        salt.as_ref().map(Self::new).serialize(serializer)
    }
}

impl std::fmt::Debug for WireSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WireSalt(***)")
    }
}

/// A row as it travels. Its hash is the writer's, never recomputed on the way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireRow {
    environment: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: Version,
    clocks: Vec<(Incarnation, Clock)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extra: Option<Box<RawValue>>,
    hash: String,
}

/// An entry's identity as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireIdentity {
    environment: String,
    key: String,
}

impl From<&Identity> for WireIdentity {
    fn from(identity: &Identity) -> Self {
        Self {
            environment: identity.environment.as_str().to_owned(),
            key: identity.key.as_str().to_owned(),
        }
    }
}

impl WireIdentity {
    /// The identity; `None` when a name is empty or too long.
    pub fn into_identity(self) -> Option<Identity> {
        Some(Identity {
            environment: Environment::new(self.environment)?,
            key: ConfigKey::new(self.key)?,
        })
    }
}

impl WireRow {
    /// About how long a row is as it travels, in bytes.
    pub(crate) fn size_of(row: &Row) -> usize {
        /// Stamps, hash and the names of the fields.
        const FRAME: usize = 320;
        /// The clock of one writer.
        const CLOCK: usize = 48;
        let texts = [
            Some(row.identity.environment.as_str()),
            Some(row.identity.key.as_str()),
            row.category.as_ref().map(Category::as_str),
            row.content.as_ref().map(Content::as_str),
            row.extra.as_deref(),
        ];
        let texts: usize = texts.into_iter().flatten().map(str::len).sum();
        texts + row.clocks.len() * CLOCK + FRAME
    }

    /// A row with the hash under which it is stored.
    pub fn new(row: &Row, hash: RowHash) -> Self {
        Self {
            environment: row.identity.environment.as_str().to_owned(),
            key: row.identity.key.as_str().to_owned(),
            category: row
                .category
                .as_ref()
                .map(|category| category.as_str().to_owned()),
            token: row
                .content
                .as_ref()
                .map(|content| content.as_str().to_owned()),
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
            clocks: row
                .clocks
                .iter()
                .map(|(writer, clock)| (*writer, *clock))
                .collect(),
            extra: row
                .extra
                .clone()
                .and_then(|text| RawValue::from_string(text).ok()),
            hash: hash.to_string(),
        }
    }

    /// The row, if its hash is right and its stamps can have come from a clock.
    pub fn into_row(self) -> Option<(Row, RowHash)> {
        let row = Row {
            identity: Identity {
                environment: Environment::new(self.environment)?,
                key: ConfigKey::new(self.key)?,
            },
            category: match self.category {
                Some(text) => Some(Category::new(text)?),
                None => None,
            },
            content: self.token.map(Content::from_text),
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
            clocks: self.clocks.into_iter().collect::<BTreeMap<_, _>>(),
            extra: self.extra.map(|raw| raw.get().to_owned()),
        };
        let hash = row.hash();
        let is_plausible = row.version.clock.is_plausible()
            && row.clocks.values().all(|clock| clock.is_plausible());
        (hash.to_string() == self.hash && is_plausible).then_some((row, hash))
    }
}
