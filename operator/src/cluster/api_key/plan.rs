//! When the clients' key is exchanged, and when it waits. Pure.
//!
//! At no moment does a node refuse a key that clients have. The new key first stands beside the old one, in the entry that
//! nodes read additionally; it takes the old one's place only once each running node has proved that it accepts it; and the old
//! one goes when a person ends it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    AcceptedKeys,
    stored::{KeyPhase, KeyRecord, StoredKeys},
};

/// Secrets reach pods within two minutes; a node that has not proved it after this time is reported.
const DISTRIBUTION: SignedDuration = SignedDuration::from_mins(10);

/// The input of a plan.
pub(super) struct Situation<'a> {
    /// The nonce of the resource.
    pub(super) asked: Option<&'a str>,
    /// Whether changes wait.
    pub(super) is_paused: bool,
    /// The recorded state.
    pub(super) record: &'a KeyRecord,
    /// The keys in the Secret.
    pub(super) keys: &'a StoredKeys,
    /// Every running node. A node that does not run reads the newest files when it starts.
    pub(super) running: &'a [AcceptedKeys],
    /// The proof that a node shows if it accepts a key.
    pub(super) proof: &'a dyn Fn(&[u8]) -> Option<String>,
    /// The present time.
    pub(super) now: Timestamp,
}

/// The next step: each is one write, and the next reconcile that reads the Secret goes on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// No step.
    Keep,
    /// Make a key, and put it beside the one that clients show.
    Begin,
    /// Put this key in the place of the old one.
    Exchange(Vec<u8>),
    /// Note that this is so now.
    Note(KeyPhase),
}

/// The status of a change of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRotation {
    /// It waits because the resource is paused.
    Paused,
    /// The new key is given to nodes.
    Distributing(WaitedFor),
    /// Callers may move: the old key is accepted.
    PreviousAccepted,
    /// Another change waits until a person ends the old key of the last one.
    EarlierAccepted,
    /// The old key was ended, and nodes forget it.
    Leaving(WaitedFor),
    /// It is done.
    Rotated,
}

/// Nodes whose proof is still missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitedFor {
    /// Their names.
    pub nodes: Vec<String>,
    /// Whether that takes longer than a Secret needs to reach a pod.
    pub overdue: bool,
}

/// Decides the next step, and the status to report.
pub(super) fn plan(situation: &Situation<'_>) -> (Step, Option<KeyRotation>) {
    let has_beside = !situation.keys.beside.is_empty();
    match situation.record.phase {
        KeyPhase::Settled => settled(situation),
        KeyPhase::Distributing => distributing(situation),
        KeyPhase::Exchanged | KeyPhase::Ending if has_beside => {
            (Step::Keep, Some(beside(situation)))
        }
        KeyPhase::Exchanged => (
            Step::Note(KeyPhase::Ending),
            Some(KeyRotation::Leaving(WaitedFor {
                nodes: remembering(situation),
                overdue: false,
            })),
        ),
        KeyPhase::Ending => {
            let nodes = remembering(situation);
            if nodes.is_empty() {
                let done = Some(KeyRotation::Rotated);
                return (Step::Note(KeyPhase::Settled), done);
            }
            let overdue = is_overdue(situation);
            let waited_for = WaitedFor { nodes, overdue };
            (Step::Keep, Some(KeyRotation::Leaving(waited_for)))
        }
    }
}

fn settled(situation: &Situation<'_>) -> (Step, Option<KeyRotation>) {
    let has_beside = !situation.keys.beside.is_empty();
    let is_asked = is_asked_anew(situation);
    if is_asked && !has_beside {
        return begin(situation);
    }
    // Where no user ever asked for a rotation, people change the key by hand, and know what they do.
    let is_told = is_asked || situation.record.nonce.is_some();
    let told = if has_beside {
        beside(situation)
    } else {
        KeyRotation::Rotated
    };
    (Step::Keep, is_told.then_some(told))
}

fn distributing(situation: &Situation<'_>) -> (Step, Option<KeyRotation>) {
    let keys = situation.keys;
    let Some(new) = keys.new_key() else {
        // A user removed the new key, or replaced the old one.
        return if !keys.holds_current_beside() && !keys.beside.is_empty() {
            (Step::Note(KeyPhase::Exchanged), Some(beside(situation)))
        } else if situation.asked.is_some() {
            begin(situation)
        } else {
            (Step::Note(KeyPhase::Settled), None)
        };
    };
    let proof = (situation.proof)(new);
    let accepts = |node: &&AcceptedKeys| {
        let proofs = node.proofs.as_ref().zip(proof.as_ref());
        proofs.is_some_and(|(proofs, proof)| proofs.contains(proof))
    };
    let nodes = names(situation.running.iter().filter(|node| !accepts(node)));
    if nodes.is_empty() {
        if situation.is_paused {
            return (Step::Keep, Some(KeyRotation::Paused));
        }
        let step = Step::Exchange(new.to_vec());
        return (step, Some(KeyRotation::PreviousAccepted));
    }
    let overdue = is_overdue(situation);
    let waited_for = WaitedFor { nodes, overdue };
    (Step::Keep, Some(KeyRotation::Distributing(waited_for)))
}

fn begin(situation: &Situation<'_>) -> (Step, Option<KeyRotation>) {
    if situation.is_paused {
        return (Step::Keep, Some(KeyRotation::Paused));
    }
    let waited_for = WaitedFor {
        nodes: names(situation.running.iter()),
        overdue: false,
    };
    (Step::Begin, Some(KeyRotation::Distributing(waited_for)))
}

/// The status while nodes accept a second key.
fn beside(situation: &Situation<'_>) -> KeyRotation {
    if is_asked_anew(situation) {
        KeyRotation::EarlierAccepted
    } else {
        KeyRotation::PreviousAccepted
    }
}

fn is_asked_anew(situation: &Situation<'_>) -> bool {
    situation.asked.is_some() && situation.asked != situation.record.nonce.as_deref()
}

/// The nodes that may accept another key than callers read.
fn remembering(situation: &Situation<'_>) -> Vec<String> {
    let current = situation.keys.current.iter();
    let wanted: BTreeSet<_> = current.filter_map(|key| (situation.proof)(key)).collect();
    let forgot = |node: &&AcceptedKeys| {
        let proofs = node.proofs.as_ref();
        proofs.is_some_and(|proofs| proofs.is_subset(&wanted))
    };
    names(situation.running.iter().filter(|node| !forgot(node)))
}

fn names<'a>(nodes: impl Iterator<Item = &'a AcceptedKeys>) -> Vec<String> {
    nodes.map(|node| node.node.clone()).collect()
}

fn is_overdue(situation: &Situation<'_>) -> bool {
    let since = situation.record.since;
    since.is_some_and(|since| since + DISTRIBUTION < situation.now)
}

#[cfg(test)]
mod tests;
