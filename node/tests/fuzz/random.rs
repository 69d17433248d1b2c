//! Random numbers that a seed repeats.

use std::{env, sync::OnceLock, time::SystemTime};

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, and good enough to choose places in a text.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of one target.
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

/// `FUZZ_SEED`, or the time.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let given = env::var("FUZZ_SEED").ok().filter(|seed| !seed.is_empty());
        let seed = given.map_or_else(
            || {
                let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
                u64::try_from(now.as_millis()).unwrap()
            },
            |seed| seed.parse().unwrap(),
        );
        eprintln!("FUZZ_SEED={seed}");
        seed
    })
}
