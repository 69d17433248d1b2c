//! How volumes become larger: first each claim requests the size, then its file system gets it, then the StatefulSet's template
//! follows. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{VolumeClaim, VolumeSize};
use crate::cluster::stalled::Stalled;

/// Whether volumes of a storage class can grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expansion {
    /// They can.
    Allowed,
    /// The class does not allow expansion.
    NotAllowed,
    /// There is no such class.
    NoClass,
    /// This operator may not read the class.
    Unknown,
}

/// The input of the plan.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    /// The size in the resource.
    pub(super) wanted: Option<VolumeSize>,
    /// The size in the StatefulSet's template; `None` where there is no set.
    pub(super) template: Option<VolumeSize>,
    /// The number of nodes: kept volumes of others stay as they are.
    pub(super) nodes: i32,
    /// The cluster's claims.
    pub(super) claims: &'a [VolumeClaim],
}

/// The plan for the sizes of volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Growth {
    /// Nothing to do.
    #[default]
    Settled,
    /// Nothing to do until a user acts.
    Stalled {
        /// Why.
        why: Stalled,
        /// The size that new volumes get meanwhile, where it differs from the requested one.
        template: Option<VolumeSize>,
    },
    /// Volumes become larger.
    Growing {
        /// The requests for claims.
        asks: Vec<Ask>,
        /// How far it is.
        progress: Progress,
    },
    /// All volumes have their size, and the StatefulSet's template has not.
    Following {
        /// How far it is.
        progress: Progress,
    },
}

/// A claim that is to ask for another size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The claim.
    pub claim: VolumeClaim,
    /// The size.
    pub size: VolumeSize,
}

/// How many volumes have the requested size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The volumes that have it.
    pub done: usize,
    /// All volumes.
    pub count: usize,
    /// The size.
    pub size: VolumeSize,
    /// The drivers' reports on the others.
    pub failures: Vec<String>,
}

impl Growth {
    /// The reason to wait, where a user has to act.
    pub(in crate::cluster) fn stalled(&self) -> Option<&Stalled> {
        match self {
            Self::Stalled { why, .. } => Some(why),
            Self::Settled | Self::Growing { .. } | Self::Following { .. } => None,
        }
    }

    /// The part of it that waits while the resource is paused.
    pub(in crate::cluster) fn waits(&self) -> Option<String> {
        match self {
            Self::Settled => None,
            Self::Growing { asks, .. } if asks.is_empty() => None,
            Self::Growing { progress, .. } | Self::Following { progress } => {
                Some(format!("volumes get {}", progress.size))
            }
            Self::Stalled { why, .. } => Some(why.message.clone()),
        }
    }

    /// The message in the status while it goes on.
    pub(in crate::cluster) fn message(&self) -> Option<String> {
        match self {
            Self::Settled | Self::Stalled { .. } => None,
            Self::Growing { progress, .. } => Some(progress.words()),
            Self::Following { progress } => Some(format!(
                "{}; the StatefulSet is made anew with it, and its pods run on",
                progress.words()
            )),
        }
    }
}

impl Progress {
    fn words(&self) -> String {
        let Self {
            done,
            count,
            size,
            failures,
        } = self;
        let far = match (done, count) {
            (1, 1) => format!("1 of 1 volume has {size}"),
            (_, 1) => format!("the volume grows to {size}"),
            (1, _) => format!("1 of {count} volumes has {size}"),
            _ => format!("{done} of {count} volumes have {size}"),
        };
        let failures = failures.iter().map(|failure| format!("; {failure}"));
        std::iter::once(far).chain(failures).collect()
    }
}

/// The classes that have to let volumes grow.
pub(super) fn classes_asked(situation: &Situation<'_>) -> BTreeSet<String> {
    let Some(wanted) = &situation.wanted else {
        return BTreeSet::new();
    };
    let raised = situation.counted().filter(|claim| raises(claim, wanted));
    raised.filter_map(class).map(str::to_owned).collect()
}

