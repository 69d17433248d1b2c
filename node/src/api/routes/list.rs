//! Lists of entries.

use axum::{extract::State, response::Response};

use crate::api::{
    Node,
    answer::{error::ApiError, untaken::Taker},
    extract::{
        auth::{CallerKey, Client},
        page::Page,
        query::Query,
    },
    listing,
    openapi::{ConfigResponse, KeyHeaders, ListQuery, ListRefusals},
};

/// List configurations
///
/// All that the user key opens, in (environment, key) order, from one state of the store; a list of many rows in pieces, each
/// from a state of its own. With `limit` a page of it: follow `Link` to get everything once.
#[utoipa::path(
    get, path = "/configs", operation_id = "list_configurations_configs_get", tag = "configurations",
    params(ListQuery, KeyHeaders),
    responses((status = 200, body = [ConfigResponse], description = "The entries", headers(
        ("X-OSC-Skipped" = u64, description = "How many entries were passed over that the user key does not open; absent for none"),
        ("X-OSC-Partial" = bool, description = "Federated: entries of other nodes are missing; absent where none are"),
        ("X-OSC-Missing-Nodes" = String, description = "Federated: these nodes, separated by commas"),
        ("X-OSC-Lost" = u64, description = "Federated: how many values are lost with the nodes that had them; absent for none"),
        ("Link" = String, description = "The next page, `rel=\"next\"`, which may be empty; absent at the end"))), ListRefusals),
)]
pub(in crate::api) async fn list(
    State(node): State<Node>,
    client: Client,
    caller: CallerKey,
    taker: Taker,
    query: Query,
) -> Result<Response, ApiError> {
    let page = Page::of(&node, "/configs", query)?;
    listing::list(node, client, caller, taker, page).await
}

/// List configurations of this node
///
/// The same as `GET /configs` here.
#[utoipa::path(
    get, path = "/cluster/configs", operation_id = "cluster_list_configs_cluster_configs_get", tag = "cluster",
    params(ListQuery, KeyHeaders),
    responses((status = 200, body = [ConfigResponse], description = "The entries"), ListRefusals),
)]
pub(in crate::api) async fn list_of_node(
    State(node): State<Node>,
    client: Client,
    caller: CallerKey,
    taker: Taker,
    query: Query,
) -> Result<Response, ApiError> {
    let page = Page::of(&node, "/cluster/configs", query)?;
    listing::list(node, client, caller, taker, page).await
}
