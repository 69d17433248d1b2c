//! When authority and leaf are made anew, and in which order. All nodes get a new authority first, each running node proves
//! that it accepts it and clients can read it, only then does it sign leaves, and the old one goes last: at no moment does a
//! node show a leaf that another one does not accept. Pure.

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

/// The stored certificates of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredPki {
    /// The newest authority.
    pub authority: Option<Authority>,
    /// The previous authority, while a renewal is under way.
    pub previous: Option<PreviousAuthority>,
    /// The leaf of the nodes.
    pub leaf: Option<Leaf>,
    /// The authorities that nodes accept.
    pub bundle: Vec<Certificate>,
}

impl StoredPki {
    /// The signer of the operator's own certificate: during a renewal every node accepts the previous authority; the newest
    /// perhaps not.
    pub fn operators_signer(&self, now: Timestamp) -> Option<Authority> {
        let previous = self.previous.as_ref();
        let previous = previous.and_then(|previous| previous.signer(now));
        previous.or_else(|| self.authority.clone())
    }
}

/// The authority in force before the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousAuthority {
    /// Its certificate; several where its Secret was lost in the middle of a renewal.
    pub certificates: Vec<Certificate>,
    /// Its key; `None` where that was lost.
    pub key: Option<PrivateKeyPem>,
}

impl PreviousAuthority {
    /// The authority as a signer. An expired authority is none: no node would accept its signature.
    pub fn signer(&self, now: Timestamp) -> Option<Authority> {
        let key = self.key.as_ref()?;
        let mut certificates = self.certificates.iter();
        certificates
            .find_map(|certificate| Authority::read(certificate.pem().as_bytes(), key.pem()))
            .filter(|authority| authority.certificate.ends > now)
    }
}

/// The proof of one running node in its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Its name.
    pub node: String,
    /// The authorities that it accepts; empty where it does not answer.
    pub accepts: BTreeSet<Fingerprint>,
    /// The leaf that it shows; `None` where it does not answer.
    pub shows: Option<Fingerprint>,
}

/// The input of a plan.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The stored certificates.
    pub stored: &'a StoredPki,
    /// The present time.
    pub now: Timestamp,
    /// The names that the leaf must have.
    pub names: &'a AltNames,
    /// Whether a user asks for another authority.
    pub rotation_asked: bool,
    /// When nodes first got the newest authority, where the operator recorded it. A user's authority is usually much older.
    pub given: Option<Timestamp>,
    /// Since when clients can read the newest authority; `None` while they cannot.
    pub shown: Option<Timestamp>,
    /// Every running node. A node that does not run reads the newest files when it starts.
    pub running: &'a [Trust],
}

/// The step for the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityStep {
    /// No step.
    Keep,
    /// Make an authority, because there is none that could sign. Nodes go on accepting the present ones.
    Create,
    /// Make another authority, beside the present one.
    Rotate,
    /// Adopt the authority that a user provided. Nodes go on accepting the present ones.
    Adopt,
    /// Drop the previous authority.
    DropPrevious,
}

/// Which authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The newest.
    Newest,
    /// The previous authority, because not every node accepts the newest yet.
    Previous,
}

/// The step for the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafStep {
    /// No step.
    Keep,
    /// Issue another leaf.
    Issue(Signer),
}

/// The wait of a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The nodes without a proof; empty where clients cannot read the new authority yet, or are given time to do so.
    pub nodes: Vec<String>,
    /// Whether that takes longer than a Secret needs to reach a pod.
    pub overdue: bool,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkiPlan {
    /// With the authority.
    pub authority: AuthorityStep,
    /// With the leaf.
    pub leaf: LeafStep,
    /// The wait of a renewal.
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
    let mut authorities = stored.authority.iter();
    let Some(authority) = authorities.find(|authority| authority.certificate.ends > situation.now)
    else {
        // An authority that has ended counts as lost: no node accepts what it signs.
        let leaf = if is_accepted(stored, situation.now) {
            LeafStep::Keep
        } else {
            LeafStep::Issue(Signer::Newest)
        };
        return PkiPlan::of(AuthorityStep::Create, leaf);
    };
    // Made while the clock was ahead, and nothing that it signs counts: another one takes its place in the exchange.
    if stored.previous.is_some() && authority.certificate.begins > situation.now {
        let leaf = if is_accepted(stored, situation.now) && !is_signed_by(stored, authority) {
            LeafStep::Keep
        } else {
            LeafStep::Issue(Signer::Previous)
        };
        return PkiPlan::of(AuthorityStep::Create, leaf);
    }
    // The signer of the leaf must stay accepted, although it is neither of the two.
    if is_signed_by_another(stored, authority) {
        return PkiPlan::of(AuthorityStep::Adopt, LeafStep::Keep);
    }
    match &stored.previous {
        None if is_unknown_to_nodes(stored, authority) => {
            PkiPlan::of(AuthorityStep::Adopt, LeafStep::Keep)
        }
        None => settled(situation, authority),
        Some(previous) => renewing(situation, authority, previous),
    }
}

