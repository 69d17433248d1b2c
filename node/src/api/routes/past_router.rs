//! The handlers of one entry, called without the router: each with what it reads of a request, in its order.

use axum::{
    extract::{FromRequest, FromRequestParts, Request, State},
    response::{IntoResponse, Response},
};

use super::configs;
use crate::api::{
    Node,
    answer::untaken::Taker,
    extract::{
        auth::{CallerKey, Client},
        body::Fields,
        create_terms::CreateTerms,
        query::Query,
        write_terms::RequestedTerms,
    },
};

/// Calls a handler as axum does, without axum's box around its future.
macro_rules! handler {
    ($name:ident, $($part:ident: $type:ty),*; $last:ident: $whole:ty) => {
        pub(in crate::api) async fn $name(request: Request, node: Node) -> Response {
            let (mut parts, body) = request.into_parts();
            $(let $part = match <$type as FromRequestParts<Node>>::from_request_parts(&mut parts, &node).await {
                Ok(part) => part,
                Err(refused) => return refused.into_response(),
            };)*
            let request = Request::from_parts(parts, body);
            let $last = match <$whole as FromRequest<Node>>::from_request(request, &node).await {
                Ok(last) => last,
                Err(refused) => return refused.into_response(),
            };
            configs::$name(State(node), $($part,)* $last).await.into_response()
        }
    };
}

handler!(create, client: Client, caller: CallerKey, terms: CreateTerms, taker: Taker, query: Query; fields: Fields);
handler!(read, client: Client, caller: CallerKey, query: Query; request: Request);
handler!(update, client: Client, caller: CallerKey, terms: RequestedTerms, query: Query; request: Request);
handler!(delete, client: Client, caller: CallerKey, terms: RequestedTerms, query: Query; request: Request);
