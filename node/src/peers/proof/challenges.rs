//! The challenges that a node hands out, each valid once and for a minute. Pure: time comes in as an argument.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// How long a challenge is good, by the clock of the node that made it.
pub(crate) const GOOD_FOR: Duration = Duration::from_mins(1);
/// How many challenges of each kind are remembered; older ones are no longer valid. 32 KiB each.
const WINDOW: u64 = 1 << 18;
const WORDS: usize = (WINDOW / 64) as usize;
const TAG: usize = 16;
const LENGTH: usize = 1 + 8 + 8 + TAG;

/// The kind of caller that a challenge was made for. Each kind has its own window, so that strangers who ask without end
/// displace no challenge of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChallengeFor {
    /// A caller without a proof so far.
    Stranger,
    /// A caller that just proved that it has the cluster key.
    Member,
}

/// Makes challenges and checks returned ones. A challenge is not stored until it is used: it carries its own proof that this
/// process made it.
pub(crate) struct Challenges {
    secret: Zeroizing<[u8; 64]>,
    windows: [Mutex<Window>; 2],
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

/// The last challenges of one kind, with a mark for each used one.
struct Window {
    next: u64,
    used: Box<[u64]>,
}

impl Challenges {
    pub(crate) fn new(secret: [u8; 64]) -> Self {
        let window = || {
            Mutex::new(Window {
                next: 0,
                used: vec![0; WORDS].into(),
            })
        };
        Self {
            secret: Zeroizing::new(secret),
            windows: [window(), window()],
        }
    }

    /// A challenge that was never handed out before.
    pub(crate) fn make(&self, kind: ChallengeFor, now: Duration) -> Vec<u8> {
        let number = self.window(kind, Window::take_number);
        let mut challenge = Vec::with_capacity(LENGTH);
        challenge.push(kind as u8);
        challenge.extend(number.to_be_bytes());
        challenge.extend(millis(now).to_be_bytes());
        let tag: [u8; 32] = self.over(&challenge).finalize().into_bytes().into();
        challenge.extend(tag.iter().take(TAG));
        challenge
    }

    /// Uses a challenge up. Returns whether it was good: made by this process, less than a minute ago, and not used before.
    pub(crate) fn spend(&self, challenge: &[u8], now: Duration) -> bool {
        self.read(challenge, now)
            .is_some_and(|(kind, number)| self.window(kind, |window| window.use_up(number)))
    }

    /// Whether a challenge is good, and was made for a member. Does not use it up.
    pub(crate) fn is_held_by_member(&self, challenge: &[u8], now: Duration) -> bool {
        self.read(challenge, now).is_some_and(|(kind, number)| {
            kind == ChallengeFor::Member && self.window(kind, |window| window.is_unused(number))
        })
    }

    /// The kind of caller and the number of a challenge; `None` for one of another process, or from over a minute ago.
    fn read(&self, challenge: &[u8], now: Duration) -> Option<(ChallengeFor, u64)> {
        let (said, tag) = challenge
            .split_at_checked(LENGTH - TAG)
            .filter(|(_, tag)| tag.len() == TAG)?;
        self.over(said).verify_truncated_left(tag).ok()?;
        let (kind, numbers) = said.split_first()?;
        let kind = if *kind == ChallengeFor::Member as u8 {
            ChallengeFor::Member
        } else {
            ChallengeFor::Stranger
        };
        let (number, made) = numbers.split_first_chunk::<8>()?;
        let made = made.first_chunk::<8>()?;
        let age = millis(now).saturating_sub(u64::from_be_bytes(*made));
        (age < millis(GOOD_FOR)).then_some((kind, u64::from_be_bytes(*number)))
    }

