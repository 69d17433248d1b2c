//! A list that is read from one state of the database.

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use axum::body::Body;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::{
    Answer, CHUNK, Head, Names, ONE_PASS,
    chunk::{Chunk, ChunkRoom},
    first_pass::{FirstPass, Wanted, separate},
    in_pieces::ListInPieces,
    tell_broken_off,
};
use crate::{
    api::{
        Node,
        answer::{
            entry_json::{Form, Shown, size_of},
            error::ApiError,
            streaming::{BrokenOff, Sender, stream},
            untaken::Taker,
        },
        extract::{auth::Listed, page::Page},
        list_turns::Turn,
        sealing::{tell_passed_over, unreadable},
        value_text::ValueText,
    },
    budget::{NoRoom, Reservation, Window},
    crypto::{DataKey, Unopened},
    domain::Timestamp,
    entries::ScatterGather,
    log::logged_name,
    store::{EntrySnapshot, ListedEntry, Reach, ReadError, Selection},
};

/// Chunks of small entries that are made and on their way at a time.
const CHUNKS_AT_ONCE: usize = 3;

pub(super) struct Reading {
    pub(super) node: Node,
    pub(super) key: Arc<DataKey>,
    /// What is older than this was not created by who asks, as far as the cache knows.
    pub(super) since: Timestamp,
    pub(super) page: Page,
    pub(super) taker: Taker,
    /// The memory of the buffer, once it is large.
    pub(super) room: Option<Reservation>,
    pub(super) gathering: ScatterGather,
    /// Kept while it is read.
    pub(super) _turn: Option<Turn>,
}

/// What is left to do when a state of the database is not needed any more.
pub(super) enum Next {
    Over,
    Tail(Tail),
    Pieces(Box<ListInPieces>),
}

/// The end of a list.
pub(super) struct Tail {
    sender: Sender,
    chunk: Chunk,
}

impl Tail {
    pub(super) async fn send(mut self) {
        self.sender.read_until(None);
        if let Err(reason) = self.chunk.end(&self.sender).await {
            tell_broken_off(reason);
        }
    }
}

/// What the second pass has to do.
pub(super) struct Rest {
    pub(super) sender: Sender,
    /// The room of all that is not sent yet.
    pub(super) window: Window,
    /// The entry after which it begins.
    pub(super) after: Option<Names>,
    /// How many entries follow that the key opens, with those that are passed over although it does.
    pub(super) count: usize,
    /// The first pass's buffer.
    pub(super) chunk: Chunk,
}

impl Reading {
    pub(super) fn read(
        mut self,
        snapshot: &dyn EntrySnapshot,
        answer: Answer,
    ) -> Result<Next, ReadError> {
        // Others of this address may have had their turn meanwhile. A caller that went away needs no answer.
        if let Err(refusal) = self.node.may_list(self.taker.address) {
            drop(answer.send(Err(refusal)));
            return Ok(Next::Over);
        }
        let (began, bounds) = (Instant::now(), self.node.lists.bounds);
        let reach = Reach {
            rows: match self.page.limit {
                None => bounds.snapshot_rows,
                Some(_) => bounds.page_rows,
            },
            // The other half is for the second pass.
            until: began + bounds.read_time / 2,
        };
        let mut first = FirstPass::new();
        let selection = self.page.selection.clone();
        let stopped_at = match self.first_pass(snapshot, &selection, reach, &mut first) {
            Ok(stopped_at) => stopped_at,
            Err(error) => {
                drop(answer.send(Err(error)));
                return Ok(Next::Over);
            }
        };
        match stopped_at {
            Some(after) if self.page.limit.is_none() => {
                let list = ListInPieces::new(self, first, after, answer);
                Ok(Next::Pieces(Box::new(list)))
            }
            stopped_at => {
                match Handle::current().block_on(self.answer(first, stopped_at, answer)) {
                    None => Ok(Next::Over),
                    Some(rest) => self
                        .second_pass(snapshot, rest, began + bounds.read_time)
                        // The answer has begun: only the log can say it.
                        .inspect_err(|error| tracing::error!(error = %error, "list_aborted")),
                }
            }
        }
    }

