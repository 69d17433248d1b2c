//! Random numbers that a seed repeats.

use std::{env, sync::OnceLock};

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, and good enough to choose places in a text.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The random numbers of one target.
    pub(crate) fn of(target: &str) -> Self {
        let mixed = target
            .bytes()
            .fold(seed(), |mixed, byte| mixed.rotate_left(9) ^ u64::from(byte));
        Self(mixed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below this number, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn of_these<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// The default seed, so that a run that fails in CI fails anywhere.
const USUAL: u64 = 1;

/// `FUZZ_SEED`: a number, or `random` for a new one. Printed, so that a failure can be repeated.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let seed = seed_of(&env::var("FUZZ_SEED").unwrap_or_default());
        eprintln!("FUZZ_SEED={seed}");
        seed
    })
}

fn seed_of(given: &str) -> u64 {
    match given {
        "" => USUAL,
        "random" => rand::random(),
        number => number.parse().unwrap_or_else(|_| {
            panic!("FUZZ_SEED={number} is neither a number nor \"random\"");
        }),
    }
}

#[test]
fn inputs_are_the_same_ones_unless_others_are_asked_for() {
    assert_eq!(seed_of(""), seed_of(""));
    assert_eq!(seed_of("7"), 7);
    assert_ne!(seed_of("random"), seed_of("random"));
    assert!(std::panic::catch_unwind(|| seed_of("seven")).is_err());
}
