//! Many changes in one request.

use axum::{extract::State, response::Response};

use crate::{
    api::{
        Node,
        answer::{error::ApiError, untaken::Taker},
        batch::{self, Batch},
        extract::{
            auth::{CallerKey, Client},
            query::Query,
            rows::Rows,
            write_terms::RequestedTerms,
        },
        openapi::{BatchLine, BatchQuery, BatchRefusals, BatchRow, KeyHeaders, WriteHeaders},
    },
    entries::Partial,
    store::Atomicity,
};

/// Change many configurations
///
/// Up to 1,000 creates, updates and deletes of different configurations, within the limit of a body. Each row has a status of
/// its own and is durable when its line is sent, in the order of the rows; lines come while later rows are written. With
/// `all_or_nothing=true` all rows are written or none, before the first line is sent.
#[utoipa::path(
    post, path = "/configs/batch", operation_id = "change_configurations_configs_batch_post", tag = "configurations",
    params(BatchQuery, KeyHeaders, WriteHeaders), request_body = [BatchRow],
    responses((status = 200, body = BatchLine, content_type = "application/x-ndjson",
               description = "A line of JSON for each row. With `all_or_nothing=true` all of them stand"), BatchRefusals),
)]
pub(in crate::api) async fn batch(
    State(node): State<Node>,
    Client(principal): Client,
    key: CallerKey,
    RequestedTerms(terms): RequestedTerms,
    taker: Taker,
    query: Query,
    rows: Rows,
) -> Result<Response, ApiError> {
    let atomicity = if query.is_on("all_or_nothing")? {
        Atomicity::All
    } else {
        Atomicity::Each
    };
    let partial = Partial::of(&query)?;
    batch::answer(Batch {
        node,
        principal,
        key,
        taker,
        terms,
        partial,
        atomicity,
        rows,
    })
    .await
}
