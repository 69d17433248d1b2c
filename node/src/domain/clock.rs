//! Hybrid logical clocks: the order of versions across nodes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A point in wall-clock time, in microseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A time from microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub fn as_micros(self) -> i64 {
        self.0
    }
}

/// A reading of a hybrid logical clock: milliseconds since 1970 in the upper 47 bits, a counter in the lower 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Clock(i64);

impl Clock {
    const COUNTER_BITS: u32 = 16;
    /// 2190-01-01 in milliseconds since 1970.
    const YEAR_2190: i64 = 6_942_585_600_000;
    /// The first reading that is damage, wherever it stands: the year 2190. Earlier releases accepted stamps up to the year
    /// 2200, so they accept all stamps of this one.
    pub const END: Self = Self(Self::YEAR_2190 << Self::COUNTER_BITS);
    /// How far ahead of a wall clock a reading may be without an alarm, in microseconds: more than wall clocks that are
    /// looked after differ by.
    const AHEAD: i64 = 3_600_000_000;

    /// The first reading within a wall-clock millisecond.
    pub fn at(time: Timestamp) -> Self {
        Self((time.as_micros() / 1000).max(0) << Self::COUNTER_BITS)
    }

    /// The wall-clock millisecond of the reading.
    pub fn time(self) -> Timestamp {
        Timestamp((self.0 >> Self::COUNTER_BITS).saturating_mul(1000))
    }

    /// A reading from its stored or received number.
    pub fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    /// The number under which the reading is stored and sent.
    pub fn raw(self) -> i64 {
        self.0
    }

    /// Whether the reading can have come from a clock: not before 1970 and before the year 2190.
    pub fn is_plausible(self) -> bool {
        (0..Self::END.0).contains(&self.0)
    }

    /// Whether the reading is more than an hour ahead of a wall clock.
    pub fn is_far_ahead_of(self, wall: Timestamp) -> bool {
        self > Self::at(Timestamp(wall.0.saturating_add(Self::AHEAD)))
    }

    /// The next reading.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A database's random identity, made with it: the second part of every version that it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(u64);

impl Incarnation {
    /// An incarnation from 63 random bits (they are stored as a signed integer).
    pub fn from_random(bits: u64) -> Self {
        Self(bits >> 1)
    }

    /// An incarnation from its stored number.
    pub const fn from_raw(raw: i64) -> Self {
        Self(raw.unsigned_abs())
    }

    /// The number under which the incarnation is stored.
    pub fn raw(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Incarnation {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        u64::from_str_radix(text, 16)
            .ok()
            .filter(|bits| text.len() == 16 && bits >> 63 == 0)
            .map(Self)
            .ok_or(NoVersion)
    }
}

/// A version of an entry: its clock and its writer, ordered in this sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// When it was written, by the writer's hybrid logical clock.
    pub clock: Clock,
    /// The database that wrote it.
    pub incarnation: Incarnation,
}

impl Version {
    /// Bytes of its text.
    pub const TEXT: usize = 16 + 1 + 16;

    /// Its text. Every answer with an entry has it, so it is written without the machinery of formats.
    pub fn text(self) -> [u8; Self::TEXT] {
        let mut text = [b'-'; Self::TEXT];
        let (clock, rest) = text.split_at_mut(16);
        write_hex(self.clock.0.cast_unsigned(), clock);
        write_hex(self.incarnation.0, rest.get_mut(1..).unwrap_or_default());
        text
    }
}

/// Writes a number in hexadecimal digits, as many as there is room for.
fn write_hex(number: u64, digits: &mut [u8]) {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        let nibble = rest.to_le_bytes()[0] & 15;
        *digit = nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        rest >>= 4;
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let number = |digits: &str| {
            let canonical = digits.len() == 16
                && digits
                    .bytes()
                    .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            i64::from_str_radix(digits, 16)
                .ok()
                .filter(|_| canonical)
                .ok_or(NoVersion)
        };
        let (clock, incarnation) = text.split_once('-').ok_or(NoVersion)?;
        Ok(Self {
            clock: Clock(number(clock)?),
            incarnation: Incarnation::from_raw(number(incarnation)?),
        })
    }
}

