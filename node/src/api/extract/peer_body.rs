//! Bodies of messages between nodes: charged for what has arrived, and given up where it does not arrive as fast as the body of
//! a client.

use std::net::IpAddr;

use axum::body::Body;
use bytes::Bytes;

use super::arriving::{self, Room, Terms, grown};
use crate::{
    api::answer::error::ApiError,
    budget::{MessagePools, ROOM_WAIT, Reservation},
    config::Timeouts,
    peers::COPIES,
};

/// The length of a message, as far as it is known before it comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    /// No more is read.
    pub(super) limit: usize,
    /// What the sender announced, which is no more than the limit.
    pub(super) announced: Option<usize>,
}

/// Reads a message from this address. Its room is for the text and for what is made of it; one without a byte has none.
pub(super) async fn receive(
    timeouts: &Timeouts,
    pools: &MessagePools,
    address: IpAddr,
    body: Body,
    length: Length,
) -> Result<(Bytes, Option<Reservation>), ApiError> {
    let terms = Terms {
        timeouts,
        limit: length.limit,
        within: timeouts.message,
    };
    let mut room = MessageRoom {
        pools,
        address,
        length,
        held: None,
    };
    let bytes = arriving::receive(body, terms, &mut room).await?;
    Ok((bytes.into(), room.held))
}

/// The room of a message, which waits for more where there is none.
struct MessageRoom<'p> {
    pools: &'p MessagePools,
    address: IpAddr,
    length: Length,
    held: Option<Reservation>,
}

impl Room for MessageRoom<'_> {
    async fn make(&mut self, had: usize, needed: usize) -> Result<usize, ApiError> {
        let Length { limit, announced } = self.length;
        let capacity = grown(had, needed).min(announced.unwrap_or(limit).max(needed));
        let pool = self.pools.for_message(announced.unwrap_or(capacity));
        // One that takes more than the part of an address is alone there.
        let bytes = (COPIES * capacity).min(pool.most_of_address());
        let room = match &mut self.held {
            Some(held) if held.is_of(pool) => {
                let more = bytes.saturating_sub(held.bytes());
                held.grow_within(more, ROOM_WAIT).await
            }
            // The first bytes, or the first of a message that is no small one.
            held => {
                let larger = pool.reserve(self.address, bytes, ROOM_WAIT).await;
                larger.map(|larger| *held = Some(larger))
            }
        };
        room.map_err(|_| ApiError::PeersBusy)?;
        Ok(capacity)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, net::Ipv4Addr, time::Duration};

    use futures::{StreamExt, stream};
    use tokio::time::{Instant, sleep};

    use super::{super::arriving::STEP, *};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const MIB: usize = 1 << 20;

    fn pools() -> MessagePools {
        MessagePools::new(16 * MIB)
    }

    fn announced(length: usize) -> Length {
        Length {
            limit: length,
            announced: Some(length),
        }
    }

    const UNKNOWN: Length = Length {
        limit: 12 * MIB,
        announced: None,
    };

    /// Pieces of so many bytes, each after a pause of so many milliseconds.
    fn body(pieces: Vec<(u64, usize)>) -> Body {
        let pieces = stream::iter(pieces).then(async |(pause, bytes)| {
            sleep(Duration::from_millis(pause)).await;
            Ok::<_, Infallible>(Bytes::from(vec![b' '; bytes]))
        });
        Body::from_stream(pieces)
    }

    async fn take(
        pools: &MessagePools,
        body: Body,
        length: Length,
    ) -> Result<(Bytes, Option<Reservation>), ApiError> {
        receive(&Timeouts::DEFAULT, pools, HERE, body, length).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_takes_no_room_and_is_given_up_after_its_grace() {
        for length in [UNKNOWN, announced(11 * MIB)] {
            let (pools, began) = (pools(), Instant::now());
            let never = body(vec![(60_000, 1)]);
            let receiving = take(&pools, never, length);
            let looking = async {
                sleep(Duration::from_secs(4)).await;
                [&pools.small, &pools.large].map(|pool| pool.in_use().reserved)
            };
            let (received, reserved) = tokio::join!(receiving, looking);
            assert!(matches!(received, Err(ApiError::SlowBody)));
            assert_eq!(reserved, [0, 0], "{length:?}");
            assert_eq!(began.elapsed().as_secs(), 5);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_takes_twice_what_has_come_and_large_ones_leave_the_room_of_small_ones() {
        let pools = pools();
        for (length, bytes, of_small) in [
            (announced(1_000), 1_000, true),
            (announced(SMALL), SMALL, true),
            (announced(SMALL + 1), SMALL + 1, false),
            (UNKNOWN, 1_000, true),
            (UNKNOWN, 3 * MIB, false),
        ] {
            let pieces = vec![(0, 10_000); bytes / 10_000];
            let pieces = body([pieces, vec![(0, bytes % 10_000)]].concat());
            let (text, room) = take(&pools, pieces, length).await.unwrap();
            let room = room.unwrap();
            assert_eq!(text.len(), bytes);
            assert!((2 * bytes..3 * bytes + 4 * STEP).contains(&room.bytes()));
            assert_eq!(room.is_of(&pools.small), of_small, "{bytes}");
            assert_eq!(pools.small.in_use().reserved > 0, of_small);
            drop(room);
            assert_eq!(pools.large.in_use().reserved, 0);
        }
        let (text, room) = take(&pools, Body::empty(), UNKNOWN).await.unwrap();
        assert!(text.is_empty() && room.is_none());
    }

    const SMALL: usize = crate::budget::SMALL_MESSAGE;

    #[tokio::test(start_paused = true)]
    async fn a_message_that_comes_steadily_has_half_a_minute() {
        // Always ahead of its rate.
        let pieces = body(vec![(1_000, 64 << 10); 60]);
        let began = Instant::now();
        let received = take(&pools(), pieces, UNKNOWN).await;
        assert!(matches!(received, Err(ApiError::SlowBody)));
        assert_eq!(began.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_message_comes_and_one_that_finds_no_room_is_refused() {
        let pools = pools();
        let whole = || body(vec![(0, 100_000); 110]);
        let (text, room) = take(&pools, whole(), announced(11_000_000)).await.unwrap();
        assert_eq!(text.len(), 11_000_000);
        assert_eq!(
            room.as_ref().unwrap().bytes(),
            9 * MIB,
            "the part of an address"
        );
        let refused = take(&pools, whole(), announced(11_000_000)).await;
        assert!(matches!(refused, Err(ApiError::PeersBusy)));
        drop(room);
        take(&pools, whole(), UNKNOWN).await.unwrap();
    }
}
