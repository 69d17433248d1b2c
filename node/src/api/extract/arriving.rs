//! A body as it arrives: kept no faster than there is memory for it, and given up where it comes slower than it must.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::{api::answer::error::ApiError, config::Timeouts};

/// What a body is charged with at a time, in bytes.
pub(super) const STEP: usize = 16 << 10;

/// How long a body may be, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'t> {
    /// Its grace and its rate.
    pub(super) timeouts: &'t Timeouts,
    /// No more bytes are read.
    pub(super) limit: usize,
    /// All of it comes within this time, however fast it comes.
    pub(super) within: Duration,
}

/// The memory of a body that is arriving.
pub(super) trait Room {
    /// Makes room for so many bytes where there was room for `had`, and returns for how many there is room now.
    async fn make(&mut self, had: usize, needed: usize) -> Result<usize, ApiError>;
}

/// So many bytes get room at a time: a quarter more, or a body in small frames would be copied for each of them.
pub(super) fn grown(had: usize, needed: usize) -> usize {
    needed.max(had + had / 4).next_multiple_of(STEP)
}

/// Reads a whole body.
pub(super) async fn receive(
    mut body: Body,
    terms: Terms<'_>,
    room: &mut impl Room,
) -> Result<Vec<u8>, ApiError> {
    let Terms {
        timeouts,
        limit,
        within,
    } = terms;
    // Before a byte is read, and so before `100 Continue`.
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::BodyTooLarge { limit });
    }
    let (mut bytes, mut began) = (Vec::new(), Instant::now());
    loop {
        let due = (timeouts.body + timeouts.time_of_body(bytes.len())).min(within);
        let frame = timeout_at(began + due, body.frame())
            .await
            .map_err(|_| ApiError::SlowBody)?;
        let Some(frame) = frame else {
            return Ok(bytes);
        };
        let Ok(data) = frame.map_err(|_| ApiError::UnreadableBody)?.into_data() else {
            continue;
        };
        let (had, needed) = (bytes.capacity(), bytes.len() + data.len());
        if needed > limit {
            return Err(ApiError::BodyTooLarge { limit });
        }
        if needed > had {
            let asked = Instant::now();
            let capacity = room.make(had, needed).await?;
            // The sender is not slow meanwhile.
            began += asked.elapsed();
            bytes.reserve_exact(capacity - bytes.len());
        }
        // Copied: a frame of one byte may keep a whole buffer of the connection alive.
        bytes.extend_from_slice(&data);
    }
}
