//! The inputs of an engine, and its outputs.

use std::time::Duration;

use super::{Write, Written};
use crate::{
    cluster::{
        AckLevel, Address, Answer, ClusterUid, Digest, Envelope, FenceReason, MemberName, Refusal,
        Request, Scan, Seq, State,
    },
    crypto::Salt,
    domain::{Clock, Identity, Incarnation, Timestamp},
};

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Wall-clock time; may jump.
    pub wall: Timestamp,
    /// Time since some fixed moment of this process; never goes back.
    pub elapsed: Duration,
}

/// The request that an output answers; chosen by the driver, unique among inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct ReplyId(pub u64);

/// Which request an answer belongs to; chosen by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct ExchangeId(pub u64);

/// An input of the engine.
#[derive(Debug)]
pub enum Input {
    /// A client writes.
    Write {
        /// The write.
        write: Write,
        /// How many nodes must hold the write before it is answered.
        level: AckLevel,
        /// Answered by [`Output::Written`].
        reply: ReplyId,
    },
    /// A client makes several writes, of which no two are of one entry: all of them, or none.
    WriteAll {
        /// The writes, each with the reply that [`Output::Written`] answers.
        writes: Vec<(Write, ReplyId)>,
        /// How many nodes must hold them before they are answered.
        level: AckLevel,
    },
    /// An authenticated node sends a request.
    Request {
        /// The request.
        message: Box<Envelope<Request>>,
        /// Answered by [`Output::Answer`].
        reply: ReplyId,
    },
    /// A request that this engine sent was answered; `None` when it was not.
    Answered {
        /// Where it was sent.
        from: Address,
        /// The exchange that it began.
        exchange: ExchangeId,
        /// The answer.
        answer: Option<Box<Envelope<Answer>>>,
    },
    /// The cluster admin gives an order.
    Order {
        /// The order.
        order: AdminOrder,
        /// Answered by [`Output::Done`].
        reply: ReplyId,
    },
    /// The list of addresses, at start and whenever it changed.
    Listed(Vec<Address>),
    /// A scan of the table that this engine asked for has ended.
    Scanned {
        /// The scan.
        id: ExchangeId,
        /// Its digest; `None` when it failed.
        digest: Option<Box<Digest>>,
    },
    /// A reader found a row that does not fit its hash.
    Damaged(Identity),
    /// Time passed: at least every 100 ms.
    Tick,
}

/// Orders of the cluster admin alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminOrder {
    /// Bootstrap the cluster here.
    Bootstrap {
        /// The incarnation that the order is for: another database must not carry it out.
        incarnation: Incarnation,
        /// A salt that was mounted after the node started; used only where it has none.
        mounted: Option<Salt>,
    },
    /// Leave the cluster.
    Leave,
    /// Go on with this node's rows: it is fenced or suspended, and no other node could give it a snapshot.
    Unfence {
        /// Whether only to answer whether it would.
        dry_run: bool,
    },
    /// Remove a member.
    Remove {
        /// Its name.
        name: MemberName,
        /// Its incarnation, which must be the current one.
        incarnation: Incarnation,
        /// Whether it need not have left: it is dead.
        force: bool,
    },
}

/// How an order was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminOutcome {
    /// The uid of the cluster that this node bootstrapped.
    Bootstrapped(ClusterUid),
    /// How far leaving has come; `None` for a node that never belonged.
    Leaving(Option<State>),
    /// The member is removed.
    Removed,
    /// The node goes on with its rows, or would.
    Unfenced,
}

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminRefusal {
    /// A standalone node accepts no such orders.
    #[error("this node belongs to no cluster (OSC_CLUSTER_ENABLED)")]
    Standalone,
    /// Another database is meant.
    #[error("this node's incarnation is {mine}, not the one that was named")]
    OtherIncarnation {
        /// The incarnation of this node.
        mine: Incarnation,
    },
    /// It belongs to a cluster already.
    #[error("this node belongs to a cluster already (cluster uid {cluster_uid})")]
    AlreadyMember {
        /// That cluster.
        cluster_uid: ClusterUid,
    },
    /// A reachable node belongs to a cluster, or did when it was heard last.
    #[error(
        "node '{name}' belongs to a cluster already; this node is going to join it, or can be instructed again a minute after \
         that node was lost"
    )]
    ReachableCluster {
        /// That node.
        name: MemberName,
    },
    /// A fenced node does not bootstrap.
    #[error("this node is fenced: {}", .0.text())]
    Fenced(FenceReason),
    /// The node is neither fenced nor suspended.
    #[error("this node is neither fenced nor suspended")]
    NotFenced,
    /// It joins anew by itself.
    #[error(
        "another member gives snapshots: this node joins anew by itself as soon as it reaches it, and no deleted entry comes back"
    )]
    OtherSource,
    /// The node would write under numbers that others know already.
    #[error(
        "this node is fenced: {}; that cannot be overlooked. Where all other members are lost, stop it and run osc-node backup, then \
         osc-node restore --new-cluster", .0.text()
    )]
    CannotUnfence(FenceReason),
    /// There is no salt and none may be made.
    #[error(
        "there is no salt, and this node may not make one (OSC_BOOTSTRAP=never); mount the cluster's salt"
    )]
    NoSalt,
    /// No other node holds all rows of this node.
    #[error("no other member is ready to hold what this node holds; a last member does not leave")]
    LastMember,
    /// Its values are nowhere else.
    #[error(
        "this node is fenced and holds values that no other node has; it hands them over once it has joined again. If \
         they may be lost, remove it on another one: osc-node members remove NAME --force"
    )]
    HoldsValues,
    /// It is no member in good standing.
    #[error("this node is no ready member; ask another")]
    NoMember,
    /// No node of that name is known.
    #[error("the roster knows no member '{name}'")]
    Unknown {
        /// The name.
        name: MemberName,
    },
    /// The name has another current incarnation.
    #[error("the current incarnation of '{name}' is {current}, not the one that was named")]
    NotCurrent {
        /// The name.
        name: MemberName,
        /// The current incarnation.
        current: Incarnation,
    },
    /// It still belongs.
    #[error(
        "'{name}' is {}; let it leave first (osc-node leave), or if it is dead and its disk is lost: osc-node members \
         remove {name} --force",
        .state.text()
    )]
    NotLeft {
        /// The name.
        name: MemberName,
        /// Its state.
        state: State,
    },
}

