//! The handlers of one entry, called without the router: each with what it reads of a request, in its order.

use axum::{
    extract::{FromRequest, FromRequestParts, Request, State},
    response::{IntoResponse, Response},
};

use super::configs;
use crate::api::Node;

/// Calls a handler as axum does, without axum's box around its future.
macro_rules! handler {
    ($name:ident, $handler:path, $($part:ident),* ; $last:ident) => {
        pub(in crate::api) async fn $name(request: Request, node: Node) -> Response {
            let (mut parts, body) = request.into_parts();
            $(let $part = match <_ as FromRequestParts<Node>>::from_request_parts(&mut parts, &node).await {
                Ok(part) => part,
                Err(refused) => return refused.into_response(),
            };)*
            let request = Request::from_parts(parts, body);
            let $last = match <_ as FromRequest<Node>>::from_request(request, &node).await {
                Ok(last) => last,
                Err(refused) => return refused.into_response(),
            };
            $handler(State(node), $($part,)* $last).await.into_response()
        }
    };
}

handler!(create, configs::create, client, caller, terms, taker, query; fields);
handler!(read, configs::read, client, caller, query; request);
handler!(update, configs::update, client, caller, terms, query; request);
handler!(delete, configs::delete, client, caller, terms, query; request);
