//! A list that is too long for one state of the database: read in pieces, each from a state of its own. None is kept while
//! the client takes a piece, however long that takes.

use std::{ops::ControlFlow, time::Instant};

use super::{
    Answer, CHUNK, Names,
    first_pass::FirstPass,
    reading::{Opener, Reading, Rest},
    tell_broken_off,
};
use crate::{
    api::{error::ApiError, streaming::BrokenOff},
    store::{Reach, ReadError, Selection, Snapshot},
};

/// A list of which the first pass has not seen all.
pub(super) struct ListInPieces {
    reading: Reading,
    first: FirstPass,
    after: Names,
    answer: Answer,
}

/// The text of some entries.
struct Piece {
    text: String,
    /// The entry after which the list goes on.
    next: Option<Names>,
    broken_off: Option<BrokenOff>,
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
        let store = self.reading.node.store.clone();
        loop {
            let looked;
            (self, looked) = store
                .snapshot(move |snapshot| {
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
        match reading.answer(first, None, answer) {
            None => Ok(()),
            Some(rest) => send(reading, rest)
                .await
                // The answer has begun: nobody else tells.
                .inspect_err(|error| tracing::error!(error = %error, "list_aborted")),
        }
    }

    fn look(&mut self, snapshot: &Snapshot<'_>) -> Result<Option<Names>, ApiError> {
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
        mut after,
        mut buffer,
        ..
    } = rest;
    let (store, patience) = (reading.node.store.clone(), reading.node.patience.list);
    // The first chunk is the first pass's buffer; of the others there are few at a time.
    let mut first_room = reading.room.take();
    let answers = &reading.node.answers;
    let room = answers.reserve_large(reading.taker.address, 3 * CHUNK);
    let room = room.await.ok();
    let sent = loop {
        if buffer.len() >= CHUNK
            && let Err(reason) = sender
                .send(std::mem::take(&mut buffer), first_room.take())
                .await
        {
            break Err(reason);
        }
        let piece;
        (reading, piece) = store
            .snapshot_within(patience, move |snapshot| {
                let piece = reading.piece(snapshot, after, buffer)?;
                Ok((reading, piece))
            })
            .await?;
        buffer = piece.text;
        after = piece.next;
        if let Some(reason) = piece.broken_off {
            break Err(reason);
        }
        if after.is_none() {
            buffer.push(']');
            break match sender.send(buffer, first_room.take().or(room)).await {
                Ok(()) => sender.end().await,
                broken_off => broken_off,
            };
        }
    };
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

    /// Appends what the key opens of the next entries, until that is enough to send.
    fn piece(
        &mut self,
        snapshot: &Snapshot<'_>,
        after: Option<Names>,
        mut text: String,
    ) -> Result<Piece, ReadError> {
        let selection = Selection {
            after,
            ..self.page.selection.clone()
        };
        let reach = self.reach();
        let (mut enough_at, mut broken_off) = (None, None);
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
        let scanned = gathering.scan(snapshot, &selection, reach, |entry| {
            match opener.append_verified(entry, &mut text) {
                Ok(_) if text.len() < CHUNK => ControlFlow::Continue(()),
                Ok(_) => {
                    enough_at = Some((entry.environment.to_owned(), entry.key.to_owned()));
                    ControlFlow::Break(())
                }
                Err(reason) => {
                    broken_off = Some(reason);
                    ControlFlow::Break(())
                }
            }
        })?;
        node.looked_at(taker.address, scanned.looked_at);
        Ok(Piece {
            text,
            next: enough_at.or(scanned.stopped_at),
            broken_off,
        })
    }
}