/// Why a write is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefusal {
    /// The stored version is not the one that the caller saw.
    #[error("the entry changed meanwhile")]
    Changed,
    /// The node accepts no writes.
    #[error("this node takes no writes: {0}")]
    NotServing(&'static str),
    /// The write belongs to a batch, and another write of it was refused.
    #[error("another write of the same batch was refused")]
    OthersRefused,
}

/// An action after the commit.
#[derive(Debug)]
pub enum Output {
    /// A write's outcome.
    Written {
        /// The request that it answers.
        reply: ReplyId,
        /// The outcome.
        result: Result<Written, WriteRefusal>,
    },
    /// The answer to another node.
    Answer {
        /// The request that it answers.
        reply: ReplyId,
        /// The answer.
        message: Box<Envelope<Answer>>,
    },
    /// An order's outcome.
    Done {
        /// The request that it answers.
        reply: ReplyId,
        /// The outcome.
        result: Result<AdminOutcome, AdminRefusal>,
    },
    /// Send this message, and answer with [`Input::Answered`] in any case.
    Send {
        /// Where.
        to: Address,
        /// Which exchange it begins.
        exchange: ExchangeId,
        /// The request.
        message: Box<Envelope<Request>>,
        /// How long to wait.
        timeout: Duration,
    },
    /// Scan the committed rows without holding up writers, and answer with [`Input::Scanned`] in any case.
    Scan(Scan),
    /// The salt is known from now on: write its file, and open values with it.
    SaltSettled(Salt),
    /// An event for the log.
    Event(Event),
}

impl Output {
    pub(super) fn written((reply, written): (ReplyId, Written)) -> Self {
        Self::Written {
            reply,
            result: Ok(written),
        }
    }

    pub(super) fn refused(reply: ReplyId, refusal: WriteRefusal) -> Self {
        Self::Written {
            reply,
            result: Err(refusal),
        }
    }
}

/// The events that are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This node bootstrapped the cluster.
    Bootstrapped(ClusterUid),
    /// The node begins to load a snapshot.
    JoinBegun {
        /// The source of the snapshot.
        source: MemberName,
    },
    /// The snapshot is complete and in force.
    Joined {
        /// The source of the snapshot.
        source: MemberName,
        /// How many rows it has.
        rows: u64,
    },
    /// It serves.
    Ready,
    /// The node must load a new snapshot.
    Fenced(FenceReason),
    /// The removal for which the node was fenced is void, and all others are fenced, too: it goes on with its rows.
    RemovalIsVoid,
    /// A greeting accuses this node; the member that it names is asked.
    Suspected {
        /// The member that the greeting names.
        name: MemberName,
        /// The accusation.
        reason: FenceReason,
    },
    /// The asked member does not confirm the accusation.
    Acquitted {
        /// The member.
        name: MemberName,
    },
    /// The node would have to load a new snapshot, and no node could give one.
    WaitsForOwner(FenceReason),
    /// The cluster admin lets the node go on with its rows.
    Unfenced,
    /// A stamp is more than an hour ahead of this node's clock.
    FutureStamp {
        /// The sender.
        name: MemberName,
        /// The stamp.
        clock: Clock,
    },
    /// It leaves.
    Leaving,
    /// It has left.
    Left,
    /// It removed a member.
    Removed(MemberName),
    /// It refuses a node, or is refused: they do not belong together.
    Mismatch {
        /// The name of the other node.
        name: MemberName,
        /// The cluster of the other node, as `OSC_CLUSTER_ID` names it.
        cluster: String,
        /// Why.
        refusal: Refusal,
    },
    /// The node holds rows but belongs to no cluster, and meets a node of one.
    RowsOutsideTheCluster {
        /// A member of that cluster.
        name: MemberName,
    },
    /// Two writers did not know of each other; the losing value is kept.
    Conflict(Identity),
    /// Values of an earlier life were looked through.
    ValuesTakenBack {
        /// How many this node owns again.
        taken: u64,
        /// How many are older than the lost values, and were kept as losers of conflicts.
        set_aside: u64,
    },
    /// A stored row is damaged; other members are asked for it.
    DamagedRow(Identity),
    /// A row arrived damaged and was left out.
    DamagedArrival {
        /// The sender.
        name: MemberName,
    },
    /// A row was missing or old here although everything had arrived; another member had it.
    DigestRepaired {
        /// Which.
        identity: Identity,
        /// The member whose row it was.
        name: MemberName,
    },
    /// One member has a row that this node lacks, and that may have been deleted for good.
    HeldByOneOnly {
        /// Which.
        identity: Identity,
        /// The member that has it.
        name: MemberName,
    },
    /// Tombstones were purged.
    Purged {
        /// How many.
        count: u64,
        /// Up to where.
        up_to: Seq,
    },
}
