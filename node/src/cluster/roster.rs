//! The members of the cluster. Entries only advance and removals only accumulate, so two rosters merge in any order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{MemberName, MemberState, Rule, Rules, limits::roster::MOST};
use crate::domain::{Clock, Incarnation, Version};

/// How far an incarnation has come. Only ever advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It holds a snapshot and has not passed the others' heads yet.
    Joining,
    /// It acknowledges.
    Member,
    /// It accepts no writes and waits until all others hold its rows.
    Leaving,
    /// It has handed everything over, and serves nothing.
    Left,
}

/// The state of an incarnation in the cluster, by all facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub enum State {
    /// See [`Phase::Joining`].
    Joining,
    /// See [`Phase::Member`].
    Member,
    /// See [`Phase::Leaving`].
    Leaving,
    /// See [`Phase::Left`].
    Left,
    /// A later life of the same name was admitted.
    Superseded,
    /// It was removed.
    Removed,
}

impl State {
    /// The same as a node shows it.
    pub fn shown(self) -> MemberState {
        match self {
            Self::Joining => MemberState::Joining,
            Self::Member => MemberState::Member,
            Self::Leaving => MemberState::Leaving,
            Self::Left => MemberState::Left,
            Self::Superseded => MemberState::Superseded,
            Self::Removed => MemberState::Removed,
        }
    }

    /// The word for it.
    pub fn text(self) -> &'static str {
        self.shown().text()
    }

    /// Whether purges and `all` wait for it.
    pub fn counts(self) -> bool {
        self.shown().counts()
    }
}

/// One incarnation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Its name.
    pub name: MemberName,
    /// When it was admitted, and by which incarnation. Of one name the latest admission is the current one.
    pub admitted: Version,
    /// How far it has come.
    pub phase: Phase,
}

/// A removal: its issuer removes the target from the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Removal {
    clock: Clock,
    issuer: Incarnation,
    target: Incarnation,
}

/// The roster of a cluster. Holds no addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "WireRoster", into = "WireRoster")]
pub struct Roster {
    entries: BTreeMap<Incarnation, RosterEntry>,
    removals: BTreeMap<(Incarnation, Incarnation), Clock>,
}

/// As it travels and as it is stored: lists instead of maps with numbers as keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct WireRoster {
    entries: Vec<(Incarnation, RosterEntry)>,
    removals: Vec<Removal>,
}

impl From<WireRoster> for Roster {
    fn from(WireRoster { entries, removals }: WireRoster) -> Self {
        Self {
            entries: entries.into_iter().collect(),
            removals: removals
                .into_iter()
                .map(|removal| ((removal.target, removal.issuer), removal.clock))
                .collect(),
        }
    }
}

impl From<Roster> for WireRoster {
    fn from(roster: Roster) -> Self {
        Self {
            removals: roster.facts().collect(),
            entries: roster.entries.into_iter().collect(),
        }
    }
}

impl Roster {
    /// Whether there is no cluster yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All incarnations that ever belonged.
    pub fn entries(&self) -> impl Iterator<Item = (Incarnation, &RosterEntry)> {
        self.entries
            .iter()
            .map(|(incarnation, entry)| (*incarnation, entry))
    }

    /// One incarnation.
    pub fn entry(&self, incarnation: Incarnation) -> Option<&RosterEntry> {
        self.entries.get(&incarnation)
    }

    /// An incarnation, the source that admitted it, that one's source, and so on, as far as this roster knows.
    pub fn sources_of(&self, incarnation: Incarnation) -> impl Iterator<Item = Incarnation> {
        let source = |life: &Incarnation| {
            let source = self.entries.get(life)?.admitted.incarnation;
            (source != *life).then_some(source)
        };
        // A forged roster may have a circle.
        std::iter::successors(Some(incarnation), source).take(self.entries.len() + 1)
    }

    /// The latest stamp in it: admissions and removals are ordered by them, so a new one must be later.
    pub fn latest(&self) -> Clock {
        let admitted = self.entries.values().map(|entry| entry.admitted.clock);
        admitted
            .chain(self.removals.values().copied())
            .max()
            .unwrap_or_default()
    }

    /// Whether every stamp in it can have come from a clock, and a cluster can have become so large.
    pub fn is_plausible(&self) -> bool {
        if self.entries.len() > MOST || self.removals.len() > MOST {
            return false;
        }
        let admitted = self.entries.values().map(|entry| entry.admitted.clock);
        admitted
            .chain(self.removals.values().copied())
            .all(Clock::is_plausible)
    }

    /// The roster without stamps that no clock can have made: an earlier release may have stored some.
    #[must_use]
    pub fn without_damage(mut self) -> Self {
        self.entries
            .retain(|_, entry| entry.admitted.clock.is_plausible());
        self.removals.retain(|_, clock| clock.is_plausible());
        self
    }

