//! Lists: what the caller's key opens, from one state of the database, sent while it is still being read.
//!
//! Small lists are opened in one pass. Of large ones the first pass opens what fits into a buffer and only verifies the
//! HMACs of the rest, so that `X-OSC-Skipped` is known before the first byte; a second pass opens and sends the rest.
//! Memory does not grow with the list.

use std::{ops::ControlFlow, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    Node,
    auth::CallerKey,
    entry_json::{Form, Shown},
    error::ApiError,
    page::{Cursor, Page},
    sealing::{read_plaintext, unreadable},
};
use crate::{
    crypto::DataKey,
    json::Json,
    store::{ListedEntry, ReadError, Snapshot},
};

const SKIPPED: HeaderName = HeaderName::from_static("x-osc-skipped");
/// What is sent at once, and what a list may have at most to be opened in one pass.
const CHUNK: usize = 64 << 10;
const ONE_PASS: usize = 1 << 20;
/// A client that takes no chunk for this long is cut off, or it would hold a connection to the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known before the first byte is sent.
struct Head {
    opened: usize,
    skipped: usize,
    next: Option<Cursor>,
    body: Body,
}

/// The list that a page asks for.
pub(super) async fn list(node: Node, caller: CallerKey, page: Page) -> Result<Response, ApiError> {
    let caller = caller.derive(&node).await?;
    let (answer, head) = oneshot::channel();
    let reading = tokio::spawn({
        let (store, key, page) = (
            node.store.clone(),
            caller.derivation.key.clone(),
            page.clone(),
        );
        async move {
            store
                .snapshot(move |snapshot| Reading { key, page }.run(snapshot, answer))
                .await
        }
    });
    let Ok(head) = head.await else {
        // It ended before it answered, and says why.
        let result = reading.await.unwrap_or(Err(ReadError::Ended));
        return Err(result.err().unwrap_or(ReadError::Ended).into());
    };
    let head = head?;
    if head.opened > 0 {
        caller.proved(&node);
    } else if head.skipped > 0 {
        caller.failed(&node);
    }
    let mut response = Response::new(head.body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    // Entries under other user keys are nobody's business here, but that there are some is.
    if head.skipped > 0 {
        headers.insert(SKIPPED, head.skipped.into());
    }
    if let Some(link) = head.next.and_then(|cursor| page.link(&cursor)) {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

struct Reading {
    key: DataKey,
    page: Page,
}

/// What the first pass found.
#[derive(Default)]
struct FirstPass {
    opened: usize,
    skipped: usize,
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
        self,
        snapshot: &Snapshot<'_>,
        answer: oneshot::Sender<Result<Head, ApiError>>,
    ) -> Result<(), ReadError> {
        let mut buffer = String::from("[");
        let mut first = FirstPass::default();
        let mut failure = None;
        snapshot.scan(&self.page.selection, |entry| {
            match self.first_pass(entry, &mut first, &mut buffer) {
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
            opened: first.opened,
            skipped: first.skipped,
            next,
            body: Body::empty(),
        };
        if rest == 0 {
            buffer.push(']');
            head.body = buffer.into();
            drop(answer.send(Ok(head)));
            return Ok(());
        }
        let (chunks, received) = mpsc::channel(1);
        head.body = streamed(received);
        if answer.send(Ok(head)).is_err() {
            return Ok(());
        }
        self.second_pass(snapshot, first.last_buffered, rest, buffer, &Sender(chunks))
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
            match self.key.open(entry.token) {
                Ok(plaintext) => {
                    self.append(entry, &plaintext, buffer)?;
                    true
                }
                Err(_) => false,
            }
        } else {
            let opens = self.key.opens(entry.token);
            if opens && buffers {
                separate(buffer);
                Shown::from(entry).write(Form::Names, &Json::Null, buffer);
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

    /// Opens and sends `rest` entries after the cursor; what goes wrong now can only end the connection.
    fn second_pass(
        &self,
        snapshot: &Snapshot<'_>,
        after: Option<Cursor>,
        mut rest: usize,
        mut buffer: String,
        sender: &Sender,
    ) -> Result<(), ReadError> {
        let mut selection = self.page.selection.clone();
        selection.after = after.map(Cursor::into_parts);
        let mut broken = false;
        snapshot.scan(&selection, |entry| {
            if rest == 0 {
                return ControlFlow::Break(());
            }
            if buffer.len() >= CHUNK && !sender.send(std::mem::take(&mut buffer)) {
                broken = true;
                return ControlFlow::Break(());
            }
            if self.page.form == Form::Names {
                if self.key.opens(entry.token) {
                    separate(&mut buffer);
                    Shown::from(entry).write(Form::Names, &Json::Null, &mut buffer);
                    rest -= 1;
                }
            } else if let Ok(plaintext) = self.key.open(entry.token) {
                if self.append(entry, &plaintext, &mut buffer).is_err() {
                    tracing::error!(
                        key = entry.key,
                        environment = entry.environment,
                        "list_broken_off"
                    );
                    broken = true;
                    return ControlFlow::Break(());
                }
                rest -= 1;
            }
            ControlFlow::Continue(())
        })?;
        if broken {
            sender.abort();
        } else {
            buffer.push(']');
            sender.send(buffer);
        }
        Ok(())
    }

    fn append(
        &self,
        entry: ListedEntry<'_>,
        plaintext: &[u8],
        buffer: &mut String,
    ) -> Result<(), ApiError> {
        let value = read_plaintext(plaintext)
            .map_err(|reason| unreadable(entry.environment, entry.key, &reason))?;
        separate(buffer);
        Shown::from(entry).write(self.page.form, &value, buffer);
        Ok(())
    }
}

/// The buffer of a list begins with its bracket, or in the middle of it with nothing.
fn separate(buffer: &mut String) {
    if buffer != "[" {
        buffer.push(',');
    }
}

type Chunk = Result<Bytes, std::io::Error>;

/// The blocking side of a streamed body.
struct Sender(mpsc::Sender<Chunk>);

impl Sender {
    /// Whether the client takes it in time.
    fn send(&self, text: String) -> bool {
        self.hand_over(Ok(text.into()))
    }

    /// Ends the connection, so that half a list is not taken for a whole one.
    fn abort(&self) {
        self.hand_over(Err(std::io::ErrorKind::ConnectionAborted.into()));
    }

    fn hand_over(&self, chunk: Chunk) -> bool {
        tokio::runtime::Handle::current()
            .block_on(timeout(PATIENCE, self.0.send(chunk)))
            .is_ok_and(|sent| sent.is_ok())
    }
}

fn streamed(received: mpsc::Receiver<Chunk>) -> Body {
    Body::from_stream(futures::stream::unfold(received, async |mut received| {
        let chunk = received.recv().await?;
        Some((chunk, received))
    }))
}