/// A text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no version: 16 hexadecimal digits, a dash and 16 hexadecimal digits")]
pub struct NoVersion;

/// The clock of one node. It never goes back, whatever wall-clock time does.
#[derive(Debug)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct HybridClock {
    high_water: Clock,
}

impl HybridClock {
    /// A clock that continues after its stored high-water mark. A mark that cannot have come from a clock is damage, and the
    /// clock begins anew: a write comes after the stamp of its entry in any case.
    pub fn resume(high_water: Clock) -> Self {
        let sound = Some(high_water).filter(|clock| clock.is_plausible());
        Self {
            high_water: sound.unwrap_or_default(),
        }
    }

    /// The greatest reading given or seen so far, which must be stored with the write that used it.
    pub fn high_water(&self) -> Clock {
        self.high_water
    }

    /// Notes a reading from elsewhere: later writes come after it. A reading of the year 2190 or later is damage, and moves
    /// nothing.
    pub fn merge(&mut self, seen: Clock) {
        if seen.is_plausible() {
            self.high_water = self.high_water.max(seen);
        }
    }

    /// The stamp of a new write: later than every reading so far and than the version that it replaces.
    pub fn tick(&mut self, now: Timestamp, replaced: Option<Clock>) -> Clock {
        self.high_water = self.following(now, replaced);
        self.high_water
    }

    /// The stamp that a write would get now; none that is plausible where the readings are used up.
    pub fn following(&self, now: Timestamp, replaced: Option<Clock>) -> Clock {
        let after_replaced = replaced.map_or(Clock::default(), Clock::next);
        // An implausible wall clock is ignored, and must not use the readings up.
        let wall = Some(Clock::at(now)).filter(|wall| wall.is_plausible());
        wall.unwrap_or_default()
            .max(self.high_water.next())
            .max(after_replaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wall_clock_beyond_all_plausible_time_does_not_use_the_readings_up() {
        let start = Clock::at(Timestamp::from_micros(1_768_471_845_000_000));
        let mut clock = HybridClock::resume(start);
        let stamp = clock.tick(Timestamp::from_micros(i64::MAX >> 1), None);
        assert_eq!(stamp, start.next());
    }

    #[test]
    fn readings_end_with_the_year_2189() {
        let end = Timestamp::from_micros(6_942_585_600_000_000);
        assert!(!Clock::at(end).is_plausible());
        assert!(Clock::at(Timestamp::from_micros(end.as_micros() - 1000)).is_plausible());
        let mut clock = HybridClock::resume(Clock::from_raw(i64::MAX));
        clock.merge(Clock::at(end));
        assert_eq!(clock.high_water(), Clock::default());
    }

    #[test]
    fn a_reading_is_far_ahead_an_hour_after_the_wall_clock() {
        let wall = Timestamp::from_micros(1_768_471_845_000_000);
        let later = |micros| Clock::at(Timestamp::from_micros(wall.as_micros() + micros));
        assert!(!later(3_600_000_000).is_far_ahead_of(wall));
        assert!(later(3_600_001_000).is_far_ahead_of(wall));
    }

    proptest! {
        #[test]
        fn a_version_is_read_as_it_was_written(clock in 0..i64::MAX, incarnation in 0..i64::MAX) {
            let version = Version { clock: Clock(clock), incarnation: Incarnation::from_raw(incarnation) };
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }

        #[test]
        fn no_text_makes_reading_a_version_fail_badly(text in ".{0,40}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.to_string(), text);
            }
        }

        #[test]
        fn every_stamp_is_later_than_all_before_even_when_time_jumps(
            start in 0..Clock::END.0 >> 2,
            jumps in proptest::collection::vec((0..1i64 << 50, proptest::option::of(0..1i64 << 60)), 1..50),
        ) {
            let mut clock = HybridClock::resume(Clock::from_raw(start));
            let mut last = Clock::from_raw(start);
            for (micros, replaced) in jumps {
                let replaced = replaced.map(Clock::from_raw);
                let stamp = clock.tick(Timestamp::from_micros(micros), replaced);
                prop_assert!(stamp > last);
                prop_assert!(replaced.is_none_or(|replaced| stamp > replaced));
                last = stamp;
            }
        }
    }
}
