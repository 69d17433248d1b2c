//! Bodies of messages between nodes: charged for what has arrived, and given up where it does not arrive as fast as the body of
//! a client.

use std::net::IpAddr;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::{
    api::answer::error::ApiError,
    budget::{MessagePools, NoRoom, ROOM_WAIT, Reservation},
    config::Timeouts,
    peers::COPIES,
};

/// What a body is charged with at a time, in bytes, beside its copies.
const STEP: usize = 16 << 10;

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
    mut body: Body,
    length: Length,
) -> Result<(Bytes, Option<Reservation>), ApiError> {
    let limit = length.limit;
    // Before a byte is read, and so before `100 Continue`.
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::BodyTooLarge { limit });
    }
    let mut began = Instant::now();
    let mut arrived = Arrived {
        pools,
        address,
        length,
        bytes: Vec::new(),
        room: None,
    };
    loop {
        let bytes = arrived.bytes.len();
        let due = (timeouts.body + timeouts.time_of_body(bytes)).min(timeouts.message);
        let frame = timeout_at(began + due, body.frame())
            .await
            .map_err(|_| ApiError::SlowBody)?;
        let Some(frame) = frame else {
            break;
        };
        let Ok(data) = frame.map_err(|_| ApiError::UnreadableBody)?.into_data() else {
            continue;
        };
        if bytes + data.len() > limit {
            return Err(ApiError::BodyTooLarge { limit });
        }
        let asked = Instant::now();
        let room = arrived.make_room(data.len()).await;
        room.map_err(|_| ApiError::PeersBusy)?;
        // The sender is not slow meanwhile.
        began += asked.elapsed();
        arrived.bytes.extend_from_slice(&data);
    }
    Ok((arrived.bytes.into(), arrived.room))
}

/// What has arrived of a message.
struct Arrived<'p> {
    pools: &'p MessagePools,
    address: IpAddr,
    length: Length,
    bytes: Vec<u8>,
    room: Option<Reservation>,
}

impl Arrived<'_> {
    async fn make_room(&mut self, more: usize) -> Result<(), NoRoom> {
        let (had, needed) = (self.bytes.capacity(), self.bytes.len() + more);
        if needed <= had {
            return Ok(());
        }
        let Length { limit, announced } = self.length;
        // A quarter more, or a message in small frames would be copied for each of them.
        let grown = needed.max(had + had / 4).next_multiple_of(STEP);
        let capacity = grown.min(announced.unwrap_or(limit).max(needed));
        let pool = self.pools.for_message(announced.unwrap_or(capacity));
        // One that takes more than the part of an address is alone there.
        let bytes = (COPIES * capacity).min(pool.most_of_address());
        match &mut self.room {
            Some(room) if room.is_of(pool) => {
                let more = bytes.saturating_sub(room.bytes());
                room.grow_within(more, ROOM_WAIT).await?;
            }
            // The first bytes, or the first of a message that is no small one.
            room => *room = Some(pool.reserve(self.address, bytes, ROOM_WAIT).await?),
        }
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, net::Ipv4Addr, time::Duration};

    use futures::{StreamExt, stream};
    use tokio::time::sleep;

    use super::*;

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
