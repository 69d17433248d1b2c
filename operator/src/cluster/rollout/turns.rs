//! Whose pods are replaced for the operator's own changes: few clusters at a time, so that what is bad about a release is seen in the first
//! ones. Who is among them is written on their `StatefulSets`, and remembered here.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Namespace and name of a cluster.
pub(in crate::cluster) type Place = (String, String);

/// How many clusters there may be at a time, unless somebody says otherwise.
pub const AT_ONCE: usize = 1;

/// The turns.
#[derive(Debug)]
pub(in crate::cluster) struct Turns {
    at_once: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: BTreeSet<Place>,
    /// Those that are paused: nobody knows until when, so the others do not wait for them.
    paused: BTreeSet<Place>,
}

impl Turns {
    /// For so many clusters at a time.
    pub(in crate::cluster) fn new(at_once: usize) -> Self {
        Self {
            at_once,
            state: Mutex::default(),
        }
    }

    /// Takes a turn for a cluster; `marked` are those whose `StatefulSets` say that they have one.
    ///
    /// # Errors
    /// Names one of those that have to finish first.
    pub(super) fn take(&self, place: &Place, marked: Vec<Place>) -> Result<(), Place> {
        let mut state = self.lock();
        let others = marked.into_iter().chain(state.taken.iter().cloned());
        let others: BTreeSet<_> = others
            .filter(|other| other != place && !state.paused.contains(other))
            .collect();
        if others.len() >= self.at_once
            && let Some(first) = others.into_iter().next()
        {
            return Err(first);
        }
        state.taken.insert(place.clone());
        Ok(())
    }

    /// A cluster has a turn, whoever gave it.
    pub(super) fn hold(&self, place: &Place) {
        let mut state = self.lock();
        state.paused.remove(place);
        state.taken.insert(place.clone());
    }

    /// A cluster has none, or none any more.
    pub(in crate::cluster) fn release(&self, place: &Place) {
        let mut state = self.lock();
        state.paused.remove(place);
        state.taken.remove(place);
    }

    /// A cluster is paused; it goes on with its turn afterwards.
    pub(super) fn pause(&self, place: &Place) {
        let mut state = self.lock();
        state.taken.remove(place);
        state.paused.insert(place.clone());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        ("shop".to_owned(), name.to_owned())
    }

    #[test]
    fn one_cluster_follows_the_other() {
        let (turns, [a, b]) = (Turns::new(1), ["a", "b"].map(place));
        assert_eq!(turns.take(&a, vec![]), Ok(()));
        assert_eq!(turns.take(&a, vec![]), Ok(()), "it has its turn already");
        assert_eq!(turns.take(&b, vec![]), Err(a.clone()));
        turns.release(&a);
        assert_eq!(turns.take(&b, vec![]), Ok(()));
    }

    #[test]
    fn what_an_earlier_operator_began_counts() {
        let (turns, [a, b, c]) = (Turns::new(2), ["a", "b", "c"].map(place));
        assert_eq!(turns.take(&c, vec![a.clone(), b.clone()]), Err(a.clone()));
        assert_eq!(turns.take(&b, vec![a.clone(), b.clone()]), Ok(()));
        assert_eq!(turns.take(&c, vec![b.clone()]), Ok(()));
        turns.hold(&a);
        turns.release(&c);
        assert_eq!(turns.take(&c, vec![]), Err(a));
    }

    #[test]
    fn nobody_waits_for_a_cluster_that_is_paused() {
        let (turns, [a, b]) = (Turns::new(1), ["a", "b"].map(place));
        turns.pause(&a);
        assert_eq!(turns.take(&b, vec![a.clone()]), Ok(()));
        turns.release(&b);
        turns.hold(&a);
        assert_eq!(turns.take(&b, vec![]), Err(a));
    }
}
