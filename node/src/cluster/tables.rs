//! The engine's demands on storage: one durable transaction at a time.

use serde::{Deserialize, Serialize};

use super::{ClusterUid, FenceReason, MemberName, Mode, ProcessEpoch, Roster, Seq};
use crate::{
    crypto::Salt,
    domain::{Clock, Identity, Incarnation, Row, RowHash, Seal, Timestamp, Version},
};

/// The tables of one node inside a transaction. Reads see the transaction's own writes; the driver commits it, or drops
/// it and loads the engine anew.
pub trait Tables {
    /// Why storage failed.
    type Error;

    /// The database's incarnation, its clock's high-water mark and its last sequence.
    fn counters(&mut self) -> Result<(Incarnation, Clock, Seq), Self::Error>;
    /// Writes the high-water mark and the last sequence.
    fn put_counters(&mut self, clock: Clock, last: Seq) -> Result<(), Self::Error>;

    /// The row of an identity, tombstones included.
    fn row(&mut self, identity: &Identity) -> Result<Option<Row>, Self::Error>;
    /// The stored hash of a row; a hash other than the row's own shows damage.
    fn row_hash(&mut self, identity: &Identity) -> Result<Option<RowHash>, Self::Error>;
    /// Writes a row with its hash over any row of its identity, as the change with this sequence.
    fn put_row(&mut self, row: &Row, hash: RowHash, seq: Seq) -> Result<(), Self::Error>;
    /// Federated: the value of an entry that this node holds, and the version that it is.
    fn value(&mut self, identity: &Identity) -> Result<Option<(Version, String)>, Self::Error>;
    /// The seal of that value; the row has the seal of the directory's version, if that is another one.
    fn value_seal(&mut self, identity: &Identity) -> Result<Option<Seal>, Self::Error>;
    /// Keeps the value of an entry, and drops an earlier one.
    fn put_value(
        &mut self,
        identity: &Identity,
        version: Version,
        token: &str,
        seal: Option<Seal>,
    ) -> Result<(), Self::Error>;
    /// Drops the value of an entry.
    fn drop_value(&mut self, identity: &Identity) -> Result<(), Self::Error>;
    /// Entries whose held values were written by an earlier life of this database.
    fn earlier_values(
        &mut self,
        than: Incarnation,
        most: usize,
    ) -> Result<Vec<Identity>, Self::Error>;
    /// Whether any value is held.
    fn has_values(&mut self) -> Result<bool, Self::Error>;

    /// Forgets a deleted row; a live one stays.
    fn purge(&mut self, identity: &Identity) -> Result<(), Self::Error>;
    /// Whether there is any row, tombstones included.
    fn has_rows(&mut self) -> Result<bool, Self::Error>;

    /// Rows that changed after a sequence, in its order: one at least, if there is any, then as many as fit.
    fn changes(
        &mut self,
        after: Seq,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<FeedRow>, Self::Error>;
    /// Rows after an identity, in (environment, key) byte order: one at least, if there is any, then as many as fit. Rows with
    /// unreadable names are left out.
    fn page(
        &mut self,
        after: Option<&Identity>,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<FeedRow>, Self::Error>;
    /// Tombstones up to a sequence that were written before a time, oldest sequence first.
    fn tombstones(
        &mut self,
        up_to: Seq,
        before: Timestamp,
        most: usize,
    ) -> Result<Vec<(Seq, Identity)>, Self::Error>;

    /// Keeps the losing version of a conflict, once.
    fn put_conflict(
        &mut self,
        row: &Row,
        hash: RowHash,
        seen_at: Timestamp,
    ) -> Result<(), Self::Error>;

    /// Removes the losing version whose ciphertext a row of a directory names; gives the ciphertext.
    fn take_conflict(&mut self, named: &Row) -> Result<Option<String>, Self::Error>;

    /// How far each member's feed was read, and how far each has acknowledged ours.
    fn cursors(&mut self) -> Result<Vec<(Incarnation, Cursor)>, Self::Error>;
    /// Writes one cursor.
    fn put_cursor(&mut self, member: Incarnation, cursor: Cursor) -> Result<(), Self::Error>;

    /// The roster.
    fn roster(&mut self) -> Result<Roster, Self::Error>;
    /// Writes it.
    fn put_roster(&mut self, roster: &Roster) -> Result<(), Self::Error>;
    /// The state of this node in the cluster; `None` in a database that never was in one.
    fn membership(&mut self) -> Result<Option<Membership>, Self::Error>;
    /// Writes it.
    fn put_membership(&mut self, membership: &Membership) -> Result<(), Self::Error>;
    /// The salt's copy.
    fn salt(&mut self) -> Result<Option<Salt>, Self::Error>;
    /// Writes it.
    fn put_salt(&mut self, salt: &Salt) -> Result<(), Self::Error>;

    /// Forgets a snapshot that was begun.
    fn clear_staged(&mut self) -> Result<(), Self::Error>;
    /// Keeps a part of a snapshot beside the rows.
    fn stage(&mut self, rows: &[(Row, RowHash)]) -> Result<(), Self::Error>;
    /// Puts the snapshot in the place of all rows. Live rows that the snapshot lacks, or has in an older version, become
    /// conflicts with their own stamps; in a directory, only those whose value is held and will not be taken back. Values stay.
    /// Cursors are forgotten. Changes after `last` number the rows.
    fn take_over(&mut self, takeover: Takeover) -> Result<Seq, Self::Error>;
}

/// How a snapshot takes the place of the rows.
#[derive(Debug, Clone, Copy)]
pub struct Takeover {
    /// The database's incarnation from now on.
    pub incarnation: Incarnation,
    /// The last sequence so far.
    pub last: Seq,
    /// When the conflicts were seen.
    pub seen_at: Timestamp,
    /// Whether old rows that are newer than the snapshot's go on as rows instead (a broken rule of simulations).
    pub reissue: bool,
}

/// A row as it stands in the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct FeedRow {
    /// Where.
    pub seq: Seq,
    /// The row.
    pub row: Row,
    /// The received hash; a hash other than the row's own shows damage.
    pub hash: RowHash,
}

/// The state of one member's feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// How far this node holds the member's feed.
    pub received: Seq,
    /// The member's process epoch when that was received.
    pub process_epoch: ProcessEpoch,
    /// How far the member holds this node's feed.
    pub acknowledged: Seq,
}

