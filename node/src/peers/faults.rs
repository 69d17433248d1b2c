//! Which addresses do not answer as nodes of this cluster, and why: logged once, and shown as long as it lasts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::cluster::Address;

/// An address without a try in this time is not shown: the node does not dial it any more. Failed tries are repeated within
/// seconds, and the slowest takes a minute.
const SHOWN_FOR: Duration = Duration::from_mins(2);

/// An address that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreachablePeer {
    /// Where it should be.
    pub address: Address,
    /// Why not, with all causes.
    pub error: String,
}

/// All addresses that did not answer.
#[derive(Debug, Default)]
pub struct PeerFaults(Mutex<BTreeMap<Address, (String, Instant)>>);

impl PeerFaults {
    /// Notes that an address did not answer. Returns whether that is news.
    pub(super) fn failed(&self, address: &Address, error: String, now: Instant) -> bool {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.retain(|_, (_, tried)| is_shown(*tried, now));
        faults.insert(address.clone(), (error, now)).is_none()
    }

    /// Notes that an address answered. Returns whether that is news.
    pub(super) fn answered(&self, address: &Address) -> bool {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.remove(address).is_some()
    }

    /// The nodes that do not answer now, in the order of their addresses.
    pub fn current(&self, now: Instant) -> Vec<UnreachablePeer> {
        let faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = faults
            .iter()
            .filter(|(_, (_, tried))| is_shown(*tried, now))
            .map(|(address, (error, _))| UnreachablePeer {
                address: address.clone(),
                error: error.clone(),
            });
        shown.collect()
    }
}

fn is_shown(tried: Instant, now: Instant) -> bool {
    now.saturating_duration_since(tried) < SHOWN_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_news_and_what_lies_between_is_not() {
        let (faults, now) = (PeerFaults::default(), Instant::now());
        let address = Address::new("n1:9000");
        assert!(!faults.answered(&address));
        assert!(faults.failed(&address, "one".into(), now));
        assert!(!faults.failed(&address, "two".into(), now));
        let shown = faults.current(now);
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].error, "two");
        assert!(faults.current(now + SHOWN_FOR).is_empty(), "not dialled");
        assert!(faults.answered(&address));
        assert!(faults.current(now).is_empty());
    }
}
