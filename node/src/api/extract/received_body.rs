//! Bodies of clients: charged for what has arrived, and given up where it does not arrive fast enough.

use std::{net::IpAddr, time::Duration};

use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::{
    api::{NodeState, answer::error::ApiError},
    budget::{Reservation, SMALL_BODY},
};

/// What a body is charged with at a time, in bytes: small ones, and others.
const SMALL_STEP: usize = 1 << 10;
const STEP: usize = 16 << 10;
/// How fast a body must arrive after its grace, in bytes per second.
const BYTES_PER_SECOND: usize = 16 << 10;

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
        mut body: Body,
        limit: usize,
    ) -> Result<Self, ApiError> {
        // Before a byte is read, and so before `100 Continue`.
        if body.size_hint().lower() > limit as u64 {
            return Err(ApiError::BodyTooLarge { limit });
        }
        let began = Instant::now();
        let mut arrived = Arrived::default();
        loop {
            let length = arrived.bytes.len();
            let due = began + node.patience.body + time_of(length);
            let frame = timeout_at(due, body.frame())
                .await
                .map_err(|_| ApiError::SlowBody)?;
            let Some(frame) = frame else {
                break;
            };
            let Ok(data) = frame.map_err(|_| ApiError::UnreadableBody)?.into_data() else {
                continue;
            };
            if length + data.len() > limit {
                return Err(ApiError::BodyTooLarge { limit });
            }
            // Copied: a frame of one byte may keep a whole buffer of the connection alive.
            arrived.make_room(node, address, data.len())?;
            arrived.bytes.extend_from_slice(&data);
        }
        Ok(Self {
            bytes: arrived.bytes,
            _room: arrived.room,
        })
    }
}

/// What has arrived of a body.
#[derive(Default)]
struct Arrived {
    bytes: Vec<u8>,
    room: Option<Reservation>,
}

impl Arrived {
    fn make_room(
        &mut self,
        node: &NodeState,
        address: IpAddr,
        more: usize,
    ) -> Result<(), ApiError> {
        let (had, needed) = (self.bytes.capacity(), self.bytes.len() + more);
        if needed <= had {
            return Ok(());
        }
        let budgets = &node.budgets;
        let capacity = if needed <= SMALL_BODY {
            needed.next_multiple_of(SMALL_STEP)
        } else {
            // A quarter more, or a body in small frames would be copied for each of them.
            needed.max(had + had / 4).next_multiple_of(STEP)
        };
        match &mut self.room {
            Some(room) if capacity <= SMALL_BODY || had > SMALL_BODY => {
                room.grow(capacity - room.bytes())?;
            }
            room => {
                let pool = if capacity <= SMALL_BODY {
                    &budgets.small_bodies
                } else {
                    &budgets.bodies
                };
                *room = Some(pool.try_reserve(address, capacity)?);
            }
        }
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }
}

/// How long so many bytes may take.
fn time_of(bytes: usize) -> Duration {
    let micros = bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
