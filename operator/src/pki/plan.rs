//! When authority and leaf are made anew, and in which order. A new authority is given to all nodes first, each running
//! node proves that it accepts it, only then leaves are signed by it, and the old one goes last: at no moment does a node
//! show what another one does not accept. Pure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{AltNames, Authority, Certificate, Fingerprint, Leaf, PrivateKeyPem};

/// A leaf is renewed at this age: nodes live ten months on without an operator.
const LEAF_RENEWAL: SignedDuration = SignedDuration::from_hours(24 * 60);
/// An authority is renewed this long before its end.
const AUTHORITY_RENEWAL: SignedDuration = SignedDuration::from_hours(24 * 365 * 2);
/// A leaf whose signer's key is lost waits for proofs until this long before its end.
const LAST_MOMENT: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Secrets reach pods within two minutes; a node that has not shown it after this time is reported.
const DISTRIBUTION: SignedDuration = SignedDuration::from_mins(10);
/// Clients read authorities from a ConfigMap, which reaches their pods as late as a Secret reaches the nodes' (at most a
/// minute and a half), and no client proves it: twice that.
const CLIENTS: SignedDuration = SignedDuration::from_mins(3);

/// What is stored of a cluster's certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredPki {
    /// The newest authority.
    pub authority: Option<Authority>,
    /// The one before it, while a renewal is under way.
    pub previous: Option<PreviousAuthority>,
    /// The leaf of the nodes.
    pub leaf: Option<Leaf>,
    /// What nodes accept.
    pub bundle: Vec<Certificate>,
}

impl StoredPki {
    /// Who signs the operator's own certificate: during a renewal every node accepts the authority before; the newest perhaps not.
    pub fn operators_signer(&self, now: Timestamp) -> Option<Authority> {
        let previous = self.previous.as_ref();
        let previous = previous.and_then(|previous| previous.signer(now));
        previous.or_else(|| self.authority.clone())
    }
}

/// What was in force before the newest authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousAuthority {
    /// Its certificate; several where its Secret was lost in the middle of a renewal.
    pub certificates: Vec<Certificate>,
    /// Its key; `None` where that was lost.
    pub key: Option<PrivateKeyPem>,
}

impl PreviousAuthority {
    /// As one that signs. One that has ended does not: no node would take what it signs.
    pub fn signer(&self, now: Timestamp) -> Option<Authority> {
        let key = self.key.as_ref()?;
        let mut certificates = self.certificates.iter();
        certificates
            .find_map(|certificate| Authority::read(certificate.pem().as_bytes(), key.pem()))
            .filter(|authority| authority.certificate.ends > now)
    }
}

/// What one running node proves by its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Its name.
    pub node: String,
    /// The authorities that it accepts; empty where it does not answer.
    pub accepts: BTreeSet<Fingerprint>,
    /// The leaf that it shows; `None` where it does not answer.
    pub shows: Option<Fingerprint>,
}

/// What a plan is made from.
#[derive(Debug)]
pub struct Situation<'a> {
    /// What is stored.
    pub stored: &'a StoredPki,
    /// What time it is.
    pub now: Timestamp,
    /// The names that the leaf is to be for.
    pub names: &'a AltNames,
    /// Whether a user asks for another authority.
    pub rotation_asked: bool,
    /// When nodes were first given the newest authority, where that was noted. One that a user put in its place was made long before.
    pub given: Option<Timestamp>,
    /// Every node that runs. One that does not run reads the newest files when it starts.
    pub running: &'a [Trust],
}

/// What to do with the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityStep {
    /// Nothing.
    Keep,
    /// Make one. What nodes accept now stays accepted.
    Create,
    /// Make another one, beside the one that is there.
    Rotate,
    /// Take the one that a user put there. What nodes accept now stays accepted.
    Adopt,
    /// Let the one before go.
    DropPrevious,
}

/// Which authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The newest.
    Newest,
    /// The one before, because not every node accepts the newest yet.
    Previous,
}

/// What to do with the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafStep {
    /// Nothing.
    Keep,
    /// Issue another one.
    Issue(Signer),
}

/// What a renewal waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The nodes that have not proved it; none where clients are given time to read of it.
    pub nodes: Vec<String>,
    /// Whether that takes longer than a Secret needs to reach a pod.
    pub overdue: bool,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkiPlan {
    /// With the authority.
    pub authority: AuthorityStep,
    /// With the leaf.
    pub leaf: LeafStep,
    /// What a renewal waits for.
    pub waiting: Option<Waiting>,
}

impl PkiPlan {
    fn of(authority: AuthorityStep, leaf: LeafStep) -> Self {
        Self {
            authority,
            leaf,
            waiting: None,
        }
    }
}