/// Decides.
pub(super) fn plan(situation: &Situation<'_>, classes: &BTreeMap<String, Expansion>) -> Growth {
    let Some(wanted) = &situation.wanted else {
        return Growth::Settled;
    };
    if let Some(largest) = situation.too_large(wanted) {
        return Growth::Stalled {
            why: would_shrink(largest, wanted),
            template: Some(largest.clone()),
        };
    }
    let mut raised = situation.counted().filter(|claim| raises(claim, wanted));
    let refusing = raised.find_map(|claim| Some((claim, refusal(claim, classes)?)));
    if let Some((claim, why)) = refusing {
        return Growth::Stalled {
            why: no_expansion(claim, &why, wanted, situation),
            template: None,
        };
    }
    let lacking: Vec<_> = situation
        .counted()
        .filter(|claim| claim.capacity.as_ref() < Some(wanted))
        .collect();
    let given_up = lacking
        .iter()
        .find(|claim| claim.is_infeasible && claim.requested.as_ref() == Some(wanted));
    if let Some(claim) = given_up {
        return Growth::Stalled {
            why: failed(claim, wanted, situation),
            template: None,
        };
    }
    let count = situation.counted().count();
    let progress = Progress {
        done: count - lacking.len(),
        count,
        size: wanted.clone(),
        failures: lacking
            .iter()
            .filter_map(|claim| {
                let failure = claim.failure.as_ref()?;
                Some(format!("volume {}: {failure}", claim.name))
            })
            .collect(),
    };
    let asks: Vec<_> = situation
        .counted()
        .filter_map(|claim| ask(claim, wanted))
        .collect();
    if !asks.is_empty() || !lacking.is_empty() {
        return Growth::Growing { asks, progress };
    }
    match &situation.template {
        Some(template) if template != wanted => Growth::Following { progress },
        _ => Growth::Settled,
    }
}

/// The request for a claim, where it differs from the present one.
fn ask(claim: &VolumeClaim, wanted: &VolumeSize) -> Option<Ask> {
    let (requested, capacity) = (claim.requested.as_ref()?, claim.capacity.as_ref()?);
    // A larger request of another writer is theirs to take back.
    if requested > wanted && claim.asked.as_ref() != Some(requested) {
        return None;
    }
    let size = if capacity < wanted {
        wanted.clone()
    } else if requested > wanted {
        // The claim waits for more than is wanted now. Kubernetes lowers a request only to a size above the capacity.
        capacity.just_above().min(requested.clone())
    } else {
        return None;
    };
    (size != *requested && (capacity < wanted || requested > capacity)).then(|| Ask {
        claim: claim.clone(),
        size,
    })
}

impl<'a> Situation<'a> {
    /// The claims with volumes of the nodes that there are.
    fn counted(&self) -> impl Iterator<Item = &'a VolumeClaim> {
        let nodes = usize::try_from(self.nodes).unwrap_or_default();
        let claims = self.claims.iter();
        claims.filter(move |claim| {
            claim.ordinal < nodes
                && !claim.is_ending
                && claim.capacity.is_some()
                && claim.requested.is_some()
        })
    }

    /// The size of a volume that is larger than requested, where the size is to go down.
    fn too_large(&self, wanted: &VolumeSize) -> Option<&'a VolumeSize> {
        let goes_down = self.template.as_ref().is_none_or(|now| wanted < now);
        let largest = self.counted().filter_map(VolumeClaim::held).max();
        largest.filter(|largest| goes_down && wanted < *largest)
    }
}

/// Whether a claim is to ask for more than before.
fn raises(claim: &VolumeClaim, wanted: &VolumeSize) -> bool {
    claim.capacity.as_ref() < Some(wanted) && claim.requested.as_ref() < Some(wanted)
}

fn class(claim: &VolumeClaim) -> Option<&str> {
    claim.class.as_deref().filter(|class| !class.is_empty())
}

