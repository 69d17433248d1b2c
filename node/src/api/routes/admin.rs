//! For the cluster admin, who shows the cluster key.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    api::{
        Node,
        answer::error::ApiError,
        extract::{
            auth::Owner,
            body::Fields,
            entry_path::{identity, identity_of},
            query::Query,
            write_terms::RequestedTerms,
        },
        openapi::{
            EntryPath, LogLevelBody, Message, OwnerHeaders, OwnerRefusals, PurgeQuery, Refusal,
        },
    },
    cluster::{Change, Expected},
    domain::Principal,
    entries::Error,
    log::{AUDIT, LogLevel, logged_name},
    store::EntryStore,
};

/// Remove a configuration unread
///
/// For entries whose user key is lost: no client can delete them otherwise, and their names stay taken.
#[utoipa::path(
    delete, path = "/admin/configs/{key}", operation_id = "purge_configuration", tag = "administration",
    params(EntryPath, PurgeQuery, OwnerHeaders),
    responses((status = 200, body = Message, description = "Removed",
               example = json!({"message": "Configuration 'database_prod' removed unread"})), OwnerRefusals,
              (status = 503, body = Refusal, description = "Nothing was done; try again, see `Retry-After`"),
              (status = 507, body = Refusal, description = "The disk is full beyond its second floor")),
)]
pub(in crate::api) async fn purge(
    State(node): State<Node>,
    _: Owner,
    RequestedTerms(terms): RequestedTerms,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let identity = match query.get("key") {
        Some(key) => identity(key, &query)?,
        None => identity_of(&request, "/admin/configs/", &query)?,
    };
    // A node that lacks entries would answer that there is none of this name.
    node.serves_entries()?;
    let session = node.entries.of(Principal::ClusterAdmin);
    loop {
        // In a directory too: the home node drops the value when it hears of the tombstone.
        let row = session.store().find_unread(&identity).await?;
        let version = row.as_ref().map(|row| row.version);
        let Some(row) = row.filter(|row| !row.is_tombstone()) else {
            if session.confirm(&identity, version).await? {
                return Err(Error::NotFound(identity).into());
            }
            continue;
        };
        let seen = Expected::of(Some(&row));
        let commit = session.commit(&identity, seen, Change::Delete, terms);
        if commit.await?.is_some() {
            break;
        }
    }
    tracing::warn!(
            target: AUDIT,
        key = %logged_name(identity.key.as_str()),
        environment = %logged_name(identity.environment.as_str()),
        principal = %session.principal(),
        "config_force_deleted"
    );
    let message = format!("Configuration '{}' removed unread", identity.key.as_str());
    Ok(Json(json!({ "message": message })).into_response())
}

/// Show the log level
#[utoipa::path(
    get, path = "/admin/log-level", operation_id = "get_log_level", tag = "administration",
    params(OwnerHeaders),
    responses((status = 200, body = LogLevelBody, description = "The level"), OwnerRefusals),
)]
pub(in crate::api) async fn log_level(State(node): State<Node>, _: Owner) -> Json<Value> {
    Json(json!({ "level": node.log.level().name() }))
}

/// Change the log level until the node restarts
#[utoipa::path(
    put, path = "/admin/log-level", operation_id = "set_log_level", tag = "administration",
    params(OwnerHeaders), request_body = LogLevelBody,
    responses((status = 200, body = LogLevelBody, description = "The new level"), OwnerRefusals),
)]
pub(in crate::api) async fn set_log_level(
    State(node): State<Node>,
    _: Owner,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let choices = LogLevel::NAMES.iter().map(|(name, _)| *name);
    let level = fields.choice("level", LogLevel::of_name, choices);
    let level = fields.finish(level)?;
    node.log.set_level(level);
    Ok(Json(json!({ "level": level.name() })))
}
