//! A list that is too long for one state of the database: read in pieces, each from a state of its own. None is kept while
//! the client takes a piece, however long that takes.

use std::{ops::ControlFlow, time::Instant};

use super::{
    Answer, CHUNK, Names,
    chunk::Chunk,
    first_pass::FirstPass,
    reading::{Opener, Reading, Rest},
    tell_broken_off,
};
use crate::{
    api::answer::{entry_json::size_of, error::ApiError, streaming::BrokenOff},
    store::{EntrySnapshot, EntryStore, LIST_WAIT, Reach, ReadError, Selection},
};

/// A list of which the first pass has not seen all.
pub(super) struct ListInPieces {
    reading: Reading,
    first: FirstPass,
    after: Names,
    answer: Answer,
}

/// What was read from one state of the store.
struct Piece {
    chunk: Chunk,
    /// The last entry that was looked at.
    after: Option<Names>,
    then: Then,
}

/// How a list goes on.
enum Then {
    /// With an entry of so many bytes, which did not fit into the chunk.
    Chunk(usize),
    /// With more from another state of the store.
    Piece,
    Over,
    BrokenOff(BrokenOff),
}

impl ListInPieces {
    pub(super) fn new(
        mut reading: Reading,
        first: FirstPass,
        after: Names,
        answer: Answer,
    ) -> Self {
        reading.gathering.in_small_parts();
        Self {
            reading,
            first,
            after,
            answer,
        }
    }

    /// Goes on with the first pass, answers, and sends the list.
    pub(super) async fn read(mut self: Box<Self>) -> Result<(), ReadError> {
        let store = self.reading.node.entries.store().clone();
        loop {
            let looked;
            (self, looked) = store
                .list(LIST_WAIT, move |snapshot| {
                    let looked = self.look(snapshot);
                    Ok((self, looked))
                })
                .await?;
            match looked {
                // A caller that went away needs no answer.
                Ok(_) if self.answer.is_closed() => return Ok(()),
                Ok(Some(after)) => self.after = after,
                Ok(None) => break,
                Err(error) => {
                    drop(self.answer.send(Err(error)));
                    return Ok(());
                }
            }
        }
        let Self {
            mut reading,
            first,
            answer,
            ..
        } = *self;
        match reading.answer(first, None, answer).await {
            None => Ok(()),
            Some(rest) => send(reading, rest)
                .await
                // The answer has begun: only the log can say it.
                .inspect_err(|error| tracing::error!(error = %error, "list_aborted")),
        }
    }

    fn look(&mut self, snapshot: &dyn EntrySnapshot) -> Result<Option<Names>, ApiError> {
        let Self {
            reading,
            first,
            after,
            ..
        } = self;
        let selection = Selection {
            after: Some(after.clone()),
            ..reading.page.selection.clone()
        };
        let reach = reading.reach();
        reading.first_pass(snapshot, &selection, reach, first)
    }
}

/// Sends the entries after the first pass's buffer.
async fn send(mut reading: Reading, rest: Rest) -> Result<(), ReadError> {
    let Rest {
        sender,
        window,
        mut after,
        mut chunk,
        ..
    } = rest;
    let (store, limit) = (
        reading.node.entries.store().clone(),
        reading.node.timeouts.list,
    );
    let mut sent = chunk.next(&sender, &window, CHUNK).await;
    while sent.is_ok() {
        let piece;
        (reading, piece) = store
            .list(limit, move |snapshot| {
                let piece = reading.piece(snapshot, after, chunk)?;
                Ok((reading, piece))
            })
            .await?;
        Piece { chunk, after, .. } = piece;
        match piece.then {
            Then::Chunk(bytes) => sent = chunk.next(&sender, &window, bytes).await,
            Then::Piece => {}
            Then::Over => {
                sent = chunk.end(&sender).await;
                break;
            }
            Then::BrokenOff(reason) => sent = Err(reason),
        }
    }
    if let Err(reason) = sent {
        tell_broken_off(reason);
    }
    Ok(())
}

impl Reading {
    /// What a piece may look at.
    fn reach(&self) -> Reach {
        let bounds = self.node.lists.bounds;
        Reach {
            rows: bounds.page_rows,
            until: Instant::now() + bounds.read_time,
        }
    }

    /// Appends what the key opens of the next entries, as far as there is room in the chunk.
    fn piece(
        &mut self,
        snapshot: &dyn EntrySnapshot,
        after: Option<Names>,
        mut chunk: Chunk,
    ) -> Result<Piece, ReadError> {
        let selection = Selection {
            after: after.clone(),
            ..self.page.selection.clone()
        };
        let reach = self.reach();
        let (mut after, mut then) = (after, None);
        let Self {
            node,
            taker,
            gathering,
            ..
        } = self;
        let opener = Opener {
            node,
            key: &self.key,
            page: &self.page,
        };
        let scanned = gathering.scan(snapshot, &selection, reach, &mut |entry| {
            let size = size_of(&entry, opener.page.form);
            if !chunk.fits(size) && opener.key.opens(entry.token) {
                then = Some(Then::Chunk(size));
                return ControlFlow::Break(());
            }
            if let Err(reason) = opener.append_verified(entry, &mut chunk.text) {
                then = Some(Then::BrokenOff(reason));
                return ControlFlow::Break(());
            }
            let (environment, key) = after.get_or_insert_default();
            entry.environment.clone_into(environment);
            entry.key.clone_into(key);
            ControlFlow::Continue(())
        })?;
        // An entry that does not fit is looked at again.
        let again = usize::from(matches!(then, Some(Then::Chunk(_))));
        node.looked_at(
            taker.address,
            scanned.looked_at - again.min(scanned.looked_at),
        );
        let then = then.unwrap_or_else(|| match scanned.stopped_at {
            None => Then::Over,
            stopped_at => {
                after = stopped_at;
                Then::Piece
            }
        });
        Ok(Piece { chunk, after, then })
    }
}
