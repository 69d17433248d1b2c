//! The rules that carry the promises, each by name, so that the simulator can leave one out and show the fault.

/// A rule without which some promise fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub enum Rule {
    /// A new stamp is later than that of the replaced row.
    StampAboveStored,
    /// A new stamp is later than the reading that its caller names.
    StampAboveNamed,
    /// A caller may name no reading far ahead of all that this node has heard of.
    NamedVersionsAreBounded,
    /// The clock takes over every reading that it sees, however far ahead.
    MergeClocks,
    /// A tombstone for an entry that was never seen is kept.
    KeepUnknownTombstones,
    /// A tombstone is purged only when every incarnation of the roster has acknowledged it.
    PurgeWaitsForAll,
    /// A tombstone is purged only once all earlier messages of its members have arrived.
    PurgeWaitsForWhatIsUnderWay,
    /// A node below a purge mark joins anew.
    HonourPurgeMarks,
    /// So is a node below a mark from before another node's snapshot.
    PurgeMarksAreInherited,
    /// A fact in the roster concerns an incarnation, not a name.
    RosterByIncarnation,
    /// A removed or superseded node is fenced.
    FenceRemoved,
    /// A node whose database went back is fenced.
    FenceRolledBack,
    /// A node acknowledges nothing before it is a member.
    JoinersDoNotAcknowledge,
    /// A push that would leave a gap is refused.
    RefuseGaps,
    /// A member gets its own writes too, unless it reported them itself: its database may have gone back unnoticed.
    WritersAreToldWhatTheyMayLack,
    /// A node passes over what another one left out of a push only where it has read the feeds that have it.
    PassedOverChangesAreJudged,
    /// A joined node's snapshot is passed over only by members that hold its source's feed.
    SnapshotsAreFedToThoseBehind,
    /// A joined node reports its snapshot no more to a member that has acknowledged it: that one may have gone back.
    SnapshotsArePassedOverOnce,
    /// A snapshot is given up whose source purges deletes that are later than its first page.
    PurgesEndSnapshots,
    /// A joined node holds what its source held at the last page, once it has read the source's feed to there.
    SourcesBringCursors,
    /// A node joins anew whose snapshot rests on purges of a member that had removed a standing one in vain.
    VoidPurgesAreUndone,
    /// Rows that a fenced node brings back keep their stamps.
    OwnStamps,
    /// A node bootstraps only when the cluster admin orders it, once, and where it reaches no cluster.
    BootstrapIsInstructed,
    /// A node bootstraps only when no message of a node of another cluster can be under way.
    BootstrapWaitsForLostNodes,
    /// A blank node joins none of two clusters that it hears of.
    BlankJoinsNoneOfTwo,
    /// Nodes of another cluster id, cluster uid or salt are refused.
    StrangersAreRefused,
    /// A leaving node stays until all others hold its rows.
    LeavingPushesAll,
    /// A node that learns from others that it is leaving goes on leaving.
    LeavingIsResumed,
    /// A node is ready only once it has passed the heads of the others.
    ReadyWaitsForHeads,
    /// A node is ready only once the writes of the others wait for it.
    ReadyNodesAreWaitedFor,
    /// A node accepts writes only once it has been ready: before, it does not know which nodes must hold them.
    WritesWaitForReadiness,
    /// A removal is void when its issuer was removed before.
    EarlierRemovalsWin,
    /// Where all members are fenced, one whose removal turns out to be void goes on.
    VoidRemovalsAreUndone,
    /// A node that is refused as a removed one sends its roster: the removal may be void.
    RemovalsAreJudgedTogether,
    /// A write commits only over the row that its caller saw.
    WritesCheckWhatWasSeen,
    /// Rows that differ between members for two rounds of digests are repaired.
    DigestsAreCompared,
    /// A row that may have been deleted and purged does not come back because one member still has it.
    OneMemberBringsNothingBack,
    /// A row in a digest counts as missing only once the feed is held to the place of the digest.
    RepairsWaitForTheFeed,
    /// A difference is shown only once both members hold each other's feed to where it was found first.
    MismatchesWaitForTheFeed,
    /// Federated: the node that bootstraps is the home node of the entries that it has.
    BootstrapNodeIsHome,
    /// Federated: a value is held exactly as long as the directory names it.
    ValuesFollowTheDirectory,
    /// Federated: the loser of a conflict is kept by its home node, with its value, and by no node without.
    LosersKeepTheirValues,
    /// Federated: a node has not left before others own its values.
    LeavingHandsValuesOver,
    /// Federated: a node adopts a value only where the directory names that very value.
    AdoptedValuesAreTheOnes,
    /// Federated: a value that changes its owner comes right after its earlier version: it beats no later write.
    OwnersWriteNothingNew,
    /// Federated: a node that began a new life owns the values of its earlier one again.
    ValuesAreTakenBack,
    /// Federated: an earlier value does not stand in for a lost one.
    EarlierValuesDoNotStandIn,
    /// Federated: an earlier value of an entry whose value is lost is kept as the loser of a conflict.
    EarlierValuesAreSetAside,
    /// Federated: an earlier value that was set aside is taken back where the directory turns out to name it.
    ValuesAreFoundAgain,
    /// Federated: a node that has values to take back reports it: no node may count them as lost.
    TakingBackIsTold,
    /// A greeting that arrives may be forged: an accusation counts once the member, asked at its own address, confirms it.
    GreetingsAreAskedFor,
    /// A node that may have missed deletes gives no snapshots before the suspicion is settled.
    SuspectsGiveNoSnapshots,
    /// A joining node becomes no member while it may have missed deletes: as a member it would stand by writes.
    SuspectsBecomeNoMembers,
    /// A restart forgets no suspicion.
    SuspicionsAreKept,
    /// A member whose database went back accuses no other: its purges since then waited for no node.
    RolledBackNodesAccuseNobody,
    /// A node that no other could give a snapshot is not fenced: it waits for the cluster admin.
    LastSourcesWait,
    /// A node that joins goes on without the deletes that the cluster admin lets its source go on without.
    ForgivenessIsInherited,
    /// A roster or a snapshot with a stamp that no clock can have made is damaged.
    StampsHaveAnEnd,
    /// A roster with a stamp that is far ahead is taken from members only.
    OnlyMembersMoveClocks,
    /// A node asks for the roster of another: a roster that arrives by itself may be forged.
    RostersAreAskedFor,
    /// A request for a snapshot that is late admits no node: it is of an earlier process of that name.
    LateRequestsAdmitNobody,
    /// The source of a snapshot admits the node that takes it, before it gives the last page.
    SourcesAdmit,
    /// An unknown node admits no other.
    StrangersAdmitNobody,
    /// A node sends requests only where the list leads, or where a member is.
    StrangersAreNotDialled,
    /// A node acknowledges nothing to an unknown node: what it notes of that one is gone after a restart.
    StrangersGetNoAcknowledgements,
    /// What a node notes of an unknown node it stores once its roster knows that one, and forgets with its greeting.
    StrangersAreForgotten,
}

