//! A trusted proxy carries the requests of many clients on one connection: none of them takes the room of the others.

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use http::{HeaderMap, Request, StatusCode};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::node::{API_KEY, TestNode, USER_KEY};

/// The share of connections, of which one client has a quarter: some ten requests.
const SHARE: &str = "400000";

fn request(method: &str, path: &str, client: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("http://node{path}"))
        .header("x-api-key", API_KEY)
        .header("x-user-key", USER_KEY)
        .header("content-type", "application/json")
        .header("x-forwarded-for", client)
        .body(())
        .unwrap()
}

async fn text(mut body: RecvStream) -> String {
    let mut bytes = Vec::new();
    while let Some(part) = body.data().await {
        bytes.extend(part.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

async fn get(http: &mut SendRequest<Bytes>, client: &str) -> StatusCode {
    let (answer, _) = http
        .send_request(request("GET", "/health", client), true)
        .unwrap();
    answer.await.unwrap().status()
}

#[tokio::test]
async fn one_client_behind_a_proxy_uses_its_own_part_up_and_ends_no_connection_of_the_others() {
    let node = TestNode::start_in(
        TempDir::new().unwrap(),
        &[
            ("OSC_TRUSTED_PROXIES", "127.0.0.1"),
            ("OSC_CONNECTION_MEMORY_BYTES", SHARE),
        ],
    );
    let stream = TcpStream::connect(node.url.strip_prefix("http://").unwrap());
    let (mut http, connection) = h2::client::handshake(stream.await.unwrap()).await.unwrap();
    let connection = tokio::spawn(connection);
    // Creates whose bodies do not end, until one is refused.
    let mut open = Vec::new();
    let refused = loop {
        assert!(open.len() < 30, "none is refused");
        http = http.ready().await.unwrap();
        let create = request("POST", "/configs", "192.0.2.1");
        let (answer, body) = http.send_request(create, false).unwrap();
        // A request of another client goes behind it, so the node has judged this one.
        assert_eq!(get(&mut http, "192.0.2.2").await, StatusCode::OK);
        let mut answer = Box::pin(answer);
        if let Some(refused) = futures::FutureExt::now_or_never(&mut answer) {
            break refused.unwrap();
        }
        open.push((answer, body));
    };
    assert!(open.len() > 5, "{} were open", open.len());
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let headers: HeaderMap = refused.headers().clone();
    for name in ["retry-after", "x-request-id", "server"] {
        assert!(headers.contains_key(name), "{headers:?}");
    }
    // A body would wait for the client, in memory that nothing is charged for.
    assert_eq!(text(refused.into_body()).await, "");

    // What was open goes on.
    assert_eq!(get(&mut http, "192.0.2.2").await, StatusCode::OK);
    let (answer, mut body) = open.remove(0);
    body.send_data(r#"{"key": "k", "value": 1}"#.into(), true)
        .unwrap();
    assert_eq!(answer.await.unwrap().status(), StatusCode::CREATED);
    drop(open);
    assert!(!connection.is_finished());
    connection.abort();
    node.stop().await;
}
