//! How much memory each kind of work may take, so that no caller can end the node.
//!
//! All memory is one figure, `OSC_MEMORY_BYTES`. A [`MemoryPlan`] divides it into shares; each share that callers fill is a
//! [`Pool`], from which bytes are reserved before they are allocated. Where a share stays full, the node refuses requests that
//! need it; the other shares are not affected.

mod accounts;
mod caches;
mod cgroup;
mod cut_off;
mod messages;
mod plan;
mod pool;
mod window;

pub use caches::CacheSizes;
pub use cgroup::memory_limit;
pub use cut_off::CutOff;
pub use messages::{MessagePools, SMALL_MESSAGE};
pub use plan::{MemoryPlan, MemorySource, PlanError, Share};
pub use pool::{NoRoom, Pool, PoolUse, Reservation};
pub use window::{Window, WindowPart};

/// How long a request waits for room in a share before it is refused.
pub const ROOM_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// Bodies up to this size, in bytes, count as small and have a reserve of their own.
pub const SMALL_BODY: usize = 16 << 10;

/// Answers up to this size, in bytes, have a reserve of their own; larger values are opened and parsed in their own threads.
pub const SMALL_ANSWER: usize = 64 << 10;
/// What a token of a value of that size takes, in bytes. Rows with larger ones are read one at a time.
pub const LARGE_TOKEN: usize = SMALL_ANSWER / 3 * 4;

/// The memory for storing a value, for each of its stored bytes: its text twice, the encryption's buffer, its token, and the
/// four parts of opening that again before it counts. SQLite's copies of the token come after them, and need no more.
pub const SEALING: usize = 8;

/// The part of a share that is kept for small bodies, answers or messages.
const SMALL_PART: usize = 4;

fn small_part(share: usize) -> usize {
    share / SMALL_PART
}

/// The shares of one node from which callers reserve memory.
#[derive(Debug, Clone)]
pub struct Budgets {
    plan: MemoryPlan,
    /// Connections, their buffers and their headers.
    pub connections: Pool,
    /// Bodies of clients that are not known to be small.
    pub bodies: Pool,
    /// Bodies up to [`SMALL_BODY`].
    pub small_bodies: Pool,
    /// Answers over [`SMALL_ANSWER`], from when they are made until the client has them.
    pub answers: Pool,
    /// Answers up to [`SMALL_ANSWER`].
    pub small_answers: Pool,
    /// Memory for opening, parsing, sealing and writing one large value.
    pub values: Pool,
    /// Messages of other nodes.
    pub peers: MessagePools,
}

impl Budgets {
    /// The pools of a plan. `largest_body` is the size of the largest body that one address may send, whatever its quarter.
    pub fn new(plan: MemoryPlan, largest_body: usize) -> Self {
        let [bodies, answers] = [Share::Bodies, Share::Answers].map(|share| plan.bytes(share));
        Self {
            connections: Pool::for_addresses("connections", plan.bytes(Share::Connections), 0),
            bodies: Pool::for_addresses("bodies", bodies - small_part(bodies), largest_body),
            small_bodies: Pool::for_addresses("small_bodies", small_part(bodies), 0),
            answers: Pool::for_addresses("answers", answers - small_part(answers), 0),
            small_answers: Pool::for_addresses("small_answers", small_part(answers), 0),
            values: Pool::for_addresses("values", plan.bytes(Share::Values), 0),
            peers: MessagePools::new(plan.bytes(Share::Peers)),
            plan,
        }
    }

    /// The largest body or answer for which a share has room, in bytes.
    pub fn largest(plan: &MemoryPlan, share: Share) -> usize {
        let all = plan.bytes(share);
        all - small_part(all)
    }

    /// The longest value for which there is memory to store it, in bytes as it is stored. A value that needs more than its
    /// share goes alone, and uses a third of all memory at most: less than the unplanned part.
    pub fn largest_value(plan: &MemoryPlan) -> usize {
        plan.bytes(Share::Values).max(plan.total() / 3) / SEALING
    }

    /// How the memory is divided.
    pub fn plan(&self) -> &MemoryPlan {
        &self.plan
    }

    /// The bytes that every pool holds now, for the metrics.
    pub fn in_use(&self) -> [PoolUse; 8] {
        let pools = [
            &self.connections,
            &self.bodies,
            &self.small_bodies,
            &self.answers,
            &self.small_answers,
            &self.values,
            &self.peers.large,
            &self.peers.small,
        ];
        pools.map(Pool::in_use)
    }
}
