//! Watches that fail from their beginning, such as those of a kind that this Kubernetes does not know or this operator may not
//! read.

use std::{future::ready, time::Duration};

use futures::{Stream, StreamExt, stream};
use kube::runtime::{
    utils::{Backoff, StreamBackoff},
    watcher,
    watcher::Event,
};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait after each failure in a row. The watches of one operator are too few to be spread at random, and without
/// randomness a simulation is the same each time.
#[derive(Debug)]
pub(crate) struct WatchBackoff {
    next: Duration,
}

impl WatchBackoff {
    pub(crate) const NEW: Self = Self { next: FIRST };
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(LONGEST);
        Some(pause)
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        *self = Self::NEW;
    }
}

/// The same watch, retried more and more rarely while it fails: at first after a second, then up to every half minute.
///
/// A watch reports that it begins before its first request, and any success resets kube-runtime's backoff; so the beginning
/// is reported here together with what follows it.
pub(crate) fn rarer<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let told = events.scan(false, |begins, event| {
        let is_beginning = matches!(event, Ok(Event::Init));
        let follows = matches!(event, Ok(Event::InitApply(_) | Event::InitDone));
        let beginning = (*begins && follows).then_some(Ok(Event::Init));
        *begins = is_beginning;
        let told = beginning
            .into_iter()
            .chain((!is_beginning).then_some(event));
        ready(Some(stream::iter(told)))
    });
    StreamBackoff::new(told.flatten(), WatchBackoff::NEW)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::runtime::watcher::Error;
    use tokio::time::{Instant, timeout_at};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_does_not_exist_is_asked_for_more_and_more_rarely() {
        let failing = stream::iter([0, 1]).cycle().map(|turn| match turn {
            0 => Ok(Event::<()>::Init),
            _ => Err(Error::NoResourceVersion),
        });
        let mut events = Box::pin(rarer(failing));
        let end = Instant::now() + Duration::from_mins(10);
        let mut failures = 0;
        while let Ok(Some(event)) = timeout_at(end, events.next()).await {
            assert!(event.is_err(), "{event:?}");
            failures += 1;
        }
        assert!((10..60).contains(&failures), "{failures} in ten minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_time_passes_in_every_run_and_begins_anew_after_a_success() {
        let failure = || Err(Error::NoResourceVersion);
        let failures = (0..7).map(|_| failure());
        let success = [Event::Init, Event::InitApply(1)].map(Ok);
        let events = failures.chain(success).chain([failure(), failure()]);
        let began = Instant::now();
        let times: Vec<_> = rarer(stream::iter(events))
            .filter_map(|event| ready(event.is_err().then(|| began.elapsed().as_secs())))
            .collect()
            .await;
        assert_eq!(times, [0, 1, 3, 7, 15, 31, 61, 91, 92]);
    }

    #[tokio::test]
    async fn what_is_listed_and_what_changes_is_told_as_ever() {
        let watched = || {
            let first = [
                Event::Init,
                Event::InitApply(1),
                Event::InitDone,
                Event::Apply(2),
            ];
            let empty = [Event::Init, Event::InitDone, Event::Delete(2)];
            first.into_iter().chain(empty)
        };
        let told: Vec<_> = rarer(stream::iter(watched().map(Ok)))
            .map(|event| format!("{:?}", event.unwrap()))
            .collect()
            .await;
        let wanted: Vec<_> = watched().map(|event| format!("{event:?}")).collect();
        assert_eq!(told, wanted);
    }
}