/// Why a claim cannot grow, and a possible remedy.
fn refusal(claim: &VolumeClaim, classes: &BTreeMap<String, Expansion>) -> Option<String> {
    let Some(class) = class(claim) else {
        return Some("it has no StorageClass that could let it grow".to_owned());
    };
    match classes.get(class) {
        Some(Expansion::NotAllowed) => Some(format!(
            "StorageClass '{class}' does not allow it. If its driver can do it: kubectl patch storageclass {class} \
             -p '{{\"allowVolumeExpansion\":true}}'"
        )),
        Some(Expansion::NoClass) => Some(format!(
            "its StorageClass '{class}' does not exist any more. Create it with allowVolumeExpansion: true"
        )),
        Some(Expansion::Allowed | Expansion::Unknown) | None => None,
    }
}

/// The reason where a class does not let volumes grow.
const NO_EXPANSION: &str = "VolumesCannotGrow";

fn no_expansion(
    claim: &VolumeClaim,
    why: &str,
    wanted: &VolumeSize,
    situation: &Situation<'_>,
) -> Stalled {
    Stalled {
        reason: NO_EXPANSION,
        message: format!(
            "volume {} cannot grow to {wanted}: {why}. Or {}. Or create another cluster with another storage.storageClassName and copy the \
             entries",
            claim.name,
            back(situation)
        ),
    }
}

fn failed(claim: &VolumeClaim, wanted: &VolumeSize, situation: &Situation<'_>) -> Stalled {
    let words = claim.failure.as_deref().unwrap_or("it does not say why");
    Stalled {
        reason: "VolumeGrowthFailed",
        message: format!(
            "the driver of volume {} has given up growing it to {wanted}: {words}. Remove the cause, and the driver tries again; or {}",
            claim.name,
            back(situation)
        ),
    }
}

/// The reason where the operator may not have volumes grow.
const FORBIDDEN: &str = "VolumeGrowthForbidden";

impl Growth {
    /// A wait where the API server refuses the next step, in its words. All other changes of the cluster go on.
    pub(in crate::cluster) fn forbidden(&self, namespace: &str, words: &str) -> Option<Stalled> {
        let (progress, right, lack) = match self {
            Self::Growing { progress, .. } => (
                progress,
                "patch persistentvolumeclaims",
                "volumes do not grow",
            ),
            Self::Following { progress } => (
                progress,
                "delete statefulsets.apps",
                "nodes that come later begin with the earlier size",
            ),
            Self::Settled | Self::Stalled { .. } => return None,
        };
        Some(Stalled {
            reason: FORBIDDEN,
            message: format!(
                "{}, and without one right {lack}: {words}. Grant the operator's service account to {right} in namespace {namespace} (SECURITY.md \
                 lists all its rights), or set storage.size back; nothing else waits for it",
                progress.words()
            ),
        })
    }
}

/// How to take a size back.
fn back(situation: &Situation<'_>) -> String {
    let largest = situation.counted().filter_map(VolumeClaim::held).max();
    match largest {
        Some(largest) => format!("set storage.size back to {largest}"),
        None => "set storage.size back".to_owned(),
    }
}

/// A wait where the resource names another class than that of the volumes.
pub(super) fn another_class(wanted: Option<&str>, there: Option<&str>) -> Option<Growth> {
    let words = |class: Option<&str>| match class {
        Some(class) => format!("'{class}'"),
        None => "none".to_owned(),
    };
    (wanted != there).then(|| Growth::Stalled {
        why: Stalled {
            reason: "StorageClassCannotChange",
            message: format!(
                "storage.storageClassName cannot be changed: volumes were made with {}, and {} is asked for. Set it back, or create another \
                 cluster and copy the entries",
                words(there),
                words(wanted)
            ),
        },
        template: None,
    })
}

fn would_shrink(largest: &VolumeSize, wanted: &VolumeSize) -> Stalled {
    Stalled {
        reason: "VolumeWouldShrink",
        message: format!(
            "volumes never shrink, and one has {largest} already: storage.size {wanted} is not taken. Set it to {largest} or more"
        ),
    }
}

#[cfg(test)]
mod tests;
