//! The cluster engine: how nodes replicate, bootstrap, join, leave and fence. A state machine without I/O.
//!
//! Every event is an [`Input`]; the engine changes its [`Tables`] and answers with [`Output`]s. Its driver commits the tables
//! first and acts on the outputs afterwards, so the engine announces only durable changes. Time, randomness, storage and
//! transport come from outside: the same code runs in a node and in the simulator.

mod acknowledgement;
mod digest;
mod directory;
mod engine;
mod identity;
mod limits;
mod merge;
mod peer_table;
mod protocol;
mod purge_marks;
mod refusal;
mod roster;
mod rules;
mod tables;

pub use opensecureconf_contract::{AckLevel, MemberState, Mode, status::FenceReason};

pub use digest::{Bucket, Cutoff, Digest, Scan, TableDigest, WireDigest};
pub use directory::{Heads, Place, ValueLocation};
pub use engine::{
    AdminOrder, AdminOutcome, AdminRefusal, Change, DigestView, Engine, Event, ExchangeId,
    Expected, Input, LoadError, MemberView, Now, Output, ReplyId, Setup, View, Write, WriteRefusal,
    Written,
};
pub use identity::{Address, ClusterUid, MemberName, ProcessEpoch, Seq};
pub use merge::{Merge, merge};
pub use protocol::{
    Answer, DamagedValue, ENTRIES_BYTES, EXCHANGE_PATH, Envelope, FoundValue, HandedOver,
    IMPORT_PATH, ImportAnswer, ImportOrder, ImportOutcome, ImportedEntry, NewValue, OwnersWrite,
    PassedOver, PeerInfo, Protocol, Question, Request, SnapshotHead, VALUES_PATH, ValueAnswer,
    ValueRefusal, ValueRequest, WireIdentity, WireRow, WireSalt,
};
pub use refusal::Refusal;
pub use roster::{Phase, Roster, RosterEntry, State};
pub use rules::{Rule, Rules};
pub use tables::{
    Accusation, Cursor, FeedRow, LocalStatus, Membership, PurgeMarks, SnapshotOrigin, Tables,
    Takeover,
};
