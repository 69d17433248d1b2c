//! Values that lost against a concurrent write: shown to those whose user key opens them.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    api::{
        Node, NodeState,
        answers::Taker,
        auth::{CallerKey, Client, Listed},
        entry_json::rfc_3339,
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
    store::CONFLICT_PAGE_BYTES,
};

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
) -> Result<(HeaderMap, Json<Vec<Value>>), ApiError> {
    let page = ConflictsPage::of(query)?;
    node.may_list(taker.address)?;
    let caller = caller.derive(&node).await?;
    // A page ends with the version that passes its size, so it may be twice that.
    let cost = cost_of_opening(2 * CONFLICT_PAGE_BYTES);
    let _room = room_for(&node, taker.address, cost).await?;
    let found = node.store.conflicts(page.before, page.limit).await?;
    node.looked_at(taker.address, found.rows.len());
    let (key, since) = (
        std::sync::Arc::clone(&caller.derivation.key),
        caller.derivation.since(),
    );
    let opening = {
        let node = Node::clone(&node);
        move || opened(&node, &key, since, found.rows)
    };
    let (shown, mut seen) = work(&node, opening).await?;
    seen.continued = page.before.is_some();
    caller.listed(&node, &seen);
    let mut headers = HeaderMap::new();
    if let Some(link) = found.next.and_then(|next| page.link(next)) {
        headers.insert(header::LINK, link);
    }
    Ok((headers, Json(shown?)))
}

type Shown = Result<Vec<Value>, ApiError>;

/// What the key opens of these versions.
fn opened(node: &NodeState, key: &DataKey, since: Timestamp, rows: Vec<Row>) -> (Shown, Listed) {
    let mut seen = Listed::default();
    let mut shown = Vec::new();
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
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = value.write_wire(&mut text);
        let value = match RawValue::from_string(text) {
            Ok(value) => value,
            Err(error) => return (Err(ApiError::Internal(error.into())), seen),
        };
        shown.push(json!({
            "key": row.identity.key.as_str(),
            "environment": row.identity.environment.name(),
            "category": row.category.as_ref().map(Category::as_str),
            "value": value,
            "version": row.version.to_string(),
            "updated_at": rfc_3339(row.updated_at),
        }));
    }
    (Ok(shown), seen)
}
