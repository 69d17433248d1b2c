//! Faults between an operator and its peers: at every call, at random.

use std::time::Duration;

use http::{Method, StatusCode};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use crate::{
    kubernetes::server::{Delivery, EVICTION},
    stage::{OperatorId, Stage},
};

/// The outcome of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// It is carried out and answered.
    Answered,
    /// The call is not carried out, and the answer refuses it.
    Refused(StatusCode),
    /// It does not arrive.
    Unreachable,
    /// The call is carried out, but the answer is another one.
    Unanswered,
    /// The same: the connection breaks.
    Broken,
}

/// The outcome of starting a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchStart {
    Begins,
    /// The API server fails.
    Refused,
    /// The API server no longer knows the events since the version.
    Gone,
}

/// The faults of calls in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Any fault of calls, at random.
    Any,
    /// The same, and of watches, too.
    Everything,
    Nothing,
    /// Nodes often do not answer.
    SilentNodes,
    /// Writes often take seconds.
    SlowWrites,
    /// Deletions of pods often arrive a minute late.
    LateDeletions,
}

/// How often things go wrong in a world.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    refused: f64,
    lost: f64,
    /// Nodes that do not answer an operator.
    silent: f64,
    slow: f64,
    /// The same for writes.
    slow_writes: f64,
    /// Deletions of pods that arrive much later.
    late_deletions: f64,
    /// Watches that lag behind others by seconds.
    stale: f64,
    watch_ends: f64,
    /// Watches that cannot begin: the list, or the version to go on from, is not available.
    unlisted: f64,
    /// Watches that begin at a version that the API server no longer knows.
    gone: f64,
    /// Operators that end at a call.
    crash: f64,
}

impl Faults {
    /// The faults of one world.
    fn any(random: &mut StdRng) -> Self {
        Self {
            refused: *[0.0, 0.003, 0.02].choose(random).unwrap(),
            lost: *[0.0, 0.02, 0.1].choose(random).unwrap(),
            silent: *[0.0, 0.02, 0.2].choose(random).unwrap(),
            slow: *[0.0, 0.05, 0.2].choose(random).unwrap(),
            stale: *[0.0, 0.1, 0.4].choose(random).unwrap(),
            watch_ends: *[0.0, 0.02].choose(random).unwrap(),
            unlisted: 0.0,
            gone: 0.0,
            crash: *[0.0, 0.002, 0.01].choose(random).unwrap(),
            slow_writes: 0.0,
            late_deletions: 0.0,
        }
    }

    /// The same, with faults of watches and of the operator's rights: only where a plot asks for them.
    fn everything(random: &mut StdRng) -> Self {
        Self {
            unlisted: *[0.0, 0.1, 0.5].choose(random).unwrap(),
            gone: *[0.0, 0.1, 0.5].choose(random).unwrap(),
            ..Self::any(random)
        }
    }

    /// The faults of a world of this kind.
    pub(crate) fn of(trouble: Trouble, random: &mut StdRng) -> Self {
        match trouble {
            Trouble::Any => Self::any(random),
            Trouble::Everything => Self::everything(random),
            Trouble::Nothing => Self::default(),
            Trouble::SilentNodes => Self {
                silent: 0.4,
                ..Self::any(random)
            },
            Trouble::SlowWrites => Self {
                slow_writes: 0.4,
                ..Self::default()
            },
            Trouble::LateDeletions => Self {
                late_deletions: 0.5,
                ..Self::default()
            },
        }
    }

    /// How long an operator may act on its earlier knowledge.
    pub(crate) fn longest_reconcile(&self) -> Duration {
        Duration::from_secs(if self.slow + self.slow_writes > 0.0 {
            60
        } else {
            20
        })
    }
}

