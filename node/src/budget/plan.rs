//! The division of the memory: one figure, its shares, and the settings of them. Pure.

use std::fmt;

/// The memory where neither a setting nor a cgroup gives a figure: 160 MiB.
const FALLBACK: usize = 160 << 20;
/// The part of a cgroup's limit that is planned; the rest is for the program itself and for memory that allocators keep.
const PERCENT_OF_LIMIT: usize = 60;

/// One kind of use of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Connections and headers.
    Connections,
    /// Bodies of clients' requests.
    Bodies,
    /// Answers that clients have not taken yet.
    Answers,
    /// Trees of JSON, and work for large values.
    Values,
    /// Messages of other nodes.
    Peers,
    /// SQLite, and the caches of rows and keys: the rest of the memory.
    Store,
}

impl Share {
    /// All shares, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Connections,
        Self::Bodies,
        Self::Answers,
        Self::Values,
        Self::Peers,
        Self::Store,
    ];

    /// The setting for another size of the share, without `OSC_`.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Connections => "CONNECTION_MEMORY_BYTES",
            Self::Bodies => "BODY_MEMORY_BYTES",
            Self::Answers => "ANSWER_MEMORY_BYTES",
            Self::Values => "VALUE_MEMORY_BYTES",
            Self::Peers => "PEER_MEMORY_BYTES",
            Self::Store => "STORE_MEMORY_BYTES",
        }
    }

    /// Its part of the whole, in percent; the store has the rest.
    pub const fn percent(self) -> usize {
        match self {
            Self::Connections | Self::Store => 20,
            Self::Bodies | Self::Answers | Self::Values | Self::Peers => 15,
        }
    }
}

/// Where the figure that is divided comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemorySource {
    /// The figure is that of `OSC_MEMORY_BYTES`.
    Setting,
    /// 60 % of the cgroup's limit, in bytes.
    Cgroup(u64),
    /// There is no limit.
    Unlimited,
}

/// How many bytes each share has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    total: usize,
    source: MemorySource,
    shares: [usize; 6],
}

/// Shares that do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// All shares together, in bytes.
    pub sum: usize,
    /// The whole memory.
    pub total: usize,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sum, total } = self;
        write!(f, "is {total}, but its shares are {sum} bytes together:")?;
        for share in Share::ALL {
            write!(f, " OSC_{}", share.setting())?;
        }
        f.write_str("; raise it, or lower those that are set")
    }
}

impl MemoryPlan {
    /// Divides the memory. `total` is the value of `OSC_MEMORY_BYTES`, `limit` the cgroup's; `sizes` has the shares to which
    /// the settings give another size, in bytes.
    pub fn new(
        total: Option<usize>,
        limit: Option<u64>,
        sizes: impl Fn(Share) -> Option<usize>,
    ) -> Result<Self, PlanError> {
        let (total, source) = match (total, limit) {
            (Some(total), _) => (total, MemorySource::Setting),
            (None, Some(limit)) => {
                let limit_here = usize::try_from(limit).unwrap_or(usize::MAX);
                (
                    limit_here / 100 * PERCENT_OF_LIMIT,
                    MemorySource::Cgroup(limit),
                )
            }
            (None, None) => (FALLBACK, MemorySource::Unlimited),
        };
        let mut shares =
            Share::ALL.map(|share| sizes(share).unwrap_or(total / 100 * share.percent()));
        let [others @ .., store] = &mut shares;
        let others = others
            .iter()
            .fold(0, |sum: usize, share| sum.saturating_add(*share));
        if sizes(Share::Store).is_none() && (others < total) {
            *store = total - others;
        }
        let sum = others.saturating_add(*store);
        if sum > total {
            return Err(PlanError { sum, total });
        }
        Ok(Self {
            total,
            source,
            shares,
        })
    }

    /// The plan of a node without settings and without a limit.
    pub fn fallback() -> Self {
        let mut shares = Share::ALL.map(|share| FALLBACK / 100 * share.percent());
        let [others @ .., store] = &mut shares;
        *store = FALLBACK - others.iter().sum::<usize>();
        Self {
            total: FALLBACK,
            source: MemorySource::Unlimited,
            shares,
        }
    }

    /// The whole memory, in bytes.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Where that figure comes from.
    pub fn source(&self) -> MemorySource {
        self.source
    }

    /// The bytes of a share.
    pub fn bytes(&self, share: Share) -> usize {
        let [connections, bodies, answers, values, peers, store] = self.shares;
        match share {
            Share::Connections => connections,
            Share::Bodies => bodies,
            Share::Answers => answers,
            Share::Values => values,
            Share::Peers => peers,
            Share::Store => store,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(total: Option<usize>, limit: Option<u64>) -> MemoryPlan {
        MemoryPlan::new(total, limit, |_| None).unwrap()
    }

    #[test]
    fn a_pod_of_256_mib_plans_with_three_fifths_of_it() {
        let plan = plan(None, Some(256 << 20));
        assert_eq!(plan.total() >> 20, 153);
        assert_eq!(plan.bytes(Share::Connections) >> 20, 30);
        assert_eq!(plan.bytes(Share::Bodies) >> 20, 23);
        assert_eq!(plan.bytes(Share::Store) >> 20, 30);
    }

    #[test]
    fn the_setting_comes_before_the_cgroup_and_the_cgroup_before_the_default() {
        assert_eq!(plan(Some(100 << 20), Some(1 << 30)).total(), 100 << 20);
        assert_eq!(plan(None, None).total(), 160 << 20);
        assert_eq!(plan(None, None), MemoryPlan::fallback());
    }

    #[test]
    fn a_larger_share_takes_from_the_store_but_not_all_of_it() {
        let with_bodies = |bytes| {
            MemoryPlan::new(Some(100 << 20), None, |share| {
                (share == Share::Bodies).then_some(bytes)
            })
        };
        let plan = with_bodies(30 << 20).unwrap();
        assert_eq!(plan.bytes(Share::Store) >> 20, 5);
        let error = with_bodies(60 << 20).unwrap_err();
        assert!(error.sum > error.total);
        assert!(
            error.to_string().contains("OSC_BODY_MEMORY_BYTES"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn shares_are_never_more_than_the_whole(total in 0_usize..1 << 40, set in proptest::collection::vec(proptest::option::of(0_usize..1 << 40), 6)) {
            let size = |share| Share::ALL.iter().position(|other| *other == share).and_then(|at| set[at]);
            if let Ok(plan) = MemoryPlan::new(Some(total), None, size) {
                let sum: usize = Share::ALL.iter().map(|share| plan.bytes(*share)).sum();
                prop_assert!(sum <= total);
            }
        }
    }
}