    /// Looks at the selected entries; gives where it stopped before the end of them.
    pub(super) fn first_pass(
        &mut self,
        snapshot: &dyn EntrySnapshot,
        selection: &Selection,
        reach: Reach,
        first: &mut FirstPass,
    ) -> Result<Option<Names>, ApiError> {
        let Self {
            node,
            key,
            since,
            page,
            taker,
            room,
            gathering,
            ..
        } = self;
        let opener = Opener { node, key, page };
        let mut failure = None;
        let scanned = gathering.scan(snapshot, selection, reach, &mut |entry| {
            let size = size_of(&entry, page.form);
            let mut wanted = first.wants(page.limit);
            if wanted == Wanted::Text && !has_room(&first.buffer, size) {
                // Nothing is reserved for what another key opens.
                if !opener.key.opens(entry.token) {
                    first.skips(page.limit);
                    return ControlFlow::Continue(());
                }
                match make_room(node, taker, room, &mut first.buffer, size) {
                    Ok(true) => {}
                    Ok(false) => {
                        first.close();
                        wanted = Wanted::Verdict;
                    }
                    Err(refusal) => {
                        failure = Some(refusal.into());
                        return ControlFlow::Break(());
                    }
                }
            }
            let opens = match wanted {
                Wanted::Text => opener.append(entry, &mut first.buffer),
                Wanted::Verdict if opener.key.opens(entry.token) => Ok(Verdict::Opens),
                Wanted::Verdict => Ok(Verdict::Closed),
            };
            match opens {
                Ok(Verdict::Opens) => first.opens(entry, wanted, size, page.limit, *since),
                Ok(Verdict::Closed) => {
                    first.skips(page.limit);
                    ControlFlow::Continue(())
                }
                Ok(Verdict::Damaged) => {
                    first.passes_over(entry, size, page.limit);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        node.looked_at(taker.address, scanned.looked_at);
        failure.map_or(Ok(scanned.stopped_at), Err)
    }

    /// Answers with what the first pass found, and with all of it where it is in the buffer. `None` where nothing is left to do.
    pub(super) async fn answer(
        &mut self,
        mut first: FirstPass,
        stopped_at: Option<Names>,
        answer: Answer,
    ) -> Option<Rest> {
        let next = first.end(stopped_at);
        let mut head = Head {
            listed: Listed {
                opened: first.opened,
                skipped: first.skipped,
                older: first.older,
                continued: self.page.selection.after.is_some(),
            },
            missing: self.gathering.missing.clone(),
            lost: self.gathering.lost,
            next,
            body: Body::empty(),
            is_charged: false,
        };
        let answers = &self.node.answers;
        if first.opened == first.buffered {
            let mut buffer = first.buffer;
            buffer.push(']');
            if let Some(room) = self.room.take() {
                let pieces = vec![(buffer.into(), room)];
                head.body = answers.of_pieces(&self.taker, pieces);
                head.is_charged = true;
            } else {
                head.body = buffer.into();
            }
            drop(answer.send(Ok(head)));
            return None;
        }
        let (window, room) = match self.window(&mut first).await {
            Ok(window) => window,
            Err(refusal) => {
                drop(answer.send(Err(refusal.into())));
                return None;
            }
        };
        let answers = &self.node.answers;
        let (sender, body) = stream(self.node.timeouts, answers.streamed(&self.taker));
        head.body = body;
        head.is_charged = true;
        answer.send(Ok(head)).ok()?;
        Some(Rest {
            sender,
            window,
            count: first.left(),
            after: first.last_buffered.or(self.page.selection.after.clone()),
            chunk: Chunk::first(first.buffer, room),
        })
    }

    /// The room of the second pass, and that of the first pass's buffer. Where what is held is too little and there is no
    /// more, all of it is given back before the list waits, and the second pass begins anew.
    async fn window(&mut self, first: &mut FirstPass) -> Result<(Window, ChunkRoom), NoRoom> {
        let least = first.largest_left.max(CHUNK);
        let wanted = least.max(CHUNKS_AT_ONCE * CHUNK);
        if let Some(mut room) = self.room.take() {
            let is_more = room.grow_now(wanted);
            if is_more || room.bytes() >= least {
                let window = Window::new(room.split(wanted));
                // Without more the buffer lies in the window, until the client has it.
                let part = if is_more {
                    None
                } else {
                    Some(window.part(wanted).await)
                };
                return Ok((window, ChunkRoom::new(part, Some(room))));
            }
        }
        first.drop_buffer();
        let wanted = first.largest_left.max(CHUNKS_AT_ONCE * CHUNK);
        let answers = &self.node.answers;
        let room = answers.reserve_large(self.taker.address, wanted).await?;
        Ok((Window::new(room), ChunkRoom::default()))
    }

    /// Opens and sends the entries after the first pass's buffer; what goes wrong now can only end the connection, which it does
    /// unless the end is sent. Waits for the client no longer than until then.
    fn second_pass(
        mut self,
        snapshot: &dyn EntrySnapshot,
        rest: Rest,
        until: Instant,
    ) -> Result<Next, ReadError> {
        let Rest {
            mut sender,
            window,
            after,
            count: mut rest,
            mut chunk,
        } = rest;
        sender.read_until(Some(until));
        let mut selection = self.page.selection.clone();
        selection.after = after;
        let reach = Reach {
            rows: usize::MAX,
            until,
        };
        let opener = Opener {
            node: &self.node,
            key: &self.key,
            page: &self.page,
        };
        let mut broken_off = None;
        let scanned = self
            .gathering
            .scan(snapshot, &selection, reach, &mut |entry| {
                if rest == 0 {
                    return ControlFlow::Break(());
                }
                let size = size_of(&entry, opener.page.form);
                let sent = if chunk.fits(size) || !opener.key.opens(entry.token) {
                    Ok(())
                } else {
                    Handle::current().block_on(chunk.next(&sender, &window, size))
                };
                match sent.and_then(|()| opener.append_verified(entry, &mut chunk.text)) {
                    Ok(was_counted) => rest -= usize::from(was_counted),
                    Err(reason) => {
                        broken_off = Some(reason);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            })?;
        self.node.looked_at(self.taker.address, scanned.looked_at);
        if rest > 0 && broken_off.is_none() {
            broken_off = Some(if scanned.stopped_at.is_some() {
                BrokenOff::ReadTooLong
            } else {
                BrokenOff::ValueGone
            });
        }
        if let Some(reason) = broken_off {
            if reason == BrokenOff::ReadTooLong {
                self.node.metrics.lists.read_ended();
            }
            tell_broken_off(reason);
            return Ok(Next::Over);
        }
        Ok(Next::Tail(Tail { sender, chunk }))
    }
}

/// Opens entries, and writes them as the page wants them.
pub(super) struct Opener<'r> {
    pub(super) node: &'r Node,
    pub(super) key: &'r DataKey,
    pub(super) page: &'r Page,
}

impl Opener<'_> {
    /// Appends an entry where the key opens it.
    fn append(&self, entry: ListedEntry<'_>, buffer: &mut String) -> Result<Verdict, ApiError> {
        if self.page.form == Form::Names {
            let opens = self.append_name(entry, buffer);
            return Ok(if opens {
                Verdict::Opens
            } else {
                Verdict::Closed
            });
        }
        match self.open(entry) {
            Ok(plaintext) => self.append_value(entry, plaintext, buffer)?,
            Err(Unopened::Closed(_)) => return Ok(Verdict::Closed),
            Err(Unopened::Misplaced | Unopened::Altered) => return Ok(Verdict::Damaged),
        }
        Ok(Verdict::Opens)
    }

    /// The same behind the first pass's buffer; returns whether the entry counts among those that follow it.
    pub(super) fn append_verified(
        &self,
        entry: ListedEntry<'_>,
        buffer: &mut String,
    ) -> Result<bool, BrokenOff> {
        if self.page.form == Form::Names {
            return Ok(self.append_name(entry, buffer));
        }
        let plaintext = match self.open(entry) {
            Ok(plaintext) => plaintext,
            Err(Unopened::Closed(_)) => return Ok(false),
            Err(Unopened::Misplaced | Unopened::Altered) => return Ok(true),
        };
        self.append_value(entry, plaintext, buffer).map_err(|_| {
            tracing::error!(
                key = %logged_name(entry.key),
                environment = %logged_name(entry.environment),
                "value_not_readable"
            );
            BrokenOff::Unreadable
        })?;
        Ok(true)
    }

    fn append_name(&self, entry: ListedEntry<'_>, buffer: &mut String) -> bool {
        let opens = self.key.opens(entry.token);
        if opens {
            separate(buffer);
            Shown::from(entry).write(Form::Names, None, buffer);
        }
        opens
    }

    fn append_value(
        &self,
        entry: ListedEntry<'_>,
        plaintext: Zeroizing<Vec<u8>>,
        buffer: &mut String,
    ) -> Result<(), ApiError> {
        let value = ValueText::of_plaintext(plaintext)
            .map_err(|reason| unreadable(entry.environment, entry.key, reason))?;
        separate(buffer);
        Shown::from(entry).write(self.page.form, Some(&value), buffer);
        Ok(())
    }

    /// The plaintext of an entry. One that was written for another entry, or whose row was changed, is logged, and passed over.
    fn open(&self, entry: ListedEntry<'_>) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let names = (entry.environment, entry.key);
        self.key
            .open_unchecked_value(names, entry.token, entry.extra, || entry.is_as_written())
            .inspect_err(|unopened| tell_passed_over(self.node, names, *unopened))
    }
}

/// What became of an entry.
enum Verdict {
    Opens,
    /// The key does not open it.
    Closed,
    /// The key opens it, and it is passed over all the same.
    Damaged,
}

/// Whether the buffer has room for an entry of so many bytes, without growing.
fn has_room(buffer: &String, bytes: usize) -> bool {
    buffer.capacity() - buffer.len() >= bytes
}

/// Makes the buffer larger, as far as there is room for that, and returns whether there is. Waits only for its first room:
/// who waits holds nothing that another one waits for.
fn make_room(
    node: &Node,
    taker: &Taker,
    room: &mut Option<Reservation>,
    buffer: &mut String,
    bytes: usize,
) -> Result<bool, NoRoom> {
    let needed = buffer.len() + bytes;
    let wanted = needed.max((2 * buffer.capacity()).min(ONE_PASS));
    let capacity = match room {
        None => {
            *room = Some(node.answers.reserve_blocking(taker.address, wanted)?);
            Some(wanted)
        }
        Some(room) => [wanted, needed]
            .into_iter()
            .find(|bytes| room.grow_now(bytes.saturating_sub(room.bytes()))),
    };
    if let Some(capacity) = capacity {
        buffer.reserve_exact(capacity - buffer.len());
    }
    Ok(capacity.is_some())
}
