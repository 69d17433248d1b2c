//! Lists: what the caller's key opens, sent while it is still being read.
//!
//! Small lists are opened in one pass. Of large ones the first pass opens what fits into a buffer and only verifies the
//! HMACs of the rest, so that `X-OSC-Skipped` is known before the first byte; a second pass opens and sends the rest.
//! Memory does not grow with the list. Of the share of answers a list is one thing: it waits for room only while it holds
//! nothing, and in the second pass for its own client alone. A page, and a list of so many rows, is read from one state of the database; what is
//! longer in pieces, each from a state of its own.

mod chunk;
mod first_pass;
mod in_pieces;
mod reading;

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use tokio::sync::oneshot;

use self::reading::{Next, Reading};
use super::{
    Node,
    answer::{
        error::{ApiError, AuthRefusal, LOST, PARTIAL, missing_nodes},
        streaming::BrokenOff,
        untaken::{Charged, Taker},
    },
    extract::{
        auth::{CallerKey, Client, Listed},
        page::{Cursor, Page},
    },
};
use crate::{
    entries::ScatterGather,
    store::{EntryStore, LIST_WAIT, ReadError},
};

const SKIPPED: HeaderName = HeaderName::from_static("x-osc-skipped");
/// What is sent at once, and what a list may have at most to be opened in one pass.
const CHUNK: usize = 64 << 10;
const ONE_PASS: usize = 1 << 20;

/// The (environment, key) of an entry.
type Names = (String, String);
/// Where the head of the answer goes.
type Answer = oneshot::Sender<Result<Head, ApiError>>;

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
    Client(principal): Client,
    caller: CallerKey,
    taker: Taker,
    page: Page,
) -> Result<Response, ApiError> {
    node.may_list(taker.address)?;
    let turn = match page.limit {
        None => node.list_turn(taker.address).await?,
        Some(_) => None,
    };
    let caller = caller.derive(&node).await?;
    let missing = node.entries.nodes_lacking().await;
    let (answer, head) = oneshot::channel();
    let reading = Reading {
        node: Arc::clone(&node),
        key: Arc::clone(&caller.derivation.key),
        since: caller.derivation.since(),
        page: page.clone(),
        taker,
        room: None,
        gathering: ScatterGather::new(node.entries.of(principal), page.limit, missing),
        _turn: turn,
    };
    let reading = tokio::spawn(read(reading, answer));
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
    // Entries under other user keys do not concern this caller, but that there are some does.
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
    if let Some(cursor) = head.next {
        // Without the link the page would pass for the last one.
        let link = page.link(&node, &cursor);
        let link = link.ok_or_else(|| ApiError::Internal("a cursor cannot be sealed".into()))?;
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

/// Reads the list, and answers as soon as the head is known.
async fn read(reading: Reading, answer: Answer) -> Result<(), ReadError> {
    let store = reading.node.entries.store().clone();
    let read = store.list(LIST_WAIT, move |snapshot| reading.read(snapshot, answer));
    match read.await? {
        Next::Over => Ok(()),
        Next::Tail(tail) => {
            tail.send().await;
            Ok(())
        }
        Next::Pieces(list) => list.read().await,
    }
}

fn tell_broken_off(reason: BrokenOff) {
    tracing::warn!(reason = %reason, "list_aborted");
}