impl Stage {
    /// The outcome of an operator's call.
    pub(crate) fn fate(
        &mut self,
        operator: OperatorId,
        method: &Method,
        what: &str,
        begins_a_watch: bool,
    ) -> Delivery {
        let is_write = *method != Method::GET && !what.contains("/events");
        let crash = self.faults.crash;
        let mut fate = self.fate_of(is_write);
        if begins_a_watch {
            fate.outcome = Outcome::Answered;
        }
        if begins_a_watch && self.happens(self.faults.unlisted) {
            fate.outcome = Outcome::Refused(StatusCode::INTERNAL_SERVER_ERROR);
            self.tell(|| format!("operator {operator}: {what} is not listed"));
        }
        if self.random.random_bool(crash) {
            self.tell(|| format!("operator {operator} ends at {what}"));
            self.doomed.push(operator);
        }
        if is_write && !matches!(fate.outcome, Outcome::Answered) {
            let outcome = fate.outcome;
            self.tell(|| format!("operator {operator}: {what} will be {outcome:?}"));
        }
        let takes_away = *method == Method::DELETE || what.ends_with(EVICTION);
        let is_late = takes_away && what.contains("/pods/");
        if is_late && self.happens(self.faults.late_deletions) {
            fate.before += Duration::from_secs(self.random.random_range(5..90));
        }
        fate.after += Duration::from_millis(2);
        let time = self.world.time;
        let (before, after) = (fate.before, fate.after);
        let line = || format!("operator {operator}: {what} takes {before:?} and {after:?}");
        self.world.story.trace(time, line);
        fate
    }

    /// The outcome of a call to a node.
    pub(crate) fn fate_at_a_node(&mut self, is_order: bool) -> Delivery {
        let silent = self.faults.silent;
        let fate = self.fate_of(is_order);
        if !is_order && self.random.random_bool(silent) {
            let outcome = Outcome::Unreachable;
            return Delivery { outcome, ..fate };
        }
        fate
    }

    fn fate_of(&mut self, is_write: bool) -> Delivery {
        let Faults {
            refused,
            lost,
            slow,
            slow_writes,
            ..
        } = self.faults;
        let slow = if is_write {
            slow.max(slow_writes)
        } else {
            slow
        };
        let random = &mut self.random;
        let mut delay = || {
            Duration::from_millis(if random.random_bool(slow) {
                random.random_range(100..8000)
            } else {
                random.random_range(1..20)
            })
        };
        let (before, after) = (delay(), delay());
        let outcome = if random.random_bool(refused) {
            let refusals = [
                Outcome::Refused(StatusCode::INTERNAL_SERVER_ERROR),
                Outcome::Refused(StatusCode::SERVICE_UNAVAILABLE),
                Outcome::Refused(StatusCode::TOO_MANY_REQUESTS),
                Outcome::Unreachable,
            ];
            *refusals.choose(random).unwrap()
        } else if is_write && random.random_bool(lost) {
            *[Outcome::Unanswered, Outcome::Broken]
                .choose(random)
                .unwrap()
        } else {
            Outcome::Answered
        };
        Delivery {
            before,
            outcome,
            after,
        }
    }

    /// How far a watch lags behind the API server.
    pub(crate) fn lag_of_a_watch(&mut self) -> Duration {
        let is_stale = self.random.random_bool(self.faults.stale);
        let most = if is_stale { 15_000 } else { 100 };
        Duration::from_millis(self.random.random_range(1..most))
    }

    /// An event without a chance draws no random number, so worlds without it stay as they are.
    pub(crate) fn happens(&mut self, how_often: f64) -> bool {
        how_often > 0.0 && self.random.random_bool(how_often)
    }

    /// The outcome of starting a watch.
    pub(crate) fn beginning_of_a_watch(&mut self) -> WatchStart {
        if self.happens(self.faults.unlisted) {
            WatchStart::Refused
        } else if self.happens(self.faults.gone) {
            WatchStart::Gone
        } else {
            WatchStart::Begins
        }
    }

    /// Whether the connection of a watch ends now.
    pub(crate) fn a_watch_ends(&mut self) -> bool {
        self.random.random_bool(self.faults.watch_ends)
    }
}
