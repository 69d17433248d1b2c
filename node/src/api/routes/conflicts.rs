//! Values that lost against a concurrent write: shown to those whose user key opens them.

use std::fmt;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};

use crate::{
    api::{
        Node, NodeState,
        answer::{
            entry_json::{Form, optional, rfc_3339, size_of},
            error::ApiError,
            untaken::{Charged, ChunkedText, Taker},
        },
        extract::{
            auth::{CallerKey, Client, Listed},
            page::ConflictsPage,
            query::Query,
        },
        large_values::{cost_of_opening, room_for, work},
        openapi::{ConflictQuery, ConflictResponse, KeyHeaders, ListRefusals},
        sealing::tell_passed_over,
        value_text::ValueText,
    },
    budget::Reservation,
    crypto::DataKey,
    domain::{Category, Content, Row, Timestamp},
    json::write_string,
    store::{CONFLICT_PAGE_BYTES, ConflictPage, EntryStore, ListedEntry, LostVersion},
};

/// Ciphertext of a page at most, in bytes: it ends with the version that passes its size.
const LARGEST_PAGE: usize = 2 * CONFLICT_PAGE_BYTES;

/// How often a page is read that is larger than most.
const TRIES: usize = 3;

/// List lost versions
///
/// Of two writes that did not know of each other the later one stands; the other one is kept on the nodes that saw both.
/// Restore it with an ordinary PUT. The latest come first, a page at a time: a page may be empty and have a `Link` to the next one.
#[utoipa::path(
    get, path = "/cluster/conflicts", operation_id = "list_conflicts", tag = "cluster",
    params(ConflictQuery, KeyHeaders),
    responses((status = 200, body = [ConflictResponse], description = "Those that the user key opens", headers(
        ("Link" = String, description = "The next page, `rel=\"next\"`; absent at the end"))), ListRefusals),
)]
pub(in crate::api) async fn conflicts(
    State(node): State<Node>,
    _: Client,
    caller: CallerKey,
    taker: Taker,
    query: Query,
) -> Result<Response, ApiError> {
    // Of two writes over one version a shared database makes one.
    node.replicating()?;
    let page = ConflictsPage::of(query)?;
    node.may_list(taker.address)?;
    let caller = caller.derive(&node).await?;
    let ReadPage {
        found,
        mut text,
        _work,
    } = read_page(&node, &taker, &page).await?;
    let (key, since) = (
        std::sync::Arc::clone(&caller.derivation.key),
        caller.derivation.since(),
    );
    let opening = {
        let node = Node::clone(&node);
        move || {
            let mut seen = Listed::default();
            write_opened(&node, &key, since, &found.rows, &mut seen, &mut text)
                .map(|()| (text, seen))
        }
    };
    let written = work(&node, opening).await?;
    let (text, mut seen) = written.map_err(|_| ApiError::NoRoom(node.answers.no_room()))?;
    seen.continued = page.before.is_some();
    caller.listed(&node, &seen);
    let pieces = text.into_pieces("[".to_owned(), "]".to_owned());
    let mut response = Response::new(node.answers.of_pieces(&taker, pieces));
    response.extensions_mut().insert(Charged);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(link) = found.next.and_then(|next| page.link(next)) {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

/// A page that was read, and the memory that its answer takes.
struct ReadPage {
    found: ConflictPage,
    text: ChunkedText,
    _work: Reservation,
}

/// Reads a page in the room of most pages. One that needs more, and does not get it at once, gives everything back before it
/// waits for all that it needs, and is read again.
async fn read_page(
    node: &NodeState,
    taker: &Taker,
    page: &ConflictsPage,
) -> Result<ReadPage, ApiError> {
    let (mut ciphertext, mut answer) = (LARGEST_PAGE, LARGEST_PAGE / 4 * 3);
    let mut tries = 0;
    loop {
        // The answer first: who waits for a client that takes nothing holds nothing meanwhile.
        let room = ChunkedText::room_for(answer);
        let mut room = node.answers.reserve(taker.address, room).await?;
        let work = room_for(node, taker.address, cost_of_opening(ciphertext)).await?;
        let found = node
            .entries
            .store()
            .conflicts(page.before, page.limit)
            .await?;
        node.looked_at(taker.address, found.rows.len());
        let sizes = found
            .rows
            .iter()
            .filter_map(|lost| ListedEntry::of(&lost.row));
        let (tokens, text) = sizes.fold((0, 0), |(tokens, text), entry| {
            let size = size_of(&entry, Form::Full);
            (tokens + entry.token.len(), text + size)
        });
        let lacking = ChunkedText::room_for(text).saturating_sub(room.bytes());
        tries += 1;
        // Between two tries a page hardly grows; what does not fit into the whole share is refused when it is written.
        let fits = tokens <= ciphertext && (lacking == 0 || room.grow_now(lacking));
        if fits || tries == TRIES {
            return Ok(ReadPage {
                found,
                text: ChunkedText::new(room),
                _work: work,
            });
        }
        (ciphertext, answer) = (tokens.max(ciphertext), text.max(answer));
    }
}

/// Writes what the key opens of these versions, as the items of a JSON list.
fn write_opened(
    node: &NodeState,
    key: &DataKey,
    since: Timestamp,
    rows: &[LostVersion],
    seen: &mut Listed,
    out: &mut impl fmt::Write,
) -> fmt::Result {
    let mut follows = false;
    for lost in rows {
        let row = &lost.row;
        let token = row
            .content
            .as_ref()
            .and_then(Content::token)
            .unwrap_or_default();
        let entry = (row.identity.environment.as_str(), row.identity.key.as_str());
        let extra = row.extra.as_deref();
        let opened = key.open_unchecked_value(entry, token, extra, || lost.is_as_written());
        let plaintext = match opened {
            Ok(plaintext) => plaintext,
            Err(unopened) => {
                tell_passed_over(node, entry, unopened);
                seen.skipped += 1;
                continue;
            }
        };
        seen.opened += 1;
        seen.older |= row.created_at < since;
        let Ok(value) = ValueText::of_plaintext(plaintext) else {
            continue;
        };
        if follows {
            out.write_char(',')?;
        }
        follows = true;
        write_version(row, &value, out)?;
    }
    Ok(())
}

fn write_version(row: &Row, value: &ValueText, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_str(r#"{"key":"#)?;
    write_string(row.identity.key.as_str(), out)?;
    out.write_str(r#","environment":"#)?;
    optional(row.identity.environment.name(), out)?;
    out.write_str(r#","category":"#)?;
    optional(row.category.as_ref().map(Category::as_str), out)?;
    out.write_str(r#","value":"#)?;
    value.write_wire(out)?;
    let (version, updated) = (row.version, rfc_3339(row.updated_at));
    write!(out, r#","version":"{version}","updated_at":"{updated}"}}"#)
}
