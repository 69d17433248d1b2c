//! What HTTP alone costs on this machine: an axum handler that reads a request and has the answer ready.

use axum::{Router, body::Bytes, http::header, routing::get};

/// Serves the same bytes for a read of one entry and for a create; gives the address.
pub(crate) fn serve(runtime: &tokio::runtime::Runtime, answer: String) -> String {
    let read = answer.clone();
    let reads = async move || ([(header::CONTENT_TYPE, "application/json")], read.clone());
    let creates = async move |body: Bytes| {
        assert!(!body.is_empty());
        ([(header::CONTENT_TYPE, "application/json")], answer.clone())
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