/// Decides.
pub fn plan(situation: &Situation<'_>) -> PkiPlan {
    let stored = situation.stored;
    let Some(authority) = &stored.authority else {
        let leaf = match &stored.leaf {
            Some(leaf) if !stored.bundle.is_empty() && leaf.certificate.ends > situation.now => {
                LeafStep::Keep
            }
            _ => LeafStep::Issue(Signer::Newest),
        };
        return PkiPlan::of(AuthorityStep::Create, leaf);
    };
    match &stored.previous {
        None if is_unknown_to_nodes(stored, authority) => {
            PkiPlan::of(AuthorityStep::Adopt, LeafStep::Keep)
        }
        None => settled(situation, authority),
        Some(previous) => renewing(situation, authority, previous),
    }
}

/// Whether nodes have a leaf and were never given the authority that is there: a user put it there, as from a backup.
fn is_unknown_to_nodes(stored: &StoredPki, authority: &Authority) -> bool {
    stored.leaf.is_some()
        && !stored.bundle.is_empty()
        && !stored.bundle.contains(&authority.certificate)
}

/// No renewal of the authority is under way.
fn settled(situation: &Situation<'_>, authority: &Authority) -> PkiPlan {
    let leaf = match &situation.stored.leaf {
        Some(leaf) if leaf.certificate.is_signed_by(&authority.certificate) => leaf,
        // None, or one that this authority did not sign: nodes would not accept it of each other.
        _ => return PkiPlan::of(AuthorityStep::Keep, LeafStep::Issue(Signer::Newest)),
    };
    let due = ends_within(&authority.certificate, situation.now, AUTHORITY_RENEWAL);
    if due || situation.rotation_asked {
        return PkiPlan::of(AuthorityStep::Rotate, LeafStep::Keep);
    }
    PkiPlan::of(
        AuthorityStep::Keep,
        if is_stale(leaf, situation) {
            LeafStep::Issue(Signer::Newest)
        } else {
            LeafStep::Keep
        },
    )
}

fn renewing(
    situation: &Situation<'_>,
    authority: &Authority,
    previous: &PreviousAuthority,
) -> PkiPlan {
    let now = situation.now;
    let Some(leaf) = &situation.stored.leaf else {
        // Every node accepts the one before; the newest perhaps not.
        let signer = if previous.signer(now).is_some() {
            Signer::Previous
        } else {
            Signer::Newest
        };
        return PkiPlan::of(AuthorityStep::Keep, LeafStep::Issue(signer));
    };
    if leaf.certificate.is_signed_by(&authority.certificate) {
        let shown = &leaf.certificate.fingerprint;
        let missing = without(situation, |trust| trust.shows.as_ref() == Some(shown));
        if missing.is_empty() {
            return PkiPlan::of(AuthorityStep::DropPrevious, LeafStep::Keep);
        }
        let step = if is_stale(leaf, situation) {
            LeafStep::Issue(Signer::Newest)
        } else {
            LeafStep::Keep
        };
        return PkiPlan {
            waiting: Some(Waiting {
                nodes: missing,
                overdue: leaf.issued() + DISTRIBUTION < now,
            }),
            ..PkiPlan::of(AuthorityStep::Keep, step)
        };
    }
    let accepted = &authority.certificate.fingerprint;
    let missing = without(situation, |trust| trust.accepts.contains(accepted));
    let given = situation
        .given
        .map_or(authority.created(), |given| given.max(authority.created()));
    let is_new_to_clients = !situation.running.is_empty() && now < given + CLIENTS;
    if missing.is_empty() && !is_new_to_clients {
        return PkiPlan::of(AuthorityStep::Keep, LeafStep::Issue(Signer::Newest));
    }
    let step = if previous.signer(now).is_some() {
        if is_stale(leaf, situation) {
            LeafStep::Issue(Signer::Previous)
        } else {
            LeafStep::Keep
        }
    } else if ends_within(&leaf.certificate, now, LAST_MOMENT) {
        // All nodes would stop to speak to each other; so only those do that still do not accept the newest.
        LeafStep::Issue(Signer::Newest)
    } else {
        LeafStep::Keep
    };
    PkiPlan {
        waiting: Some(Waiting {
            overdue: !missing.is_empty() && given + DISTRIBUTION < now,
            nodes: missing,
        }),
        ..PkiPlan::of(AuthorityStep::Keep, step)
    }
}

fn without(situation: &Situation<'_>, proves: impl Fn(&Trust) -> bool) -> Vec<String> {
    let running = situation.running.iter();
    running
        .filter(|trust| !proves(trust))
        .map(|trust| trust.node.clone())
        .collect()
}

/// Whether a leaf is old, or for other names than those that are wanted.
fn is_stale(leaf: &Leaf, situation: &Situation<'_>) -> bool {
    leaf.issued() + LEAF_RENEWAL <= situation.now || leaf.certificate.names != *situation.names
}

fn ends_within(certificate: &Certificate, now: Timestamp, time: SignedDuration) -> bool {
    certificate.ends.duration_since(now) < time
}

#[cfg(test)]
mod tests;
