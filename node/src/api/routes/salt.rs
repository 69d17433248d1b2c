//! The salt, for nodes of the cluster and for the cluster admin.

use axum::{
    Json,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::api::{
    Node,
    answer::error::ApiError,
    extract::{auth::Owner, body},
    openapi::{OwnerHeaders, OwnerRefusals, SaltAnswer},
};

/// Get the salt
#[utoipa::path(
    get, path = "/cluster/salt", operation_id = "get_cluster_salt_cluster_salt_get", tag = "cluster",
    params(OwnerHeaders),
    responses((status = 200, description = "64 bytes", body = [u8], content_type = "application/octet-stream"), OwnerRefusals),
)]
pub(in crate::api) async fn salt(State(node): State<Node>, _: Owner) -> Result<Response, ApiError> {
    let salt = node.salt().ok_or(ApiError::NoSaltYet)?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=encryption.salt",
        ),
    ];
    Ok((headers, salt.bytes().to_vec()).into_response())
}

/// Compare a salt with the node's
///
/// A node that serves has a salt already, and never takes another one. A blank one gets it by joining.
#[utoipa::path(
    post, path = "/cluster/salt", operation_id = "receive_cluster_salt_cluster_salt_post", tag = "cluster",
    params(OwnerHeaders), request_body(content = [u8], content_type = "application/octet-stream"),
    responses((status = 200, body = SaltAnswer, description = "It is the same"),
              (status = 409, body = crate::api::openapi::Refusal, description = "It is another one"), OwnerRefusals),
)]
pub(in crate::api) async fn receive_salt(
    State(node): State<Node>,
    _: Owner,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let sent = body::read(request, &node).await?;
    let salt = node.salt().ok_or(ApiError::NoSaltYet)?;
    if sent.as_bytes() == salt.bytes().as_slice() {
        Ok(Json(
            json!({ "message": "Salt already present and matches", "status": "ok" }),
        ))
    } else {
        Err(ApiError::OtherSalt)
    }
}