    fn window<T>(&self, kind: ChallengeFor, with: impl FnOnce(&mut Window) -> T) -> T {
        let [strangers, members] = &self.windows;
        let window = match kind {
            ChallengeFor::Stranger => strangers,
            ChallengeFor::Member => members,
        };
        with(&mut window.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn over(&self, said: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new(&(*self.secret).into()).chain_update(said)
    }
}

impl Window {
    fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        if let Some((word, bit)) = self.place(number) {
            *word &= !bit;
        }
        number
    }

    fn use_up(&mut self, number: u64) -> bool {
        let unused = self.is_unused(number);
        if let Some((word, bit)) = self.place(number).filter(|_| unused) {
            *word |= bit;
        }
        unused
    }

    fn is_unused(&mut self, number: u64) -> bool {
        let is_remembered = number < self.next && self.next - number <= WINDOW;
        let place = self.place(number).filter(|_| is_remembered);
        place.is_some_and(|(word, bit)| *word & bit == 0)
    }

    fn place(&mut self, number: u64) -> Option<(&mut u64, u64)> {
        let slot = number % WINDOW;
        let word = usize::try_from(slot / 64).ok()?;
        Some((self.used.get_mut(word)?, 1 << (slot % 64)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(7);

    fn challenges() -> Challenges {
        Challenges::new([9; 64])
    }

    #[test]
    fn a_challenge_is_good_once() {
        let challenges = challenges();
        for kind in [ChallengeFor::Stranger, ChallengeFor::Member] {
            let one = challenges.make(kind, START);
            let other = challenges.make(kind, START);
            assert!(challenges.spend(&one, START));
            assert!(!challenges.spend(&one, START));
            assert!(challenges.spend(&other, START));
        }
    }

    #[test]
    fn only_a_good_one_that_was_made_for_a_member_is_held_by_one() {
        let challenges = challenges();
        let of_stranger = challenges.make(ChallengeFor::Stranger, START);
        assert!(!challenges.is_held_by_member(&of_stranger, START));
        let mut forged = of_stranger;
        forged[0] = ChallengeFor::Member as u8;
        assert!(!challenges.is_held_by_member(&forged, START));
        let of_member = challenges.make(ChallengeFor::Member, START);
        for _ in 0..2 {
            assert!(
                challenges.is_held_by_member(&of_member, START),
                "looking uses nothing up"
            );
        }
        assert!(!challenges.is_held_by_member(&of_member, START + GOOD_FOR));
        assert!(challenges.spend(&of_member, START));
        assert!(!challenges.is_held_by_member(&of_member, START));
    }

    #[test]
    fn a_challenge_is_good_for_a_minute() {
        let challenges = challenges();
        let one = challenges.make(ChallengeFor::Member, START);
        let other = challenges.make(ChallengeFor::Member, START);
        assert!(!challenges.spend(&one, START + GOOD_FOR));
        assert!(challenges.spend(&other, Duration::from_millis(66_999)));
    }

    #[test]
    fn only_what_this_process_made_is_good() {
        let challenges = challenges();
        let made = challenges.make(ChallengeFor::Stranger, START);
        for at in 0..made.len() {
            let mut changed = made.clone();
            changed[at] ^= 1;
            assert!(!challenges.spend(&changed, START), "byte {at}");
        }
        let longer = [made.as_slice(), &[0]].concat();
        for other in [&[], &made[..made.len() - 1], &longer] {
            assert!(!challenges.spend(other, START));
        }
        assert!(
            !Challenges::new([8; 64]).spend(&made, START),
            "another process"
        );
        assert!(challenges.spend(&made, START));
    }

    #[test]
    fn strangers_who_ask_without_end_displace_none_that_a_member_holds() {
        let challenges = challenges();
        let of_member = challenges.make(ChallengeFor::Member, START);
        let first = challenges.make(ChallengeFor::Stranger, START);
        for _ in 0..WINDOW {
            challenges.make(ChallengeFor::Stranger, START);
        }
        assert!(!challenges.spend(&first, START), "too long ago");
        assert!(challenges.spend(&of_member, START));
    }

    #[test]
    fn a_place_that_is_used_again_is_free_again() {
        let challenges = challenges();
        let mut last = Vec::new();
        for _ in 0..=WINDOW {
            last = challenges.make(ChallengeFor::Member, START);
            assert!(challenges.spend(&last, START));
        }
        assert!(!challenges.spend(&last, START));
    }
}
