//! Lists: what the caller's key opens, from one state of the database, sent while it is still being read.
//!
//! Small lists are opened in one pass. Of large ones the first pass opens what fits into a buffer and only verifies the
//! HMACs of the rest, so that `X-OSC-Skipped` is known before the first byte; a second pass opens and sends the rest.
//! Memory does not grow with the list.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::{
    Node,
    answers::{Charged, Taker},
    auth::{CallerKey, Listed},
    entry_json::{Form, Shown},
    error::{ApiError, AuthRefusal, LOST, PARTIAL, missing_nodes},
    gathering::Gathering,
    page::{Cursor, Page},
    sealing::{tell_misplaced, unreadable},
    streaming::{Sender, stream},
    value_text::ValueText,
};
use crate::{
    budget::{Reservation, SMALL_ANSWER},
    config::Patience,
    crypto::{DataKey, Unopened},
    domain::Timestamp,
    log::logged_name,
    store::{ListedEntry, ReadError, Snapshot},
};

const SKIPPED: HeaderName = HeaderName::from_static("x-osc-skipped");
/// What is sent at once, and what a list may have at most to be opened in one pass.
const CHUNK: usize = 64 << 10;
const ONE_PASS: usize = 1 << 20;

/// What is known before the first byte is sent.
struct Head {
    listed: Listed,
    /// Nodes whose entries may be missing.
    missing: BTreeSet<String>,
    /// Entries whose values are lost.
    lost: usize,
    next: Option<Cursor>,
    body: Body,
    is_charged: bool,
}