    /// The roster without admissions that this one need not believe: unknown ones, issued by no known node. An issuer that the
    /// same roster shows to be admitted by a known node counts as known. In earlier releases each node admitted itself:
    /// `believed` decides which of those count.
    #[must_use]
    pub fn believable(&self, other: &Self, believed: impl Fn(Incarnation) -> bool) -> Self {
        let mut known: BTreeSet<_> = self.entries.keys().copied().collect();
        loop {
            let admitted: Vec<_> = other
                .entries
                .iter()
                .filter(|(incarnation, _)| !known.contains(incarnation))
                .filter(|(incarnation, entry)| {
                    let issuer = entry.admitted.incarnation;
                    known.contains(&issuer) || (issuer == **incarnation && believed(issuer))
                })
                .map(|(incarnation, _)| *incarnation)
                .collect();
            if admitted.is_empty() {
                break;
            }
            known.extend(admitted);
        }
        let mut believable = other.clone();
        believable
            .entries
            .retain(|incarnation, _| known.contains(incarnation));
        believable
    }

    /// Admits an incarnation.
    pub fn admit(&mut self, incarnation: Incarnation, entry: RosterEntry) {
        self.entries.entry(incarnation).or_insert(entry);
    }

    /// Brings an incarnation to a later phase; returns whether that changed anything.
    pub fn advance(&mut self, incarnation: Incarnation, phase: Phase) -> bool {
        match self.entries.get_mut(&incarnation) {
            Some(entry) if entry.phase < phase => {
                entry.phase = phase;
                true
            }
            _ => false,
        }
    }

    /// A database that went back can be admitted twice: the later admission counts, wherever it is heard of first.
    fn readmit(&mut self, incarnation: Incarnation, other: &RosterEntry) {
        if let Some(entry) = self.entries.get_mut(&incarnation)
            && (entry.admitted, &entry.name) < (other.admitted, &other.name)
        {
            entry.admitted = other.admitted;
            entry.name = other.name.clone();
        }
    }

    /// Notes that `issuer` removes `target`.
    pub fn remove(&mut self, target: Incarnation, issuer: Incarnation, clock: Clock) {
        let noted = self.removals.entry((target, issuer)).or_insert(clock);
        *noted = (*noted).min(clock);
    }

    /// Whether a member removed another, in vain or not.
    pub fn is_removed_by(&self, target: Incarnation, issuer: Incarnation) -> bool {
        self.removals.contains_key(&(target, issuer))
    }

    /// Merges another roster; returns whether that changed anything.
    pub fn merge(&mut self, other: &Self) -> bool {
        let before = self.clone();
        for (incarnation, entry) in &other.entries {
            self.admit(*incarnation, entry.clone());
            self.readmit(*incarnation, entry);
            self.advance(*incarnation, entry.phase);
        }
        for removal in other.facts() {
            self.remove(removal.target, removal.issuer, removal.clock);
        }
        *self != before
    }

    /// The incarnations whose removal stands. Facts are judged in the order of their stamps: a removal is void when an earlier
    /// removal of its issuer stands.
    pub fn removed(&self, rules: Rules) -> BTreeSet<Incarnation> {
        let facts: BTreeSet<_> = self.facts().collect();
        let mut removed = BTreeSet::new();
        for Removal { issuer, target, .. } in facts {
            if !removed.contains(&issuer) || !rules.hold(Rule::EarlierRemovalsWin) {
                removed.insert(target);
            }
        }
        removed
    }

    /// The current incarnation of each name.
    pub fn current_lives(&self) -> BTreeMap<MemberName, Incarnation> {
        let mut lives: Vec<_> = self.entries.iter().collect();
        lives.sort_by_key(|(_, entry)| entry.admitted);
        lives
            .into_iter()
            .map(|(incarnation, entry)| (entry.name.clone(), *incarnation))
            .collect()
    }

