//! The rules that carry the promises, each by name, so that the simulator can leave one out and see what breaks.

/// A rule without which some promise fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A new stamp is later than the one it replaces.
    StampAboveStored,
    /// A new stamp is later than the one that its caller names.
    StampAboveNamed,
    /// A caller names nothing that is far ahead of all that this node has heard of.
    NamedVersionsAreBounded,
    /// The clock takes over every reading that it sees, however far ahead.
    MergeClocks,
    /// A tombstone for an entry that was never seen is kept.
    KeepUnknownTombstones,
    /// A tombstone is purged only when every incarnation of the roster has acknowledged it.
    PurgeWaitsForAll,
    /// A tombstone is purged only when what its members had said before they knew of it has arrived.
    PurgeWaitsForWhatIsUnderWay,
    /// A node below a purge mark joins anew.
    HonourPurgeMarks,
    /// So does one below a mark that stood before another one's snapshot was made.
    PurgeMarksAreInherited,
    /// What the roster says, it says of an incarnation, not of a name.
    RosterByIncarnation,
    /// A removed or superseded node is fenced.
    FenceRemoved,
    /// A node whose database went back is fenced.
    FenceRolledBack,
    /// A node acknowledges nothing before it is a member.
    JoinersDoNotAcknowledge,
    /// A push that would leave a gap is refused.
    RefuseGaps,
    /// A member gets what it wrote, unless it reported that itself: its database may have gone back unnoticed.
    WritersAreToldWhatTheyMayLack,
    /// A joined node's snapshot is passed over only by those who hold what its source held.
    SnapshotsAreFedToThoseBehind,
    /// What a fenced node brings back keeps its stamps.
    OwnStamps,
    /// A node bootstraps only when the cluster admin orders it, once, and where it reaches no cluster.
    BootstrapIsInstructed,
    /// A node bootstraps only when nothing that a node of another cluster sent can be under way.
    BootstrapWaitsForLostNodes,
    /// A blank node joins none of two clusters that it hears of.
    BlankJoinsNoneOfTwo,
    /// Nodes of another cluster id, cluster uid or salt are refused.
    StrangersAreRefused,
    /// A leaving node stays until all others hold what it holds.
    LeavingPushesAll,
    /// A node is ready only once it has passed what the others had.
    ReadyWaitsForHeads,
    /// A removal is void when its issuer was removed before.
    EarlierRemovalsWin,
    /// A node that is refused as a removed one sends what it knows of the roster: the removal may be void.
    RemovalsAreJudgedTogether,
    /// A write commits only over the row that its caller saw.
    WritesCheckWhatWasSeen,
    /// What members hold differently for two rounds of digests is repaired.
    DigestsAreCompared,
    /// A row that may have been deleted and purged is not taken back because one member still has it.
    OneMemberBringsNothingBack,
    /// What a digest shows is missed only once the feed is held to the place where the digest was made.
    RepairsWaitForTheFeed,
    /// A difference is shown only once both members hold each other's feed to where it was found first.
    MismatchesWaitForTheFeed,
    /// Federated: the node that bootstraps is the home node of the entries that it has.
    BootstrapNodeIsHome,
    /// Federated: a value is held exactly as long as the directory names it.
    ValuesFollowTheDirectory,
    /// Federated: the loser of a conflict is kept by its home node, with its value, and by no node without.
    LosersKeepTheirValues,
    /// Federated: a node has not left before others own what it owned.
    LeavingHandsValuesOver,
    /// Federated: a value is taken over only where it is the one that the directory names.
    AdoptedValuesAreTheOnes,
    /// Federated: a value that changes its owner comes right after the version that it had: it beats nothing later.
    OwnersWriteNothingNew,
    /// Federated: a node that began a new life owns the values of its earlier one again.
    ValuesAreTakenBack,
    /// Federated: an earlier value does not pass for the one that is lost.
    EarlierValuesDoNotStandIn,
    /// Federated: an earlier value of an entry whose value is lost is kept as the loser of a conflict.
    EarlierValuesAreSetAside,
    /// Federated: an earlier value that was set aside is taken back where the directory turns out to name it.
    ValuesAreFoundAgain,
    /// Federated: a node that has values to take back says so: no node may take them for lost.
    TakingBackIsTold,
    /// A greeting that arrives may be forged: what it says counts once its member, asked at its own address, says so too.
    GreetingsAreAskedFor,
    /// A node that may have missed deletes gives no snapshots before that is settled.
    SuspectsGiveNoSnapshots,
    /// A node that no other could give a snapshot is not fenced: it waits for the cluster admin.
    LastSourcesWait,
    /// A roster or a snapshot with a stamp that no clock can have made is damaged.
    StampsHaveAnEnd,
    /// A roster with a stamp that is far ahead is taken from members only.
    OnlyMembersMoveClocks,
    /// What another node knows of the roster is asked for: what arrives by itself may be forged.
    RostersAreAskedFor,
    /// The source of a snapshot admits the node that takes it, before it gives the last page.
    SourcesAdmit,
    /// A node that this one does not know admits no other.
    StrangersAdmitNobody,
    /// A node asks only where the list leads, or where a member is.
    StrangersAreNotDialled,
}

