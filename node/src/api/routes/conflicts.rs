//! Values that lost against a concurrent write: shown to those whose user key opens them.

use axum::{Json, extract::State};
use serde_json::{Value, json, value::RawValue};

use crate::{
    api::{
        Node,
        auth::{CallerKey, Client, Listed},
        entry_json::rfc_3339,
        error::ApiError,
        openapi::{ConflictResponse, KeyHeaders, ListRefusals},
        sealing::tell_misplaced,
        value_text::ValueText,
    },
    crypto::Unopened,
    domain::{Category, Content},
};

/// List lost versions
///
/// Of two writes that did not know of each other the later one stands; the other one is kept on the nodes that saw both.
/// Restore it with an ordinary PUT.
#[utoipa::path(
    get, path = "/cluster/conflicts", operation_id = "list_conflicts", tag = "cluster",
    params(KeyHeaders),
    responses((status = 200, body = [ConflictResponse], description = "Those that the user key opens"), ListRefusals),
)]
pub(in crate::api) async fn conflicts(
    State(node): State<Node>,
    _: Client,
    caller: CallerKey,
) -> Result<Json<Vec<Value>>, ApiError> {
    let caller = caller.derive(&node).await?;
    let (mut shown, mut seen) = (Vec::new(), Listed::default());
    for row in node.store.conflicts().await? {
        let token = row
            .content
            .as_ref()
            .and_then(Content::token)
            .unwrap_or_default();
        let entry = (row.identity.environment.as_str(), row.identity.key.as_str());
        let opened = caller
            .derivation
            .key
            .open_value(entry, token, row.extra.as_deref());
        let Ok(plaintext) = opened else {
            if opened == Err(Unopened::Misplaced) {
                tell_misplaced(&node, entry);
            }
            seen.skipped += 1;
            continue;
        };
        seen.opened += 1;
        seen.older |= caller.derivation.is_older(row.created_at);
        let Ok(value) = ValueText::of_plaintext(plaintext) else {
            continue;
        };
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = value.write_wire(&mut text);
        let value =
            RawValue::from_string(text).map_err(|error| ApiError::Internal(error.into()))?;
        shown.push(json!({
            "key": row.identity.key.as_str(),
            "environment": row.identity.environment.name(),
            "category": row.category.as_ref().map(Category::as_str),
            "value": value,
            "version": row.version.to_string(),
            "updated_at": rfc_3339(row.updated_at),
        }));
    }
    caller.listed(&node, &seen);
    Ok(Json(shown))
}