    /// The current incarnation of a name: the one that was admitted last.
    pub fn current(&self, name: &MemberName) -> Option<Incarnation> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.name == *name)
            .max_by_key(|(_, entry)| entry.admitted)
            .map(|(incarnation, _)| *incarnation)
    }

    /// The state of every incarnation.
    pub fn states(&self, rules: Rules) -> BTreeMap<Incarnation, State> {
        let current = self.current_lives();
        let removed = self.removed(rules);
        let removed_names: BTreeSet<_> = removed
            .iter()
            .filter_map(|incarnation| Some(&self.entries.get(incarnation)?.name))
            .collect();
        self.entries
            .iter()
            .map(|(incarnation, entry)| {
                let is_removed = removed.contains(incarnation)
                    || (!rules.hold(Rule::RosterByIncarnation)
                        && removed_names.contains(&entry.name));
                let state = if is_removed {
                    State::Removed
                } else if current.get(&entry.name) != Some(incarnation) {
                    State::Superseded
                } else {
                    match entry.phase {
                        Phase::Joining => State::Joining,
                        Phase::Member => State::Member,
                        Phase::Leaving => State::Leaving,
                        Phase::Left => State::Left,
                    }
                };
                (*incarnation, state)
            })
            .collect()
    }

    /// A short hash of the whole roster: two nodes whose hashes differ exchange their rosters.
    pub fn fingerprint(&self) -> u64 {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(text)
            .first_chunk::<8>()
            .map_or(0, |bytes| u64::from_be_bytes(*bytes) >> 1)
    }

    fn facts(&self) -> impl Iterator<Item = Removal> {
        self.removals
            .iter()
            .map(|((target, issuer), clock)| Removal {
                clock: *clock,
                issuer: *issuer,
                target: *target,
            })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life(number: i64) -> Incarnation {
        Incarnation::from_raw(number)
    }

    fn entry(name: &str, admitted: i64, phase: Phase) -> RosterEntry {
        RosterEntry {
            name: MemberName::new(name),
            admitted: Version {
                clock: Clock::from_raw(admitted),
                incarnation: life(1),
            },
            phase,
        }
    }

    fn roster(members: &[(i64, &str)]) -> Roster {
        let mut roster = Roster::default();
        for (number, name) in members {
            roster.admit(life(*number), entry(name, *number, Phase::Member));
        }
        roster
    }

    #[test]
    fn of_two_nodes_that_remove_each_other_the_earlier_removal_stands() {
        let mut roster = roster(&[(1, "a"), (2, "b")]);
        roster.remove(life(1), life(2), Clock::from_raw(11));
        roster.remove(life(2), life(1), Clock::from_raw(10));
        assert_eq!(roster.removed(Rules::ALL), BTreeSet::from([life(2)]));
    }

    #[test]
    fn a_removal_stands_although_its_issuer_is_removed_later() {
        // C leaves and B removes it; B leaves and A removes it.
        let mut roster = roster(&[(1, "a"), (2, "b"), (3, "c")]);
        roster.remove(life(3), life(2), Clock::from_raw(10));
        roster.remove(life(2), life(1), Clock::from_raw(20));
        assert_eq!(
            roster.removed(Rules::ALL),
            BTreeSet::from([life(2), life(3)])
        );
    }

    #[test]
    fn a_later_life_supersedes_an_earlier_one_and_is_not_touched_by_its_removal() {
        let mut roster = roster(&[(1, "a"), (2, "b"), (7, "b")]);
        assert_eq!(roster.states(Rules::ALL)[&life(2)], State::Superseded);
        roster.remove(life(2), life(1), Clock::from_raw(30));
        assert_eq!(roster.states(Rules::ALL)[&life(2)], State::Removed);
        assert_eq!(roster.states(Rules::ALL)[&life(7)], State::Member);
    }

    #[test]
    fn a_phase_never_goes_back() {
        let mut roster = roster(&[(1, "a")]);
        assert!(roster.advance(life(1), Phase::Left));
        assert!(!roster.advance(life(1), Phase::Member));
        assert_eq!(roster.states(Rules::ALL)[&life(1)], State::Left);
    }

    #[test]
    fn a_roster_is_read_as_it_was_written() {
        let mut roster = roster(&[(1, "a"), (2, "b")]);
        roster.remove(life(2), life(1), Clock::from_raw(10));
        let text = serde_json::to_string(&roster).unwrap();
        assert_eq!(serde_json::from_str::<Roster>(&text).unwrap(), roster);
    }

    #[test]
    fn a_roster_larger_than_any_clusters_is_damage() {
        let most = i64::try_from(MOST).unwrap();
        let mut large = Roster::default();
        for number in 0..most {
            large.admit(life(number), entry("a", number, Phase::Joining));
            large.remove(life(number), life(1), Clock::from_raw(number));
        }
        assert!(large.is_plausible());
        let mut entries = large.clone();
        entries.admit(life(most), entry("b", 1, Phase::Joining));
        assert!(!entries.is_plausible());
        large.remove(life(most), life(1), Clock::from_raw(1));
        assert!(!large.is_plausible());
    }

    fn any_roster() -> impl Strategy<Value = Roster> {
        let phase = prop_oneof![
            Just(Phase::Joining),
            Just(Phase::Member),
            Just(Phase::Leaving),
            Just(Phase::Left)
        ];
        (
            proptest::collection::vec((0..6_i64, 0..3_i64, phase), 0..6),
            proptest::collection::vec((0..6_i64, 0..6_i64, 0..9_i64), 0..5),
        )
            .prop_map(|(entries, removals)| {
                let mut roster = Roster::default();
                for (number, later, phase) in entries {
                    let name = ["a", "b", "c"][usize::try_from(number % 3).unwrap()];
                    roster.admit(life(number), entry(name, number + later, phase));
                }
                for (target, issuer, clock) in removals {
                    roster.remove(life(target), life(issuer), Clock::from_raw(clock));
                }
                roster
            })
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(a in any_roster(), b in any_roster(), c in any_roster()) {
            let merged = |first: &Roster, second: &Roster| {
                let mut merged = first.clone();
                merged.merge(second);
                merged
            };
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a);
        }
    }
}