/// Whether nodes accept the leaf for an authority that is neither the newest nor a previous one: a user put another authority in
/// the place of one that signs already.
fn is_signed_by_another(stored: &StoredPki, authority: &Authority) -> bool {
    let Some(leaf) = &stored.leaf else {
        return false;
    };
    let signs = |certificate: &Certificate| leaf.certificate.is_signed_by(certificate);
    let mut previous = stored.previous.iter().flat_map(|it| &it.certificates);
    !signs(&authority.certificate) && !previous.any(signs) && stored.bundle.iter().any(signs)
}

/// Whether this authority signed the leaf.
fn is_signed_by(stored: &StoredPki, authority: &Authority) -> bool {
    let mut leaf = stored.leaf.iter();
    leaf.any(|leaf| leaf.certificate.is_signed_by(&authority.certificate))
}

/// Whether nodes accept the stored leaf from each other now.
fn is_accepted(stored: &StoredPki, now: Timestamp) -> bool {
    stored.leaf.as_ref().is_some_and(|leaf| {
        let mut accepted = stored.bundle.iter().filter(|one| one.ends > now);
        is_valid(&leaf.certificate, now) && accepted.any(|one| leaf.certificate.is_signed_by(one))
    })
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
        // There is no leaf, or another authority signed it: nodes would not accept it from each other.
        _ => return PkiPlan::of(AuthorityStep::Keep, LeafStep::Issue(Signer::Newest)),
    };
    let due = ends_within(&authority.certificate, situation.now, AUTHORITY_RENEWAL);
    // Made while the clock was ahead: some clients refuse it, and all that it signs.
    let is_early = authority.certificate.begins > situation.now;
    if due || is_early || situation.rotation_asked {
        // A leaf that does not count waits for no other authority.
        let leaf = if is_valid(&leaf.certificate, situation.now) {
            LeafStep::Keep
        } else {
            LeafStep::Issue(Signer::Previous)
        };
        return PkiPlan::of(AuthorityStep::Rotate, leaf);
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
        // Every node accepts the previous authority; the newest perhaps not.
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
        if missing.is_empty() && situation.shown.is_some() {
            return PkiPlan::of(AuthorityStep::DropPrevious, LeafStep::Keep);
        }
        let step = if is_stale(leaf, situation) {
            LeafStep::Issue(Signer::Newest)
        } else {
            LeafStep::Keep
        };
        return PkiPlan {
            waiting: Some(Waiting {
                overdue: !missing.is_empty() && leaf.issued() + DISTRIBUTION < now,
                nodes: missing,
            }),
            ..PkiPlan::of(AuthorityStep::Keep, step)
        };
    }
    let accepted = &authority.certificate.fingerprint;
    let missing = without(situation, |trust| trust.accepts.contains(accepted));
    // How far a user's own authority is dated back is not known. A time to come was recorded while the clock was ahead.
    let recorded = situation.given.filter(|given| *given <= now);
    let given = recorded.unwrap_or_else(|| authority.created());
    let is_new_to_clients = situation
        .shown
        .is_none_or(|shown| !situation.running.is_empty() && now < shown + CLIENTS);
    if missing.is_empty() && !is_new_to_clients {
        return PkiPlan::of(AuthorityStep::Keep, LeafStep::Issue(Signer::Newest));
    }
    let step = if previous.signer(now).is_some() {
        if is_stale(leaf, situation) {
            LeafStep::Issue(Signer::Previous)
        } else {
            LeafStep::Keep
        }
    } else if ends_within(&leaf.certificate, now, LAST_MOMENT) || leaf.certificate.begins > now {
        // Otherwise all nodes would stop speaking to each other; so only those do that still do not accept the newest.
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

/// Whether a leaf is old, made while the clock was ahead, or for other names than the wanted ones.
fn is_stale(leaf: &Leaf, situation: &Situation<'_>) -> bool {
    leaf.issued() + LEAF_RENEWAL <= situation.now
        || leaf.certificate.begins > situation.now
        || leaf.certificate.names != *situation.names
}

fn is_valid(certificate: &Certificate, now: Timestamp) -> bool {
    certificate.begins <= now && certificate.ends > now
}

fn ends_within(certificate: &Certificate, now: Timestamp, time: SignedDuration) -> bool {
    certificate.ends.duration_since(now) < time
}

#[cfg(test)]
mod tests;
