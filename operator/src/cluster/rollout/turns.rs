//! The clusters whose pods are replaced for the operator's own changes: few at a time, so that a fault of a release shows in
//! the first ones. Their `StatefulSets` are marked, and this memory repeats the marks. Waiting clusters are woken when a turn
//! ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// Namespace and name of a cluster.
pub(in crate::cluster) type Place = (String, String);

/// How many clusters there may be at a time, unless the administrator sets another number.
pub const AT_ONCE: usize = 1;

/// The turns.
#[derive(Debug)]
pub(in crate::cluster) struct Turns {
    at_once: usize,
    state: Mutex<State>,
    moves: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    taken: BTreeSet<Place>,
    /// Clusters that cannot go on for an unknown time: the others do not wait for them.
    passed_over: BTreeSet<Place>,
    /// The waiting clusters, each with its reason.
    waiting: BTreeMap<Place, Held>,
}

/// Why a cluster has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// This cluster has to finish first.
    By(Place),
    /// The watches do not show all turns yet.
    Unseen,
}

impl Turns {
    /// For so many clusters at a time.
    pub(in crate::cluster) fn new(at_once: usize) -> Self {
        Self {
            at_once,
            state: Mutex::default(),
            moves: watch::Sender::default(),
        }
    }

    /// The same for another number of clusters.
    pub(in crate::cluster) fn with(self, at_once: usize) -> Self {
        Self { at_once, ..self }
    }

    /// Notifies whenever the wait of a cluster may be over.
    pub(in crate::cluster) fn moves(&self) -> &watch::Sender<()> {
        &self.moves
    }

    /// Takes a turn for a cluster; `marked` are the clusters whose `StatefulSets` have the mark of a turn, as far as known.
    ///
    /// # Errors
    /// The reason to wait.
    pub(super) fn take(
        &self,
        place: &Place,
        marked: impl FnOnce() -> Option<Vec<Place>>,
    ) -> Result<(), Held> {
        let mut state = self.lock();
        // Read while no cluster can note that it waits: a mark that goes afterwards wakes this one.
        state.try_turn(place, self.at_once, marked())?;
        state.taken.insert(place.clone());
        Ok(())
    }

    /// Whether a cluster could take a turn now.
    ///
    /// # Errors
    /// The reason to wait.
    pub(super) fn is_free(
        &self,
        place: &Place,
        marked: impl FnOnce() -> Option<Vec<Place>>,
    ) -> Result<(), Held> {
        self.lock().try_turn(place, self.at_once, marked())
    }

    /// A cluster has a turn, whichever process gave it.
    pub(super) fn hold(&self, place: &Place) {
        let mut state = self.lock();
        state.passed_over.remove(place);
        state.taken.insert(place.clone());
    }

    /// A cluster has none, or none any more.
    pub(in crate::cluster) fn release(&self, place: &Place) {
        let mut state = self.lock();
        let was_passed_over = state.passed_over.remove(place);
        let had_one = state.taken.remove(place);
        drop(state);
        if had_one || was_passed_over {
            self.moves.send_replace(());
        }
    }

    /// A cluster cannot go on; it does so with its turn once it can.
    pub(in crate::cluster) fn pass_over(&self, place: &Place) {
        let mut state = self.lock();
        state.taken.remove(place);
        let is_new = state.passed_over.insert(place.clone());
        drop(state);
        if is_new {
            self.moves.send_replace(());
        }
    }

    /// A cluster is gone.
    pub(in crate::cluster) fn forget(&self, place: &Place) {
        self.lock().waiting.remove(place);
        self.release(place);
    }

