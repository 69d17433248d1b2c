//! The cost of HTTP alone on this machine: an axum handler reads a request and gives a node's answer, prepared with all its
//! headers.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, header},
    routing::get,
};

/// An answer of a node.
#[derive(Clone)]
pub(crate) struct Answer {
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// The answer of a node to a request.
    pub(crate) async fn to(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        let mut headers = answer.headers().clone();
        // The server adds them itself.
        for own in [header::CONTENT_LENGTH, header::DATE] {
            headers.remove(own);
        }
        let body = answer.text().await.unwrap();
        Self { headers, body }
    }
}

/// Serves the same bytes for a read of one entry and for a create; gives the address.
pub(crate) fn serve(runtime: &tokio::runtime::Runtime, answer: Answer) -> String {
    let read = answer.clone();
    let reads = async move || (read.headers.clone(), read.body.clone());
    let creates = async move |body: Bytes| {
        assert!(!body.is_empty());
        (answer.headers.clone(), answer.body.clone())
    };
    let router = Router::new()
        .route("/configs/k1", get(reads))
        .route("/configs", axum::routing::post(creates));
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, router).await });
    url
}