impl Rule {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::StampAboveStored,
        Self::StampAboveNamed,
        Self::NamedVersionsAreBounded,
        Self::MergeClocks,
        Self::KeepUnknownTombstones,
        Self::PurgeWaitsForAll,
        Self::PurgeWaitsForWhatIsUnderWay,
        Self::HonourPurgeMarks,
        Self::PurgeMarksAreInherited,
        Self::RosterByIncarnation,
        Self::FenceRemoved,
        Self::FenceRolledBack,
        Self::JoinersDoNotAcknowledge,
        Self::RefuseGaps,
        Self::WritersAreToldWhatTheyMayLack,
        Self::SnapshotsAreFedToThoseBehind,
        Self::OwnStamps,
        Self::BootstrapIsInstructed,
        Self::BootstrapWaitsForLostNodes,
        Self::BlankJoinsNoneOfTwo,
        Self::StrangersAreRefused,
        Self::LeavingPushesAll,
        Self::ReadyWaitsForHeads,
        Self::EarlierRemovalsWin,
        Self::RemovalsAreJudgedTogether,
        Self::WritesCheckWhatWasSeen,
        Self::DigestsAreCompared,
        Self::OneMemberBringsNothingBack,
        Self::RepairsWaitForTheFeed,
        Self::MismatchesWaitForTheFeed,
        Self::BootstrapNodeIsHome,
        Self::ValuesFollowTheDirectory,
        Self::LosersKeepTheirValues,
        Self::LeavingHandsValuesOver,
        Self::AdoptedValuesAreTheOnes,
        Self::OwnersWriteNothingNew,
        Self::ValuesAreTakenBack,
        Self::EarlierValuesDoNotStandIn,
        Self::EarlierValuesAreSetAside,
        Self::ValuesAreFoundAgain,
        Self::TakingBackIsTold,
        Self::GreetingsAreAskedFor,
        Self::SuspectsGiveNoSnapshots,
        Self::LastSourcesWait,
        Self::StampsHaveAnEnd,
        Self::OnlyMembersMoveClocks,
        Self::RostersAreAskedFor,
        Self::SourcesAdmit,
        Self::StrangersAdmitNobody,
        Self::StrangersAreNotDialled,
    ];
}

/// The rules in force: all of them. Only tests can leave one out, to show what it is for (feature `rule-switches`): in a program that
/// is released no switch exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    #[cfg(feature = "rule-switches")]
    broken: Option<Rule>,
}

impl Rules {
    /// All rules.
    pub const ALL: Self = Self {
        #[cfg(feature = "rule-switches")]
        broken: None,
    };

    /// All rules but one.
    #[cfg(feature = "rule-switches")]
    #[must_use]
    pub const fn without(rule: Rule) -> Self {
        Self { broken: Some(rule) }
    }

    /// Whether a rule is in force.
    #[cfg(feature = "rule-switches")]
    pub fn hold(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    /// Whether a rule is in force: each is.
    #[cfg(not(feature = "rule-switches"))]
    pub const fn hold(self, _: Rule) -> bool {
        true
    }
}
