//! The memory that a batch takes beside its body and its answer: its rows, their tokens until they are committed, and the
//! largest of its values while it is sealed.

use std::net::IpAddr;

use super::{
    each::{CHUNK_BYTES, CHUNKS_UNDER_WAY},
    task::Task,
};
use crate::{
    api::{
        NodeState,
        answer::error::ApiError,
        extract::rows::ROW,
        large_values::{LARGE, cost_of_opening, cost_of_sealing, room_for},
    },
    budget::{Budgets, Reservation},
    store::Atomicity,
};

/// What a batch holds, and more of it while a large value is opened that is to be replaced.
#[derive(Debug)]
pub(super) struct WorkRoom {
    address: IpAddr,
    /// What it holds at any time, in bytes.
    base: usize,
    room: Reservation,
}

impl WorkRoom {
    /// Makes of the room in which the rows were judged that of their work. Refused where all of them together, which are
    /// written at once, take more than there ever is.
    pub(super) async fn new(
        node: &NodeState,
        address: IpAddr,
        mut room: Reservation,
        tasks: &[Task],
        atomicity: Atomicity,
    ) -> Result<Self, ApiError> {
        let all: usize = tasks.iter().map(Task::stored).sum();
        let most = Budgets::largest_value(node.budgets.plan());
        if atomicity == Atomicity::All && all > most {
            return Err(ApiError::ValueTooLarge { length: all, most });
        }
        let base = base(tasks, all, atomicity);
        let lacking = base.saturating_sub(room.bytes());
        room.shrink_to(base);
        if lacking > 0 && !room.grow_now(lacking) {
            // Who waits holds nothing.
            drop(room);
            room = room_for(node, address, base).await?;
        }
        Ok(Self {
            address,
            base,
            room,
        })
    }

    /// Takes room for opening a token of so many bytes, where there is some now.
    pub(super) fn try_to_open(&mut self, token: usize) -> bool {
        self.room.grow_now(cost_of_opening(token))
    }

    /// Waits for that.
    pub(super) async fn wait_to_open(
        &mut self,
        node: &NodeState,
        token: usize,
    ) -> Result<(), ApiError> {
        self.room.shrink_to(0);
        let needed = self.base.saturating_add(cost_of_opening(token));
        match room_for(node, self.address, needed).await {
            Ok(room) => {
                self.room = room;
                Ok(())
            }
            Err(error) => {
                self.room.grow_now(self.base);
                Err(error)
            }
        }
    }

    /// What was opened is dropped.
    pub(super) fn release(&mut self) {
        self.room.shrink_to(self.base);
    }
}

/// What the rows of a batch take at a time, whose values are so many bytes together.
fn base(tasks: &[Task], all: usize, atomicity: Atomicity) -> usize {
    let largest = tasks.iter().map(Task::stored).max().unwrap_or_default();
    let at_once = match atomicity {
        Atomicity::All => all,
        // Those under way, and those that are being prepared.
        Atomicity::Each => all.min((CHUNKS_UNDER_WAY + 1) * CHUNK_BYTES.max(largest)),
    };
    let sealing = if largest > LARGE {
        cost_of_sealing(largest)
    } else {
        0
    };
    // A token is four thirds of what it holds.
    tasks.len() * ROW + at_once / 2 * 3 + sealing
}