/// The state of this node, beyond its roster entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalStatus {
    /// It belongs to no cluster and waits: for a member to join, or for the order to bootstrap.
    Blank,
    /// It belongs to the cluster; the roster has its phase.
    Member,
    /// It must load a new snapshot before it may serve.
    Fenced(FenceReason),
}

/// Up to where members had purged the tombstones of their own feeds.
pub type PurgeMarks = Vec<(Incarnation, Seq)>;

/// Where the rows of a joined node came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotOrigin {
    /// The source of the snapshot.
    pub source: Incarnation,
    /// The source's head when the last page was read: a node that holds the source's feed so far holds the whole snapshot.
    pub source_head: Seq,
    /// Our own last sequence of the snapshot's rows.
    pub last: Seq,
}

/// An accusation of one member against this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accusation {
    /// The member in whose name it came.
    pub by: Incarnation,
    /// Why this node would have to load a new snapshot.
    pub reason: FenceReason,
    /// Whether that member confirmed it, and no node could give a snapshot.
    pub proven: bool,
}

/// The durable knowledge of this node about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The name under which the database was made.
    pub name: MemberName,
    /// How its cluster shares entries. Databases of releases with one mode do not have it.
    #[serde(default)]
    pub mode: Mode,
    /// The cluster's uid; `None` while blank.
    pub cluster_uid: Option<ClusterUid>,
    /// The state of the node.
    pub status: LocalStatus,
    /// The highest sequence of a purged tombstone.
    pub purged: Seq,
    /// The highest clock of a purged tombstone.
    pub purged_clock: Clock,
    /// The purge marks of its snapshot's sources at that time: this node has not held those tombstones.
    #[serde(default)]
    pub inherited: PurgeMarks,
    /// The purge marks of members when the cluster admin let this node, or the source of its snapshot, go on without the deletes
    /// (`osc-node unfence`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgiven: PurgeMarks,
    /// The members that a purger behind its snapshot had removed: those purges may not have waited for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined_without: Vec<Incarnation>,
    /// How far its source held the feeds of others when it gave the last page of the snapshot, until this node has read the source's
    /// feed to there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_received: Vec<(Incarnation, Seq, ProcessEpoch)>,
    /// The accusations against this node that no answer has settled yet: a restart settles none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accusations: Vec<Accusation>,
    /// Where its rows came from, if by snapshot.
    pub origin: Option<SnapshotOrigin>,
    /// The current process epoch, and the last sequence when it began.
    pub process_epoch: (ProcessEpoch, Seq),
}

impl Membership {
    /// Whether the database can only go on in its mode: it belongs to a cluster, or its rows are a directory.
    pub fn keeps_mode(&self, has_rows: bool) -> bool {
        self.cluster_uid.is_some() || (self.mode == Mode::Federated && has_rows)
    }
}
