//! Bodies of clients: charged for what has arrived, and given up where it does not arrive fast enough.

use std::{net::IpAddr, time::Duration};

use axum::body::{Body, HttpBody};

use super::arriving::{self, Room, Terms, grown};
use crate::{
    api::{NodeState, answer::error::ApiError},
    budget::{Budgets, Reservation, SMALL_BODY},
    config::Timeouts,
};

/// What a small body is charged with at a time, in bytes.
const SMALL_STEP: usize = 1 << 10;

/// A whole body, and the memory that it is charged with.
#[derive(Debug, Default)]
pub(in crate::api) struct ReceivedBody {
    bytes: Vec<u8>,
    _room: Option<Reservation>,
}

impl ReceivedBody {
    pub(in crate::api) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same body as UTF-8, where it was another encoding.
    #[must_use]
    pub(in crate::api) fn recoded(self, text: String) -> Self {
        Self {
            bytes: text.into_bytes(),
            ..self
        }
    }

    /// Reads a whole body of so many bytes at most.
    pub(in crate::api) async fn receive(
        node: &NodeState,
        address: IpAddr,
        body: Body,
        limit: usize,
    ) -> Result<Self, ApiError> {
        Self::receive_within(&node.timeouts, &node.budgets, address, body, limit).await
    }

    /// The same, with these times.
    async fn receive_within(
        timeouts: &Timeouts,
        budgets: &Budgets,
        address: IpAddr,
        body: Body,
        limit: usize,
    ) -> Result<Self, ApiError> {
        // What is announced, or else as much as may come.
        let announced = body
            .size_hint()
            .upper()
            .and_then(|length| usize::try_from(length).ok());
        let mut room = ClientRoom {
            budgets,
            address,
            most: announced.map_or(limit, |length| length.min(limit)),
            held: None,
        };
        let terms = Terms {
            timeouts,
            limit,
            // As long as it comes at its rate.
            within: Duration::MAX,
        };
        let bytes = arriving::receive(body, terms, &mut room).await?;
        Ok(Self {
            bytes,
            _room: room.held,
        })
    }
}

/// The room of a client's body, which is refused at once where there is no more.
struct ClientRoom<'b> {
    budgets: &'b Budgets,
    address: IpAddr,
    /// The length of the whole body, as far as it is known.
    most: usize,
    held: Option<Reservation>,
}