/// The list that a page asks for.
pub(super) async fn list(
    node: Node,
    caller: CallerKey,
    taker: Taker,
    page: Page,
) -> Result<Response, ApiError> {
    let caller = caller.derive(&node).await?;
    let missing = match &node.federation {
        None => Vec::new(),
        Some(_) => node.missing_from_directory().await.lacking(),
    };
    let (answer, head) = oneshot::channel();
    let reading = tokio::spawn({
        let store = node.store.clone();
        let reading = Reading {
            node: Arc::clone(&node),
            key: Arc::clone(&caller.derivation.key),
            since: caller.derivation.since(),
            page: page.clone(),
            patience: node.patience,
            taker,
            room: None,
        };
        let gathering = Gathering::new(Arc::clone(&node), page.limit, missing);
        async move {
            store
                .snapshot(move |snapshot| reading.run(snapshot, gathering, answer))
                .await
        }
    });
    let Ok(head) = head.await else {
        // It ended before it answered, and says why.
        let result = reading.await.unwrap_or(Err(ReadError::Ended));
        return Err(result.err().unwrap_or(ReadError::Ended).into());
    };
    let head = head?;
    let mut response = Response::new(head.body);
    if head.is_charged {
        response.extensions_mut().insert(Charged);
    }
    let skipped = head.listed.skipped;
    if caller.listed(&node, &head.listed) {
        response.extensions_mut().insert(AuthRefusal {
            key: "user_key",
            reason: "opens nothing",
        });
    }
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    // Entries under other user keys are nobody's business here, but that there are some is.
    if skipped > 0 {
        headers.insert(SKIPPED, skipped.into());
    }
    if !head.missing.is_empty() {
        headers.insert(PARTIAL, HeaderValue::from_static("true"));
        headers.extend(missing_nodes(&head.missing));
    }
    if head.lost > 0 {
        headers.insert(LOST, head.lost.into());
    }
    if let Some(link) = head.next.and_then(|cursor| page.link(&cursor)) {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

struct Reading {
    node: Node,
    key: Arc<DataKey>,
    /// What is older than this was not created by who asks, as far as the cache knows.
    since: Timestamp,
    page: Page,
    patience: Patience,
    taker: Taker,
    /// The memory of the buffer, once it is large.
    room: Option<Reservation>,
}

/// What the second pass has to do.
struct Rest {
    /// The last entry that is in the buffer.
    after: Option<Cursor>,
    /// How many entries follow.
    count: usize,
    buffer: String,
}

/// What the first pass found.
#[derive(Default)]
struct FirstPass {
    opened: usize,
    skipped: usize,
    /// Whether something of the opened ones is older than the key.
    older: bool,
    /// Skipped after the last entry of the page: the next page counts them, if there is one.
    trailing: usize,
    /// How many of the opened entries are in the buffer, and the last of them.
    buffered: usize,
    last_buffered: Option<Cursor>,
    /// The last entry of the page, and whether another follows.
    last_opened: Option<Cursor>,
    more: bool,
}

impl Reading {
    fn run(
        mut self,
        snapshot: &Snapshot<'_>,
        mut gathering: Gathering,
        answer: oneshot::Sender<Result<Head, ApiError>>,
    ) -> Result<(), ReadError> {
        let mut buffer = String::with_capacity(CHUNK);
        buffer.push('[');
        let mut first = FirstPass::default();
        let mut failure = None;
        let selection = self.page.selection.clone();
        gathering.scan(snapshot, &selection, |entry| {
            let flow = self.first_pass(entry, &mut first, &mut buffer);
            match flow.and_then(|flow| self.make_room(&buffer).map(|()| flow)) {
                Ok(flow) => flow,
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        // A caller that went away needs no answer.
        if let Some(error) = failure {
            drop(answer.send(Err(error)));
            return Ok(());
        }
        if !first.more {
            first.skipped += first.trailing;
        }
        let rest = first.opened - first.buffered;
        let next = first.last_opened.take().filter(|_| first.more);
        let mut head = Head {
            listed: Listed {
                opened: first.opened,
                skipped: first.skipped,
                older: first.older,
            },
            missing: gathering.missing.clone(),
            lost: gathering.lost,
            next,
            body: Body::empty(),
            is_charged: false,
        };
        if rest == 0 {
            buffer.push(']');
            if let Some(room) = self.room {
                let pieces = vec![(buffer.into(), room)];
                head.body = self.node.answers.of_pieces(&self.taker, pieces);
                head.is_charged = true;
            } else {
                head.body = buffer.into();
            }
            drop(answer.send(Ok(head)));
            return Ok(());
        }
        let (sender, body) = stream(self.patience, self.node.answers.streamed(&self.taker));
        head.body = body;
        head.is_charged = true;
        if answer.send(Ok(head)).is_err() {
            return Ok(());
        }
        // The answer has begun: nobody else tells.
        let read = Rest {
            after: first.last_buffered,
            count: rest,
            buffer,
        };
        self.second_pass(snapshot, &mut gathering, read, &sender)
            .inspect_err(|error| tracing::error!(error = %error, "list_broken_off"))
    }

    fn first_pass(
        &self,
        entry: ListedEntry<'_>,
        first: &mut FirstPass,
        buffer: &mut String,
    ) -> Result<ControlFlow<()>, ApiError> {
        let full = self.page.limit.is_some_and(|limit| first.opened == limit);
        let buffers = !full && first.buffered == first.opened && buffer.len() < ONE_PASS;
        let opens = if buffers && self.page.form != Form::Names {
            match self.open(entry) {
                Ok(plaintext) => {
                    self.append(entry, plaintext, buffer)?;
                    true
                }
                Err(_) => false,
            }
        } else {
            let opens = self.key.opens(entry.token);
            if opens && buffers {
                separate(buffer);
                Shown::from(entry).write(Form::Names, None, buffer);
            }
            opens
        };
        if full && opens {
            first.more = true;
            return Ok(ControlFlow::Break(()));
        }
        if !opens {
            *(if full {
                &mut first.trailing
            } else {
                &mut first.skipped
            }) += 1;
            return Ok(ControlFlow::Continue(()));
        }
        first.opened += 1;
        first.older |= entry.created_at < self.since;
        if buffers {
            first.buffered += 1;
            if buffer.len() >= ONE_PASS {
                first.last_buffered = Some(Cursor::of(entry));
            }
        }
        if self.page.limit == Some(first.opened) {
            first.last_opened = Some(Cursor::of(entry));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Opens and sends the entries after the first pass's buffer; what goes wrong now can only end the connection, which it does
    /// unless the end is sent.
    fn second_pass(
        &mut self,
        snapshot: &Snapshot<'_>,
        gathering: &mut Gathering,
        rest: Rest,
        sender: &Sender,
    ) -> Result<(), ReadError> {
        let Rest {
            after,
            count: mut rest,
            mut buffer,
        } = rest;
        let mut selection = self.page.selection.clone();
        selection.after = after.map(Cursor::into_parts);
        let mut broken_off = None;
        // The first chunk is the first pass's buffer; of the others there are few at a time.
        let (mut first_room, room) = (self.room.take(), self.chunk_room());
        gathering.scan(snapshot, &selection, |entry| {
            if rest == 0 {
                return ControlFlow::Break(());
            }
            let sent = if buffer.len() < CHUNK {
                Ok(())
            } else {
                sender.send(std::mem::take(&mut buffer), first_room.take())
            };
            match sent.and_then(|()| self.append_if_opened(entry, &mut buffer)) {
                Ok(opened) => rest -= usize::from(opened),
                Err(reason) => {
                    broken_off = Some(reason);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        if rest > 0 && broken_off.is_none() {
            // Only where another node has what was verified before.
            broken_off = Some("a value cannot be had any more");
        }
        buffer.push(']');
        let sent = broken_off.map_or(Ok(()), Err);
        let sent = sent.and_then(|()| sender.send(buffer, room));
        if let Err(reason) = sent.and_then(|()| sender.end()) {
            tracing::warn!(reason, "list_broken_off");
        }
        Ok(())
    }

    /// The plaintext of an entry. One that was written for another entry is told of, and passed over.
    fn open(&self, entry: ListedEntry<'_>) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let names = (entry.environment, entry.key);
        let opened = self.key.open_value(names, entry.token, entry.extra);
        if opened == Err(Unopened::Misplaced) {
            tell_misplaced(&self.node, names);
        }
        opened
    }

    /// Waits for room where the buffer has outgrown what is reserved for it.
    fn make_room(&mut self, buffer: &String) -> Result<(), ApiError> {
        let needed = buffer.capacity();
        match &mut self.room {
            _ if needed <= SMALL_ANSWER => {}
            Some(room) if needed > room.bytes() => room.grow(needed - room.bytes())?,
            Some(_) => {}
            room => {
                let answers = &self.node.answers;
                *room = Some(answers.reserve_blocking(self.taker.address, needed)?);
            }
        }
        Ok(())
    }

    fn chunk_room(&self) -> Option<Reservation> {
        let answers = &self.node.answers;
        answers.reserve_blocking(self.taker.address, 3 * CHUNK).ok()
    }

    fn append_if_opened(
        &self,
        entry: ListedEntry<'_>,
        buffer: &mut String,
    ) -> Result<bool, &'static str> {
        if self.page.form == Form::Names {
            let opens = self.key.opens(entry.token);
            if opens {
                separate(buffer);
                Shown::from(entry).write(Form::Names, None, buffer);
            }
            return Ok(opens);
        }
        let plaintext = match self.open(entry) {
            Ok(plaintext) => plaintext,
            Err(Unopened::Closed(_)) => return Ok(false),
            // The first pass, which looked at the key alone, counted it.
            Err(Unopened::Misplaced) => return Ok(true),
        };
        self.append(entry, plaintext, buffer).map_err(|_| {
            tracing::error!(
                key = %logged_name(entry.key),
                environment = %logged_name(entry.environment),
                "value_not_readable"
            );
            "a value is not readable"
        })?;
        Ok(true)
    }

    fn append(
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
}

/// The buffer of a list begins with its bracket, or in the middle of it with nothing.
fn separate(buffer: &mut String) {
    if buffer != "[" {
        buffer.push(',');
    }
}