impl Rule {
    /// All rules.
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
        Self::PassedOverChangesAreJudged,
        Self::SnapshotsAreFedToThoseBehind,
        Self::SnapshotsArePassedOverOnce,
        Self::PurgesEndSnapshots,
        Self::SourcesBringCursors,
        Self::VoidPurgesAreUndone,
        Self::OwnStamps,
        Self::BootstrapIsInstructed,
        Self::BootstrapWaitsForLostNodes,
        Self::BlankJoinsNoneOfTwo,
        Self::StrangersAreRefused,
        Self::LeavingPushesAll,
        Self::LeavingIsResumed,
        Self::ReadyWaitsForHeads,
        Self::ReadyNodesAreWaitedFor,
        Self::WritesWaitForReadiness,
        Self::EarlierRemovalsWin,
        Self::VoidRemovalsAreUndone,
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
        Self::SuspectsBecomeNoMembers,
        Self::SuspicionsAreKept,
        Self::RolledBackNodesAccuseNobody,
        Self::LastSourcesWait,
        Self::ForgivenessIsInherited,
        Self::StampsHaveAnEnd,
        Self::OnlyMembersMoveClocks,
        Self::RostersAreAskedFor,
        Self::SourcesAdmit,
        Self::LateRequestsAdmitNobody,
        Self::StrangersAdmitNobody,
        Self::StrangersAreNotDialled,
        Self::StrangersGetNoAcknowledgements,
        Self::StrangersAreForgotten,
    ];
}

/// The rules in force: all of them. Only tests can leave one out, to show why it is needed (feature `rule-switches`): a
/// released program has no switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
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

    /// All rules except one.
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
