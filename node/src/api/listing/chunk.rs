//! What the second pass over a list sends at a time.

use super::CHUNK;
use crate::{
    api::answer::streaming::{BrokenOff, Sender},
    budget::{Reservation, Window, WindowPart},
};

/// What a chunk is charged with: a part of the list's window, or what the first pass reserved.
#[derive(Default)]
pub(super) struct ChunkRoom {
    _part: Option<WindowPart>,
    _first: Option<Reservation>,
}

impl ChunkRoom {
    pub(super) fn new(part: Option<WindowPart>, first: Option<Reservation>) -> Self {
        Self {
            _part: part,
            _first: first,
        }
    }
}

/// Text of some entries, and the room that it has.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) text: String,
    /// How many bytes there may be.
    size: usize,
    room: ChunkRoom,
}

impl Chunk {
    /// The first pass's buffer: nothing more fits into it.
    pub(super) fn first(text: String, room: ChunkRoom) -> Self {
        Self {
            text,
            size: 0,
            room,
        }
    }

    /// Whether an entry of so many bytes has room in it.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.text.len().saturating_add(bytes) <= self.size
    }

    /// Sends it, and waits for room for the next one, in which an entry of so many bytes fits. All that the list holds
    /// meanwhile is on its way to the client: it waits for no other client.
    pub(super) async fn next(
        &mut self,
        sender: &Sender,
        window: &Window,
        bytes: usize,
    ) -> Result<(), BrokenOff> {
        let full = std::mem::take(self);
        // The bracket stays before the first entry, which a comma does not precede.
        let is_begun = full.text != "[";
        if is_begun && !full.text.is_empty() {
            sender.send(full.text, full.room).await?;
        } else {
            drop(full.room);
        }
        let size = bytes.max(CHUNK);
        let part = sender.room(window, size).await?;
        *self = Self {
            text: String::with_capacity(size),
            size,
            room: ChunkRoom::new(Some(part), None),
        };
        if !is_begun {
            self.text.push('[');
        }
        Ok(())
    }

    /// Sends it as the end of the list.
    pub(super) async fn end(mut self, sender: &Sender) -> Result<(), BrokenOff> {
        self.text.push(']');
        sender.send(self.text, self.room).await?;
        sender.end().await
    }
}