    /// The clusters in question whose reported reason to wait is gone. Each is given once.
    pub(in crate::cluster) fn wake(
        &self,
        is_wanted: impl Fn(&Place) -> bool,
        marked: impl FnOnce() -> Option<Vec<Place>>,
    ) -> Vec<Place> {
        let mut state = self.lock();
        if state.waiting.is_empty() {
            return Vec::new();
        }
        let Some(marked) = marked() else {
            return Vec::new();
        };
        let before = state.with_turns(marked);
        let woken = state.waiting.extract_if(.., |place, held| {
            let is_over = match held {
                Held::Unseen => true,
                Held::By(other) => !before.contains(other) || before.len() < self.at_once,
            };
            is_over && is_wanted(place)
        });
        woken.map(|(place, _)| place).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The clusters for which the others wait.
    fn with_turns(&self, marked: Vec<Place>) -> BTreeSet<Place> {
        let all = marked.into_iter().chain(self.taken.iter().cloned());
        all.filter(|place| !self.passed_over.contains(place))
            .collect()
    }

    /// Notes a waiting cluster, and its reason.
    fn try_turn(
        &mut self,
        place: &Place,
        at_once: usize,
        marked: Option<Vec<Place>>,
    ) -> Result<(), Held> {
        let held = marked.map_or(Some(Held::Unseen), |marked| {
            let mut others = self.with_turns(marked);
            others.remove(place);
            let is_full = others.len() >= at_once;
            others.into_iter().next().filter(|_| is_full).map(Held::By)
        });
        match held {
            None => {
                self.waiting.remove(place);
                Ok(())
            }
            Some(held) => {
                self.waiting.insert(place.clone(), held.clone());
                Err(held)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        ("shop".to_owned(), name.to_owned())
    }

    fn marked(places: &[&Place]) -> impl FnOnce() -> Option<Vec<Place>> + use<> {
        let places = places.iter().map(|place| (*place).clone()).collect();
        || Some(places)
    }

    fn by(place: &Place) -> Result<(), Held> {
        Err(Held::By(place.clone()))
    }

    #[test]
    fn one_cluster_follows_the_other() {
        let (turns, [a, b]) = (Turns::new(1), ["a", "b"].map(place));
        assert_eq!(turns.take(&a, marked(&[])), Ok(()));
        assert_eq!(
            turns.take(&a, marked(&[])),
            Ok(()),
            "it has its turn already"
        );
        assert_eq!(turns.take(&b, marked(&[])), by(&a));
        turns.release(&a);
        assert_eq!(turns.take(&b, marked(&[])), Ok(()));
    }

    #[test]
    fn whoever_only_looks_takes_nothing() {
        let (turns, [a, b]) = (Turns::new(1), ["a", "b"].map(place));
        assert_eq!(turns.is_free(&a, marked(&[])), Ok(()));
        assert_eq!(turns.take(&b, marked(&[])), Ok(()));
        assert_eq!(turns.is_free(&a, marked(&[])), by(&b));
    }

    #[test]
    fn what_an_earlier_operator_began_counts() {
        let (turns, [a, b, c]) = (Turns::new(2), ["a", "b", "c"].map(place));
        assert_eq!(turns.take(&c, marked(&[&a, &b])), by(&a));
        assert_eq!(turns.take(&b, marked(&[&a, &b])), Ok(()));
        assert_eq!(turns.take(&c, marked(&[&b])), Ok(()));
        turns.hold(&a);
        turns.release(&c);
        assert_eq!(turns.take(&c, marked(&[])), by(&a));
    }

    #[test]
    fn nobody_waits_for_a_cluster_that_cannot_go_on() {
        let (turns, [a, b]) = (Turns::new(1), ["a", "b"].map(place));
        turns.pass_over(&a);
        assert_eq!(turns.take(&b, marked(&[&a])), Ok(()));
        turns.release(&b);
        turns.hold(&a);
        assert_eq!(turns.take(&b, marked(&[])), by(&a));
    }

    /// The clusters that are woken now.
    fn woken(turns: &Turns, marks: &[&Place]) -> Vec<Place> {
        turns.wake(|_| true, marked(marks))
    }

    #[test]
    fn those_that_wait_are_woken_once_when_a_turn_ends() {
        let (turns, [a, b, c]) = (Turns::new(1), ["a", "b", "c"].map(place));
        let mut moves = turns.moves().subscribe();
        turns.take(&a, marked(&[])).unwrap();
        for waiting in [&b, &c] {
            turns.take(waiting, marked(&[])).unwrap_err();
        }
        assert_eq!(woken(&turns, &[]), Vec::<Place>::new());
        turns.hold(&a);
        assert!(!moves.has_changed().unwrap());
        turns.release(&a);
        assert!(moves.has_changed().unwrap());
        assert_eq!(
            woken(&turns, &[&a]),
            Vec::<Place>::new(),
            "its StatefulSet still says that it has a turn"
        );
        let in_another_scope = |place: &Place| *place == c;
        assert_eq!(
            turns.wake(in_another_scope, marked(&[])),
            std::slice::from_ref(&c)
        );
        assert_eq!(woken(&turns, &[]), std::slice::from_ref(&b));
        assert_eq!(woken(&turns, &[]), Vec::<Place>::new());

        moves.mark_unchanged();
        turns.take(&c, marked(&[])).unwrap();
        turns.take(&b, marked(&[])).unwrap_err();
        turns.pass_over(&c);
        assert!(moves.has_changed().unwrap());
        assert_eq!(woken(&turns, &[]), [b]);
        moves.mark_unchanged();
        turns.pass_over(&c);
        assert!(!moves.has_changed().unwrap());
    }

    #[test]
    fn a_turn_that_becomes_free_is_for_whoever_waits_for_another_one() {
        let (turns, [a, b, c]) = (Turns::new(2), ["a", "b", "c"].map(place));
        assert_eq!(turns.take(&c, marked(&[&a, &b])), by(&a));
        assert_eq!(woken(&turns, &[&a]), [c]);
    }

    #[test]
    fn those_that_wait_for_the_watches_are_woken_once_these_have_told() {
        let (turns, [a, b]) = (Turns::new(1), ["a", "b"].map(place));
        assert_eq!(turns.take(&b, || None), Err(Held::Unseen));
        assert_eq!(turns.wake(|_| true, || None), Vec::<Place>::new());
        assert_eq!(woken(&turns, &[&a]), [b]);
    }

    #[test]
    fn nobody_wakes_a_cluster_that_is_gone() {
        let (turns, [a, b]) = (Turns::new(1), ["a", "b"].map(place));
        turns.take(&a, marked(&[])).unwrap();
        turns.take(&b, marked(&[])).unwrap_err();
        turns.forget(&b);
        turns.forget(&a);
        assert_eq!(woken(&turns, &[]), Vec::<Place>::new());
    }
}
