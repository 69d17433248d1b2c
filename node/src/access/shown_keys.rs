//! The keys that the requests of one connection showed.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::AccessKey;

/// User keys remembered of one connection.
const KNOWN: usize = 16;
/// How often it is noted anew that a connection shows an accepted key; keys are remembered for an hour.
const NOTED_EVERY: Duration = Duration::from_mins(10);

/// The accepted access key that was noted last, and the user keys that opened an entry, or created one once they had opened
/// another at this address.
#[derive(Debug, Default)]
pub(crate) struct ShownKeys {
    /// The last of these user keys, so that a connection with one user key takes no lock. 0 is none.
    last_known: AtomicU64,
    known: Mutex<Vec<u64>>,
    noted: Mutex<Option<(AccessKey, Instant)>>,
}

impl ShownKeys {
    /// Notes that a user key opened an entry, or created one.
    pub(crate) fn know(&self, number: u64) {
        if self.last_known.load(Ordering::Relaxed) == number {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&number) {
            if known.len() >= KNOWN {
                known.remove(0);
            }
            known.push(number);
        }
        self.last_known.store(number, Ordering::Relaxed);
    }

    /// Whether a user key opened an entry on this connection, or created one.
    pub(crate) fn knows(&self, number: u64) -> bool {
        if self.last_known.load(Ordering::Relaxed) == number {
            return true;
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&number)
    }

    /// Whether it is time to note that this access key is accepted here.
    pub(crate) fn is_to_be_noted(&self, key: &AccessKey, now: Instant) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, at)) = &*noted
            && known == key
            && now.saturating_duration_since(*at) < NOTED_EVERY
        {
            return false;
        }
        *noted = Some((key.clone(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_keys_of_a_connection_are_remembered() {
        let keys = ShownKeys::default();
        for number in 1..=17 {
            assert!(!keys.knows(number));
            keys.know(number);
            keys.know(number);
        }
        assert!(keys.knows(17) && keys.knows(2) && !keys.knows(1));
    }

    #[test]
    fn an_accepted_key_is_noted_once_in_a_while() {
        let (keys, now) = (ShownKeys::default(), Instant::now());
        let (one, other) = (AccessKey::new(b"one"), AccessKey::new(b"other"));
        assert!(keys.is_to_be_noted(&one, now));
        assert!(!keys.is_to_be_noted(&one, now));
        assert!(keys.is_to_be_noted(&other, now));
        assert!(keys.is_to_be_noted(&other, now + NOTED_EVERY));
    }
}
