//! A bounded queue that serves its origins in turn, so that a busy origin delays the others little. Pure.

use std::collections::{HashMap, VecDeque};

use crate::domain::Origin;

/// Waiting items, one line for each origin.
#[derive(Debug)]
pub(crate) struct TurnQueue<T> {
    capacity: usize,
    length: usize,
    lines: HashMap<Origin, VecDeque<T>>,
    /// The waiting origins, the next one first.
    turns: VecDeque<Origin>,
}

/// There is no room for this item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl<T> TurnQueue<T> {
    /// A queue for so many items of all origins together.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            length: 0,
            lines: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Puts an item at the end of its origin's line. While others wait, one origin holds at most a quarter; in a full queue the
    /// longest line gives up its newest item for a shorter line, which is returned.
    ///
    /// # Errors
    /// [`Full`] where there is no such place. Items that are not wanted any more never take one.
    pub(crate) fn push(
        &mut self,
        origin: Origin,
        item: T,
        is_wanted: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, Full> {
        let quarter = (self.capacity / 4).max(1);
        if self.length >= self.capacity || self.line(origin) >= quarter {
            self.retain(is_wanted);
        }
        let own = self.line(origin);
        if self.length > own && own >= quarter {
            return Err(Full);
        }
        let mut given_up = None;
        if self.length >= self.capacity {
            given_up = self.shorten_the_longest(own)?;
        }
        let line = self.lines.entry(origin).or_default();
        if line.is_empty() {
            self.turns.push_back(origin);
        }
        line.push_back(item);
        self.length += 1;
        Ok(given_up)
    }

    /// The next item in turn.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let origin = self.turns.pop_front()?;
        let line = self.lines.get_mut(&origin)?;
        let item = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&origin);
        } else {
            self.turns.push_back(origin);
        }
        self.length -= usize::from(item.is_some());
        item
    }

    fn line(&self, origin: Origin) -> usize {
        self.lines.get(&origin).map_or(0, VecDeque::len)
    }

    fn retain(&mut self, is_wanted: impl Fn(&T) -> bool) {
        for line in self.lines.values_mut() {
            line.retain(&is_wanted);
        }
        self.lines.retain(|_, line| !line.is_empty());
        self.turns.retain(|origin| self.lines.contains_key(origin));
        self.length = self.lines.values().map(VecDeque::len).sum();
    }

    fn shorten_the_longest(&mut self, own: usize) -> Result<Option<T>, Full> {
        let longest = self.lines.values_mut().max_by_key(|line| line.len());
        // That line stays at least as long as the new item's line becomes.
        let longest = longest.filter(|line| line.len() > own + 1).ok_or(Full)?;
        let given_up = longest.pop_back();
        self.length -= usize::from(given_up.is_some());
        Ok(given_up)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    fn origin(n: u8) -> Origin {
        IpAddr::from([192, 0, 2, n]).into()
    }

    fn all<T>(_: &T) -> bool {
        true
    }

    #[test]
    fn origins_are_served_in_turn() {
        let mut queue = TurnQueue::new(100);
        for n in 0..3 {
            queue.push(origin(1), (1, n), all).unwrap();
        }
        queue.push(origin(2), (2, 0), all).unwrap();
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(served, [(1, 0), (2, 0), (1, 1), (1, 2)]);
    }

    #[test]
    fn one_alone_has_all_of_it_until_another_comes() {
        let mut queue = TurnQueue::new(16);
        for n in 0..16 {
            queue.push(origin(1), n, all).unwrap();
        }
        assert_eq!(queue.push(origin(1), 16, all), Err(Full));
        let given_up = queue.push(origin(2), 100, all).unwrap();
        assert_eq!(given_up, Some(15));
        assert_eq!((queue.pop(), queue.pop()), (Some(0), Some(100)));
        assert_eq!(queue.push(origin(2), 101, all), Ok(None));
        assert_eq!(queue.push(origin(1), 17, all), Err(Full), "others wait");
    }

    #[test]
    fn who_comes_to_a_full_queue_of_many_gets_a_place() {
        let mut queue = TurnQueue::new(16);
        for n in 0..16_u8 {
            queue.push(origin(n / 4), n, all).unwrap();
        }
        queue.push(origin(9), 99, all).unwrap();
        assert_eq!(queue.len(), 16);
    }

    #[test]
    fn what_is_not_wanted_takes_no_place() {
        let mut queue = TurnQueue::new(8);
        for _ in 0..8 {
            queue.push(origin(1), false, |wanted| *wanted).unwrap();
        }
        queue.push(origin(1), true, |wanted| *wanted).unwrap();
        assert_eq!(
            (queue.len(), queue.pop(), queue.pop()),
            (1, Some(true), None)
        );
    }

    proptest! {
        #[test]
        fn its_length_is_what_it_gives_and_who_has_least_is_never_refused(
            steps in proptest::collection::vec((0..6_u8, any::<bool>()), 0..200)
        ) {
            let mut queue = TurnQueue::new(12);
            for (who, pops) in steps {
                let own = queue.line(origin(who));
                let longest = queue.lines.values().map(VecDeque::len).max().unwrap_or(0);
                if pops {
                    queue.pop();
                } else if queue.push(origin(who), (), all).is_err() {
                    prop_assert!(own >= 3 || longest <= own + 1);
                }
                prop_assert!(queue.len() <= 12);
                prop_assert_eq!(queue.lines.len(), queue.turns.len());
            }
            let length = queue.len();
            prop_assert_eq!(std::iter::from_fn(|| queue.pop()).count(), length);
        }
    }
}
