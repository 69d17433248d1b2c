//! The share of messages between nodes. Small ones have a part of their own, so that greetings never wait for what is large.

use super::{Pool, small_part};

/// Messages up to this size, in bytes, count as small.
pub const SMALL_MESSAGE: usize = 64 << 10;

/// The share of messages between nodes.
#[derive(Debug, Clone)]
pub struct MessagePools {
    /// Those up to [`SMALL_MESSAGE`]; one address sends a quarter of them at most.
    pub small: Pool,
    /// All others. One address sends three quarters at most: the longest message needs more than one.
    pub large: Pool,
}

impl MessagePools {
    /// Divides a share of so many bytes.
    pub fn new(share: usize) -> Self {
        let small = small_part(share);
        let large = share - small;
        Self {
            small: Pool::for_addresses("small_peers", small, 0),
            large: Pool::for_addresses("peers", large, large / 4 * 3),
        }
    }

    /// Where a message of so many bytes belongs.
    pub fn for_message(&self, bytes: usize) -> &Pool {
        if bytes <= SMALL_MESSAGE {
            &self.small
        } else {
            &self.large
        }
    }
}
