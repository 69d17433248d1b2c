//! The events of a world: the acts of users, the faults meanwhile, and how soon kubelets follow.

use std::time::Duration;

use crate::{faults::Trouble, kubernetes::files::Pace};

/// An act of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Image,
    /// A user cannot decide between two images.
    OneOfTwoImages,
    Restart,
    Scale,
    Hibernate,
    Wake,
    Grow,
    Rebuild,
    RebuildByForce,
    /// The same of the only node.
    RebuildTheOnlyOne,
    /// An administrator deletes a pod.
    DrainOne,
    /// An administrator evicts a pod, as far as the disruption budget allows it.
    DrainByTheBook,
    CrashOne,
    LoseSalt,
    LoseDisk,
    Pause,
    GoOn,
    PartNodes,
    JoinNodes,
    RestartOperator,
    AnotherOperator,
    NewRelease,
    /// The machine of an operator stands still.
    FreezeOperator,
    /// A user changes objects of operators by hand.
    DeleteService,
    DeleteKey,
    EditFiles,
    /// Rights are taken away, and given back.
    TakeRights,
    GiveRights,
    /// No pod more is allowed, and some are again.
    NoQuota,
    Quota,
    /// A user asks for another API key, and ends the previous one, even where no status advised it.
    RotateKey,
    EndKey,
    /// A user wants certificates for another name, or another authority.
    NameAnew,
    RotateAuthority,
    /// Secrets with certificates are lost.
    LoseAuthority,
    LoseLeaf,
    /// A hundred days pass, or four hundred without any operator.
    PassSeason,
    PassYearAlone,
}

impl Act {
    pub(crate) const ALL: &[Self] = &[
        Self::Image,
        Self::Image,
        Self::Restart,
        Self::Scale,
        Self::Scale,
        Self::Hibernate,
        Self::Wake,
        Self::Grow,
        Self::Rebuild,
        Self::RebuildByForce,
        Self::DrainOne,
        Self::DrainByTheBook,
        Self::CrashOne,
        Self::LoseSalt,
        Self::LoseDisk,
        Self::Pause,
        Self::GoOn,
        Self::GoOn,
        Self::PartNodes,
        Self::JoinNodes,
        Self::RestartOperator,
        Self::AnotherOperator,
        Self::NewRelease,
        Self::FreezeOperator,
        Self::FreezeOperator,
        Self::DeleteService,
        Self::DeleteKey,
        Self::EditFiles,
        Self::TakeRights,
        Self::GiveRights,
        Self::NoQuota,
        Self::Quota,
        Self::RotateKey,
        Self::EndKey,
        Self::NameAnew,
        Self::RotateAuthority,
        Self::LoseAuthority,
        Self::LoseLeaf,
        Self::PassSeason,
        Self::PassYearAlone,
    ];
    /// Acts on keys and certificates, and acts that disturb them.
    const EXCHANGES: &[Self] = &[
        Self::RotateKey,
        Self::RotateKey,
        Self::EndKey,
        Self::NameAnew,
        Self::RotateAuthority,
        Self::RotateAuthority,
        Self::LoseAuthority,
        Self::LoseLeaf,
        Self::PassSeason,
        Self::PassYearAlone,
        Self::CrashOne,
        Self::DrainOne,
        Self::Image,
        Self::Scale,
        Self::Pause,
        Self::GoOn,
        Self::RestartOperator,
        Self::AnotherOperator,
        Self::FreezeOperator,
    ];
    /// While a cluster comes into being.
    pub(crate) const BEGINNING: &[Self] = &[
        Self::CrashOne,
        Self::PartNodes,
        Self::JoinNodes,
        Self::RestartOperator,
        Self::AnotherOperator,
    ];
}

/// How long faults go on in most worlds.
const CHAOS: Duration = Duration::from_mins(2);
/// An exchange of the authority takes some minutes, with time for many faults.
const LONG_CHAOS: Duration = Duration::from_mins(12);
/// How long a world may take to settle after that.
const REST: Duration = Duration::from_mins(15);
/// Two exchanges in a row take a quarter of an hour.
const LONG_REST: Duration = Duration::from_mins(30);

/// Whether volumes go with their StatefulSet (`storage.retention.whenDeleted`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Volumes {
    Stay,
    GoInSomeWorlds,
    Go,
}

/// The events of a world.
#[derive(Debug)]
pub(crate) struct Plot {
    /// The acts of users once the cluster has been bootstrapped.
    pub(crate) menu: &'static [Act],
    pub(crate) trouble: Trouble,
    /// How long faults go on.
    pub(crate) chaos: Duration,
    /// How long the world may take to settle after that.
    pub(crate) rest: Duration,
    /// The longest time that an ordinary run spends on such worlds.
    pub(crate) run: Duration,
    /// Whether there are two operators from the beginning on.
    pub(crate) is_crowded: bool,
    /// How soon kubelets bring changes.
    pub(crate) pace: Pace,
    /// Whether operators may be elected by a Lease, as on Kubernetes; otherwise all of them act at once.
    pub(crate) may_elect: bool,
    /// Whether the pods have a disruption budget.
    pub(crate) has_budget: bool,
    /// Whether volumes go with their StatefulSet.
    pub(crate) volumes: Volumes,
}

impl Plot {
    /// Everything.
    pub(crate) const ANY: Self = Self {
        may_elect: true,
        pace: Pace::Any,
        rest: LONG_REST,
        run: Duration::from_secs(25),
        volumes: Volumes::GoInSomeWorlds,
        ..Self::of(Act::ALL).with(Trouble::Everything)
    };

    /// Keys and certificates are exchanged all the time.
    pub(crate) const EXCHANGES: Self = Self {
        may_elect: true,
        pace: Pace::Any,
        chaos: LONG_CHAOS,
        rest: LONG_REST,
        ..Self::of(Act::EXCHANGES)
    };

    pub(crate) const fn of(menu: &'static [Act]) -> Self {
        Self {
            menu,
            trouble: Trouble::Any,
            chaos: CHAOS,
            rest: REST,
            run: Duration::from_secs(10),
            pace: Pace::Quick,
            is_crowded: false,
            may_elect: false,
            has_budget: true,
            volumes: Volumes::Stay,
        }
    }

    /// The same with volumes that go with their StatefulSet.
    pub(crate) const fn with_volumes_that_go(self) -> Self {
        Self {
            volumes: Volumes::Go,
            ..self
        }
    }

    /// The same without a disruption budget, which would hide what the operator does.
    pub(crate) const fn without_budget(self) -> Self {
        Self {
            has_budget: false,
            ..self
        }
    }

    /// The same with two operators.
    pub(crate) const fn crowded(self) -> Self {
        Self {
            is_crowded: true,
            ..self
        }
    }

    /// The same with kubelets that take the longest time allowed.
    pub(crate) const fn slowly(self) -> Self {
        Self {
            pace: Pace::Slow,
            ..self
        }
    }

    /// The same where it is soon seen that a world does not come to rest.
    pub(crate) const fn impatiently(self) -> Self {
        Self {
            rest: Duration::from_mins(5),
            ..self
        }
    }

    /// The same with this trouble.
    pub(crate) const fn with(self, trouble: Trouble) -> Self {
        Self { trouble, ..self }
    }
}
