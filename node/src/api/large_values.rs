//! Work for one large value: not on the threads that serve requests, as many at a time as there are cores, and within the
//! memory that is planned for it. Whatever is done on a serving thread is bounded by [`LARGE`].

use std::net::IpAddr;

use super::{NodeState, answer::error::ApiError};
pub(super) use crate::budget::LARGE_TOKEN;
use crate::budget::{ROOM_WAIT, Reservation, SEALING, SMALL_ANSWER};

/// From how many bytes on a value is large.
pub(super) const LARGE: usize = SMALL_ANSWER;

/// What opening a token takes, in bytes: itself, three quarters of it five times (its bytes, three parts of them, the
/// plaintext), and the names in it.
pub(super) fn cost_of_opening(token: usize) -> usize {
    token.saturating_mul(5)
}

/// What sealing a plaintext takes, in bytes, from its text as it is stored until that is committed.
pub(super) fn cost_of_sealing(plaintext: usize) -> usize {
    plaintext.saturating_mul(SEALING)
}

/// What judging a body takes beside itself, in bytes: the hashes of the names in it.
pub(super) fn cost_of_judging(body: usize) -> usize {
    body.saturating_mul(3)
}

/// Waits for memory in which large values are worked on.
pub(super) async fn room_for(
    node: &NodeState,
    address: IpAddr,
    bytes: usize,
) -> Result<Reservation, ApiError> {
    Ok(node
        .budgets
        .values
        .reserve(address, bytes, ROOM_WAIT)
        .await?)
}

/// Waits for a turn, and does the work where serving threads are not kept from others.
pub(super) async fn work<T, F>(node: &NodeState, job: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    node.value_threads.work(job).await
}