impl Room for ClientRoom<'_> {
    async fn make(&mut self, had: usize, needed: usize) -> Result<usize, ApiError> {
        let capacity = if needed <= SMALL_BODY {
            needed.next_multiple_of(SMALL_STEP)
        } else {
            grown(had, needed).min(self.most.max(needed))
        };
        match &mut self.held {
            Some(held) if capacity <= SMALL_BODY || had > SMALL_BODY => {
                held.grow(capacity.saturating_sub(held.bytes()))?;
            }
            held => {
                let pool = if capacity <= SMALL_BODY {
                    &self.budgets.small_bodies
                } else {
                    &self.budgets.bodies
                };
                *held = Some(pool.try_reserve(self.address, capacity)?);
            }
        }
        Ok(capacity)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures::{FutureExt, stream::unfold};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::budget::MemoryPlan;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    /// Takes a body in frames as hyper gives them, at a node without any other; what it is charged with in the end.
    fn take(limit: usize, memory: usize, length: usize, frame: usize) -> usize {
        let plan = MemoryPlan::new(Some(memory), None, |_| None).unwrap();
        let budgets = Budgets::new(plan, limit);
        let mut room = ClientRoom {
            budgets: &budgets,
            address: HERE,
            most: limit,
            held: None,
        };
        let (mut arrived, mut had) = (0, 0);
        while arrived < length {
            arrived = length.min(arrived + frame);
            if arrived > had {
                had = room.make(had, arrived).now_or_never().unwrap().unwrap();
            }
        }
        room.held.map_or(0, |held| held.bytes())
    }

    #[test]
    fn every_body_up_to_the_limit_is_taken_at_an_idle_node() {
        for (limit, memory) in [
            (2 << 20, 64 << 20),
            (1 << 20, 40 << 20),
            (1_000_001, 16 << 20),
        ] {
            let lengths = (1..=64)
                .map(|part| limit / 64 * part)
                .chain([limit - 1, limit]);
            for length in lengths {
                for frame in [7_001, 16_000, 64 << 10] {
                    let charged = take(limit, memory, length, frame);
                    assert!(
                        (length..=limit).contains(&charged),
                        "{length} of {limit}: {charged}"
                    );
                }
            }
        }
    }

    /// A whole body of three mebibytes that comes in steps of a tenth of a second, and the seconds until it was there or given
    /// up.
    async fn receive_in_steps(
        bytes_of_step: impl FnMut(usize) -> usize + Send + 'static,
    ) -> (Result<usize, ApiError>, f64) {
        receive_in_steps_within(&Timeouts::DEFAULT, bytes_of_step).await
    }

    async fn receive_in_steps_within(
        timeouts: &Timeouts,
        mut bytes_of_step: impl FnMut(usize) -> usize + Send + 'static,
    ) -> (Result<usize, ApiError>, f64) {
        const LENGTH: usize = 3 << 20;
        let steps = unfold((0, LENGTH), move |(step, left)| {
            let bytes = bytes_of_step(step).min(left);
            async move {
                if left == 0 {
                    return None;
                }
                sleep(Duration::from_millis(100)).await;
                let piece = Bytes::from(vec![b'x'; bytes]);
                Some((Ok::<_, Infallible>(piece), (step + 1, left - bytes)))
            }
        });
        let plan = MemoryPlan::new(Some(160 << 20), None, |_| None).unwrap();
        let budgets = Budgets::new(plan, LENGTH);
        let (body, began) = (Body::from_stream(steps), Instant::now());
        let received = ReceivedBody::receive_within(timeouts, &budgets, HERE, body, LENGTH).await;
        let length = received.map(|body| body.as_bytes().len());
        (length, began.elapsed().as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_a_little_slower_than_its_rate_is_given_up_and_one_a_little_faster_is_not() {
        let (faster, seconds) = receive_in_steps(|_| 17 * 1024 / 10).await;
        assert_eq!(faster.unwrap(), 3 << 20);
        assert!((180.0..190.0).contains(&seconds), "{seconds}");
        // It falls behind by a sixteenth of a second in each second, until the five of its grace are used up.
        let (slower, seconds) = receive_in_steps(|_| 15 * 1024 / 10).await;
        assert!(matches!(slower, Err(ApiError::SlowBody)), "{slower:?}");
        assert!((75.0..85.0).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_at_the_rate_of_its_setting() {
        let slow = Timeouts {
            body_rate: 4 << 10,
            ..Timeouts::DEFAULT
        };
        // A quarter of the usual rate, and somewhat more.
        let (whole, _) = receive_in_steps_within(&slow, |_| 5 * 1024 / 10).await;
        assert_eq!(whole.unwrap(), 3 << 20);
        let (slower, _) = receive_in_steps(|_| 5 * 1024 / 10).await;
        assert!(matches!(slower, Err(ApiError::SlowBody)), "{slower:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_five_seconds_are_free_and_what_came_early_counts() {
        let after = |steps| move |step| if step < steps { 0 } else { 64 << 10 };
        let (in_time, _) = receive_in_steps(after(48)).await;
        assert_eq!(in_time.unwrap(), 3 << 20);
        let (late, seconds) = receive_in_steps(after(52)).await;
        assert!(matches!(late, Err(ApiError::SlowBody)), "{late:?}");
        assert!((4.9..5.2).contains(&seconds), "{seconds}");
        // Ten seconds' worth at once, and then nothing.
        let at_once = |step| if step == 0 { 160 << 10 } else { 0 };
        let (stopped, seconds) = receive_in_steps(at_once).await;
        assert!(matches!(stopped, Err(ApiError::SlowBody)), "{stopped:?}");
        assert!((14.9..15.2).contains(&seconds), "{seconds}");
    }
}
