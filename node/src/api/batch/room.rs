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
        large_values::{LARGE, cost_of_opening, cost_of_sealing},
    },
    budget::{Budgets, NoRoom, Pool, ROOM_WAIT, Reservation},
    store::Atomicity,
};

/// What a batch holds, and more of it while a large value is opened that is to be replaced.
#[derive(Debug)]
pub(super) struct WorkRoom {
    address: IpAddr,
    /// What it holds at any time, in bytes.
    base: usize,
    room: Reservation,
    /// Whether the last wait for the room of the rows was in vain.
    waited_in_vain: bool,
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
        // A value that needs more than the share goes alone, in all of it.
        let base = base(tasks, all, atomicity).min(node.budgets.values.capacity());
        let lacking = base.saturating_sub(room.bytes());
        room.shrink_to(base);
        if lacking > 0 && !room.grow_now(lacking) {
            // Who waits holds nothing.
            drop(room);
            room = node
                .budgets
                .values
                .reserve(address, base, ROOM_WAIT)
                .await?;
        }
        Ok(Self {
            address,
            base,
            room,
            waited_in_vain: false,
        })
    }

    /// Takes room for opening a token of so many bytes, where there is some now.
    pub(super) fn try_to_open(&mut self, token: usize) -> bool {
        self.room.grow_now(cost_of_opening(token))
    }

    /// Waits for that.
    pub(super) async fn wait_to_open(&mut self, share: &Pool, token: usize) -> Result<(), NoRoom> {
        self.room.shrink_to(0);
        let needed = self.base.saturating_add(cost_of_opening(token));
        let waited = self.wait_for(share, needed).await;
        if waited.is_err() {
            // Where that fails, the next row waits for it.
            self.room.grow_now(self.base);
        }
        waited
    }

    /// Has the room of the rows again before the next one is done, where it was given back for a wait that was in vain. Of the
    /// rows that follow one waits, and where that is in vain too, the others are refused as long as there is no room.
    pub(super) async fn hold(&mut self, share: &Pool) -> Result<(), NoRoom> {
        // Of what the row before opened nothing is left.
        self.room.shrink_to(self.base);
        let lacking = self.base.saturating_sub(self.room.bytes());
        if lacking == 0 || self.room.grow_now(lacking) {
            self.waited_in_vain = false;
            return Ok(());
        }
        if self.waited_in_vain {
            return Err(share.refuse());
        }
        self.room.shrink_to(0);
        let waited = self.wait_for(share, self.base).await;
        self.waited_in_vain = waited.is_err();
        waited
    }

    async fn wait_for(&mut self, share: &Pool, bytes: usize) -> Result<(), NoRoom> {
        self.room = share.reserve(self.address, bytes, ROOM_WAIT).await?;
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: usize = 100;

    /// A batch that holds 100 bytes of a share of 1,000, which its address may hold alone.
    fn batch(share: &Pool) -> WorkRoom {
        let address = [192, 0, 2, 1].into();
        WorkRoom {
            address,
            base: 100,
            room: share.try_reserve(address, 100).unwrap(),
            waited_in_vain: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_whose_room_others_took_does_no_row_until_it_has_it_again() {
        let share = Pool::shared("tests", 1_000);
        let mut batch = batch(&share);
        let (other, take) = ([192, 0, 2, 2].into(), 900);
        let mut others = vec![share.try_reserve(other, take).unwrap()];
        assert!(!batch.try_to_open(TOKEN));
        let mut waiting = Box::pin(batch.wait_to_open(&share, TOKEN));
        // While it waits it holds nothing, and another one takes what it had.
        assert!(futures::poll!(&mut waiting).is_pending());
        others.push(share.try_reserve(other, 100).unwrap());
        assert!(waiting.await.is_err());

        let began = tokio::time::Instant::now();
        assert!(batch.hold(&share).await.is_err(), "it has no room");
        for _ in 0..1_000 {
            assert!(batch.hold(&share).await.is_err());
        }
        assert_eq!(began.elapsed(), ROOM_WAIT, "its rows wait once");
        assert_eq!(share.in_use().reserved, 1_000, "nothing is held uncharged");

        others.pop();
        assert!(batch.hold(&share).await.is_ok());
        assert_eq!(batch.room.bytes(), batch.base);
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_waits_for_room_is_done_once_there_is_some() {
        let share = Pool::shared("tests", 1_000);
        let mut batch = batch(&share);
        batch.room.shrink_to(0);
        let other = share.try_reserve([192, 0, 2, 2].into(), 950).unwrap();
        let held = {
            let mut holding = Box::pin(batch.hold(&share));
            assert!(futures::poll!(&mut holding).is_pending());
            drop(other);
            holding.await
        };
        assert!(held.is_ok());
        assert_eq!(share.in_use().reserved, 100);
    }
}
