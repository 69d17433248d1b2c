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
        answers::{Charged, ChunkedText, Taker},
        auth::{CallerKey, Client, Listed},
        entry_json::{optional, rfc_3339},
        error::ApiError,
        large_values::{cost_of_opening, room_for, work},
        openapi::{ConflictQuery, ConflictResponse, KeyHeaders, ListRefusals},
        page::ConflictsPage,
        query::Query,
        sealing::tell_misplaced,
        value_text::ValueText,
    },
    crypto::{DataKey, Unopened},
    domain::{Category, Content, Row, Timestamp},
    json::write_string,
    store::CONFLICT_PAGE_BYTES,
};

/// Ciphertext of a page at most, in bytes: it ends with the version that passes its size.
const LARGEST_PAGE: usize = 2 * CONFLICT_PAGE_BYTES;

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
    let page = ConflictsPage::of(query)?;
    node.may_list(taker.address)?;
    let caller = caller.derive(&node).await?;
    // The answer first: who waits for a client that takes nothing holds nothing meanwhile.
    let answer = node.answers.reserve(taker.address, LARGEST_PAGE / 4 * 3);
    let mut text = ChunkedText::new(answer.await?);
    let _room = room_for(&node, taker.address, cost_of_opening(LARGEST_PAGE)).await?;
    let found = node.store.conflicts(page.before, page.limit).await?;
    node.looked_at(taker.address, found.rows.len());
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

/// Writes what the key opens of these versions, as the items of a JSON list.
fn write_opened(
    node: &NodeState,
    key: &DataKey,
    since: Timestamp,
    rows: &[Row],
    seen: &mut Listed,
    out: &mut impl fmt::Write,
) -> fmt::Result {
    let mut follows = false;
    for row in rows {
        let token = row
            .content
            .as_ref()
            .and_then(Content::token)
            .unwrap_or_default();
        let entry = (row.identity.environment.as_str(), row.identity.key.as_str());
        let plaintext = match key.open_value(entry, token, row.extra.as_deref()) {
            Ok(plaintext) => plaintext,
            Err(unopened) => {
                if unopened == Unopened::Misplaced {
                    tell_misplaced(node, entry);
                }
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
