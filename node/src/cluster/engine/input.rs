//! What enters an engine, and what it asks for.

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

/// Whom an output answers; chosen by the driver, unique among inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyId(pub u64);

/// Which request an answer belongs to; chosen by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u64);

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// A client writes.
    Write {
        /// What.
        write: Write,
        /// Who must hold it before it is answered.
        level: AckLevel,
        /// Answered by [`Output::Written`].
        reply: ReplyId,
    },
    /// A client makes several writes, of which no two are of one entry: all of them, or none.
    WriteAll {
        /// What, and who is answered by [`Output::Written`].
        writes: Vec<(Write, ReplyId)>,
        /// Who must hold them before they are answered.
        level: AckLevel,
    },
    /// An authenticated node asks.
    Request {
        /// What.
        message: Box<Envelope<Request>>,
        /// Answered by [`Output::Answer`].
        reply: ReplyId,
    },
    /// A request that this engine sent was answered; `None` when it was not.
    Answered {
        /// Where it was sent.
        from: Address,
        /// Which one it was.
        exchange: ExchangeId,
        /// The answer.
        answer: Option<Box<Envelope<Answer>>>,
    },
    /// The cluster admin orders something.
    Order {
        /// What.
        order: AdminOrder,
        /// Answered by [`Output::Done`].
        reply: ReplyId,
    },
    /// The list of addresses, at start and whenever it changed.
    Listed(Vec<Address>),
    /// A look through the table that this engine asked for came to its end.
    Scanned {
        /// Which one.
        id: ExchangeId,
        /// What it found; `None` when it failed.
        digest: Option<Box<Digest>>,
    },
    /// A reader found a row that does not fit its hash.
    Damaged(Identity),
    /// Time passed: at least every 100 ms.
    Tick,
}

/// What only the owner of a cluster may order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminOrder {
    /// Bootstrap the cluster here.
    Bootstrap {
        /// The incarnation that is meant: another database must not take the order.
        incarnation: Incarnation,
        /// A salt that was mounted after the node started; used only where it has none.
        mounted: Option<Salt>,
    },
    /// Leave the cluster.
    Leave,
    /// Go on with what this node has: it is fenced or suspended, and no other node could give it a snapshot.
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
    /// The node goes on with what it has, or would.
    Unfenced,
}

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminRefusal {
    /// A standalone node takes no such orders.
    #[error("this node belongs to no cluster (OSC_CLUSTER_ENABLED)")]
    Standalone,
    /// Another database is meant.
    #[error("this node's incarnation is {mine}, not the one that was named")]
    OtherIncarnation {
        /// The one that it has.
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
    /// A fenced node bootstraps nothing.
    #[error("this node is fenced: {}", .0.text())]
    Fenced(FenceReason),
    /// There is nothing to take back.
    #[error("this node is neither fenced nor suspended")]
    NotFenced,
    /// It joins anew by itself.
    #[error(
        "another member gives snapshots: this node joins anew by itself as soon as it reaches it, and no deleted entry comes back"
    )]
    OtherSource,
    /// It would write under numbers that others know already.
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
    /// No other node holds what this node holds.
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
    /// Another incarnation of that name is the current one.
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
        /// What it is.
        state: State,
    },
}

/// Why a write is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefusal {
    /// What is stored is not what the caller saw.
    #[error("the entry changed meanwhile")]
    Changed,
    /// The node takes no writes.
    #[error("this node takes no writes: {0}")]
    NotServing(&'static str),
    /// It was to be made with others, and one of these was refused.
    #[error("another write of the same batch was refused")]
    OthersRefused,
}

/// Something to do after the commit.
#[derive(Debug)]
pub enum Output {
    /// A write's outcome.
    Written {
        /// Whose.
        reply: ReplyId,
        /// The outcome.
        result: Result<Written, WriteRefusal>,
    },
    /// The answer to another node.
    Answer {
        /// Whose.
        reply: ReplyId,
        /// The answer.
        message: Box<Envelope<Answer>>,
    },
    /// An order's outcome.
    Done {
        /// Whose.
        reply: ReplyId,
        /// The outcome.
        result: Result<AdminOutcome, AdminRefusal>,
    },
    /// Send this, and come back with [`Input::Answered`] whatever happens.
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
    /// Look through the rows as they are committed, without holding up writers, and come back with
    /// [`Input::Scanned`] whatever happens.
    Scan(Scan),
    /// The salt is known from now on: write its file, and open values with it.
    SaltSettled(Salt),
    /// Something that a person wants to know.
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

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This node bootstrapped the cluster.
    Bootstrapped(ClusterUid),
    /// It takes a snapshot.
    JoinBegun {
        /// From whom.
        source: MemberName,
    },
    /// The snapshot is complete and in force.
    Joined {
        /// From whom it came.
        source: MemberName,
        /// How many rows it has.
        rows: u64,
    },
    /// It serves.
    Ready,
    /// It must take a new snapshot.
    Fenced(FenceReason),
    /// A greeting says something against this node; its member is asked.
    Suspected {
        /// Whose greeting it is said to be.
        name: MemberName,
        /// What it says.
        reason: FenceReason,
    },
    /// That member was asked, and does not say so.
    Acquitted {
        /// Who.
        name: MemberName,
    },
    /// It would have to take a new snapshot, and no node could give one.
    WaitsForOwner(FenceReason),
    /// Its owner lets it go on with what it has.
    Unfenced,
    /// A stamp is more than an hour ahead of this node's clock.
    FutureStamp {
        /// Who sent it.
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
        /// The other's name.
        name: MemberName,
        /// The other's cluster, as `OSC_CLUSTER_ID` names it.
        cluster: String,
        /// Why.
        refusal: Refusal,
    },
    /// It holds rows but belongs to no cluster, and meets one.
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
        /// How many are older than what is lost, and were kept as losers of conflicts.
        set_aside: u64,
    },
    /// A stored row is damaged; it is asked for elsewhere.
    DamagedRow(Identity),
    /// A row arrived damaged and was left out.
    DamagedArrival {
        /// Who sent it.
        name: MemberName,
    },
    /// A row was missing or old here although everything had arrived; another member had it.
    DigestRepaired {
        /// Which.
        identity: Identity,
        /// Whose row it was.
        name: MemberName,
    },
    /// One member has a row that this node has not, and that may have been deleted for good.
    HeldByOneOnly {
        /// Which.
        identity: Identity,
        /// Who has it.
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
