//! The rules that keep data and availability, each by name, so that the simulator can leave one out and show the fault.

/// A rule without which some promise fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A pod is replaced only while all others exist and serve.
    PodsGoOneAtATime,
    /// A pod is replaced only while no node lacks rows of others.
    ReplacedNodesAreInSync,
    /// Only the very pod or claim that was judged is deleted.
    NothingElseIsDeleted,
    /// A serving pod is deleted only while the record that all operators share names it.
    ReplacementsAreRecorded,
    /// A serving pod goes only as far as the disruption budget allows it.
    BudgetsAreRespected,
    /// A node is instructed to bootstrap the cluster only once a mark names it.
    MarksComeBeforeOrders,
    /// A salt that another writer made meanwhile stands.
    SaltsAreMadeOnce,
    /// Where volumes exist, no salt is made.
    NoSaltIsMadeBesideVolumes,
    /// A node is taken away only once it has left.
    NodesLeaveBeforeTheyGo,
    /// A volume is given up only while the life that was named is on it.
    VolumesGoWithTheirLives,
    /// A volume is given up only once others hold its rows, unless a user forces it.
    VolumesAreHandedOver,
    /// The only node that serves keeps its volume, whatever a user forces.
    TheOnlyNodeStays,
    /// Nodes sleep only once nothing deletes their volumes.
    VolumesAreKeptInSleep,
    /// A StatefulSet is made anew only once nothing deletes volumes with it.
    VolumesAreKeptInGrowth,
    /// A StatefulSet that is made anew leaves its pods.
    SetsLeaveTheirPods,
    /// Callers are given another key only once every node that runs has proved that it accepts it.
    NodesProveKeys,
    /// The key that callers had stays accepted until a user ends it.
    OldKeysStay,
    /// A new authority signs only once every running node has proved that it accepts it, and the previous one goes only once no
    /// node shows a certificate that it signed.
    NodesProveAuthorities,
    /// A new authority signs only once clients have had the time to read it in their ConfigMap.
    ClientsReadAuthorities,
    /// The key of an authority stays as long as a node shows a certificate that it signed.
    AuthoritiesKeepTheirKeys,
    /// A leaf is renewed whether nodes answer or not.
    LeavesAreRenewedUnasked,
}

impl Rule {
    /// All rules.
    pub const ALL: &[Self] = &[
        Self::PodsGoOneAtATime,
        Self::ReplacedNodesAreInSync,
        Self::NothingElseIsDeleted,
        Self::ReplacementsAreRecorded,
        Self::BudgetsAreRespected,
        Self::MarksComeBeforeOrders,
        Self::SaltsAreMadeOnce,
        Self::NoSaltIsMadeBesideVolumes,
        Self::NodesLeaveBeforeTheyGo,
        Self::VolumesGoWithTheirLives,
        Self::VolumesAreHandedOver,
        Self::TheOnlyNodeStays,
        Self::VolumesAreKeptInSleep,
        Self::VolumesAreKeptInGrowth,
        Self::SetsLeaveTheirPods,
        Self::NodesProveKeys,
        Self::OldKeysStay,
        Self::NodesProveAuthorities,
        Self::ClientsReadAuthorities,
        Self::AuthoritiesKeepTheirKeys,
        Self::LeavesAreRenewedUnasked,
    ];
}

/// The rules in force: all of them. Only tests can leave one out, to show why it is needed (feature `rule-switches`): a
/// released program has no switch.
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
