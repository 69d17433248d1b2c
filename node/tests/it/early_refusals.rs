//! Requests that are answered before their body is there. The client reads the answer, and the next request on the same
//! connection is answered too.

use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::{Method, Request};
use opensecureconf_node::config::Timeouts;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    node::{API_KEY, TestNode, USER_KEY},
    raw_http::RawHttp,
};

/// One kind of refusal, or of an answer to a request that should have no body.
struct Kind {
    name: &'static str,
    method: Method,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    status: u16,
    /// Whether the answer comes without the body.
    early: bool,
}

const fn kind(
    name: &'static str,
    method: Method,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    status: u16,
) -> Kind {
    Kind {
        name,
        method,
        path,
        headers,
        status,
        early: true,
    }
}

const API: (&str, &str) = ("x-api-key", API_KEY);
const USER: (&str, &str) = ("x-user-key", USER_KEY);

/// A version that no node has written.
const LATER: &str = "0600000000000000-0000000000000001";

/// Every way in which a route answers without reading a body to its end.
const KINDS: &[Kind] = &[
    kind("no API key", Method::POST, "/configs", &[USER], 403),
    kind(
        "a wrong API key",
        Method::POST,
        "/configs",
        &[("x-api-key", "wrong"), USER],
        403,
    ),
    kind("no user key", Method::POST, "/configs", &[API], 422),
    kind(
        "a short user key",
        Method::PUT,
        "/configs/k",
        &[API, ("x-user-key", "short")],
        401,
    ),
    kind("no cluster key", Method::PUT, "/admin/log-level", &[], 403),
    kind(
        "a wrong cluster key",
        Method::POST,
        "/cluster/v1/exchange",
        &[("x-cluster-key", "wrong")],
        403,
    ),
    kind(
        "no member of a cluster",
        Method::POST,
        "/cluster/v1/exchange",
        &[("x-cluster-key", "the cluster key of the tests")],
        404,
    ),
    kind("no route", Method::POST, "/nothing", &[API], 404),
    kind(
        "a trailing slash",
        Method::POST,
        "/configs/",
        &[API, USER],
        307,
    ),
    kind("no method of the route", Method::PUT, "/health", &[], 405),
    kind("a get with a body", Method::GET, "/health", &[], 200),
    kind(
        "a get of nothing with a body",
        Method::GET,
        "/configs/none",
        &[API, USER],
        404,
    ),
    kind(
        "a delete with a body",
        Method::DELETE,
        "/configs/none",
        &[API, USER],
        404,
    ),
    kind(
        "a condition that is none",
        Method::DELETE,
        "/configs/none",
        &[API, USER, ("if-match", "rubbish")],
        404,
    ),
    kind(
        "a parameter that is none",
        Method::GET,
        "/configs?limit=many",
        &[API, USER],
        422,
    ),
    kind(
        "more rows than an address may list",
        Method::GET,
        "/configs",
        &[API, USER],
        429,
    ),
    kind(
        "a version that is not here yet",
        Method::GET,
        "/configs/none",
        &[API, USER, ("x-osc-min-version", LATER)],
        503,
    ),
    Kind {
        name: "a body that is no JSON",
        method: Method::POST,
        path: "/configs",
        headers: &[API, USER],
        status: 422,
        early: false,
    },
];

/// How often one connection repeats the refusals.
const ROUNDS: usize = 4;

/// A node whose list budget this address has used up for the next minutes.
async fn node(timeouts: Timeouts) -> TestNode {
    let more = [
        ("OSC_LIST_ROWS_PER_MINUTE", "1"),
        ("OSC_AUTH_FAILURES_PER_MINUTE", "0"),
        ("OSC_CLUSTER_KEY", "the cluster key of the tests"),
    ];
    let node = TestNode::start_with(TempDir::new().unwrap(), &more, timeouts);
    for n in 0..10 {
        let body = json!({"key": format!("listed{n}"), "value": n});
        let created = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(created.status, 201);
    }
    let listed = node.call(Method::GET, "/configs", None).await;
    assert_eq!(listed.status, 200);
    node
}

/// A body in two writes.
fn framed(size: usize, chunked: bool) -> (String, [Vec<u8>; 2]) {
    let body = vec![b'x'; size];
    let (first, second) = body.split_at(size / 2);
    if !chunked {
        let header = format!("Content-Length: {size}\r\n");
        return (header, [first.to_vec(), second.to_vec()]);
    }
    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let last = [chunk(second), b"0\r\n\r\n".to_vec()].concat();
    (
        "Transfer-Encoding: chunked\r\n".to_owned(),
        [chunk(first), last],
    )
}

fn head(kind: &Kind, more: &str) -> String {
    let mut headers = String::new();
    for (name, value) in kind.headers {
        headers += name;
        headers += ": ";
        headers += value;
        headers += "\r\n";
    }
    format!(
        "{} {} HTTP/1.1\r\nHost: node\r\n{headers}{more}\r\n",
        kind.method, kind.path
    )
}

#[tokio::test]
async fn the_next_request_on_the_connection_is_answered_after_every_kind_of_refusal() {
    let node = node(Timeouts::default()).await;
    for kind in KINDS {
        for (size, chunked) in [(20, false), (100_000, false), (20, true), (100_000, true)] {
            let mut connection = RawHttp::connect(&node.url).await;
            let (header, [first, second]) = framed(size, chunked);
            for _ in 0..ROUNDS {
                connection.send(head(kind, &header)).await;
                // So that the node decides before the body comes.
                sleep(Duration::from_millis(1)).await;
                connection.send(&first).await;
                sleep(Duration::from_millis(1)).await;
                connection.send(&second).await;
                let what = format!("{}, {size} bytes, chunked: {chunked}", kind.name);
                let answer = connection.answer().await.expect(&what);
                assert_eq!(answer.status, kind.status, "{what}: {answer:?}");
                assert!(!answer.closes(), "{what}: {answer:?}");
                connection
                    .send("GET /health HTTP/1.1\r\nHost: node\r\n\r\n")
                    .await;
                let answer = connection.answer().await.expect(&what);
                assert_eq!(answer.status, 200, "{what}");
            }
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_a_byte_of_it_and_ends_the_connection() {
    let node = node(Timeouts::default()).await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut connection = RawHttp::connect(&node.url).await;
        let create = Kind {
            status: 413,
            ..kind("too large", Method::POST, "/configs", &[API, USER], 413)
        };
        let more = format!("Content-Length: 99999999\r\n{expect}");
        connection.send(head(&create, &more)).await;
        let answer = connection.answer().await.unwrap();
        answer.assert_refusal(413);
        assert!(answer.closes());
    }
    node.stop().await;
}

#[tokio::test]
async fn a_body_in_chunks_that_grows_over_the_limit_is_refused_and_ends_the_connection() {
    let node = node(Timeouts::default()).await;
    let mut client = RawHttp::connect(&node.url).await;
    let head = format!(
        "POST /configs HTTP/1.1\r\nHost: node\r\nX-API-Key: {API_KEY}\r\nX-User-Key: {USER_KEY}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    client.send(head).await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..18 {
        client.send(&chunk).await;
    }
    let answer = client.answer().await.unwrap();
    answer.assert_refusal(413);
    assert!(answer.closes(), "{answer:?}");
    node.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_continue_gets_it_or_an_answer_that_ends_the_connection() {
    let node = node(Timeouts::default()).await;
    let body = r#"{"key": "k", "value": 1}"#;
    let more = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    let mut connection = RawHttp::connect(&node.url).await;
    let create = kind("a create", Method::POST, "/configs", &[API, USER], 201);
    connection.send(head(&create, &more)).await;
    assert_eq!(connection.answer().await.unwrap().status, 100);
    connection.send(body).await;
    let created = connection.answer().await.unwrap();
    assert_eq!(created.status, 201);
    assert!(!created.closes());

    for kind in KINDS.iter().filter(|kind| kind.early) {
        let mut connection = RawHttp::connect(&node.url).await;
        connection.send(head(kind, &more)).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!(answer.status, kind.status, "{}", kind.name);
        assert!(answer.closes(), "{}: {answer:?}", kind.name);
    }
    node.stop().await;
}

#[tokio::test]
async fn who_sends_more_than_the_limit_or_too_slowly_reads_the_answer_and_then_the_end() {
    let timeouts = Timeouts {
        rest: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let node = node(timeouts).await;
    let refused = &KINDS[1];
    let mut slow = RawHttp::connect(&node.url).await;
    slow.send(head(refused, "Content-Length: 1000\r\n")).await;
    assert_eq!(slow.answer().await.unwrap().status, 403);
    assert_eq!(slow.rest().await, "");

    let mut large = RawHttp::connect(&node.url).await;
    large
        .send(head(refused, "Content-Length: 9000000\r\n"))
        .await;
    let answer = large.answer().await.unwrap();
    assert_eq!(answer.status, 403);
    assert!(answer.closes());
    node.stop().await;
}

/// An HTTP/2 connection, with the ping handle that shows that the node's frames have arrived.
async fn http2(node: &TestNode) -> (h2::client::SendRequest<Bytes>, h2::PingPong) {
    let address = node.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, mut connection) = h2::client::handshake(stream).await.unwrap();
    let pings = connection.ping_pong().unwrap();
    tokio::spawn(connection);
    (client, pings)
}

fn http2_request(kind: &Kind) -> Request<()> {
    let mut request = Request::builder()
        .method(kind.method.clone())
        .uri(format!("http://node{}", kind.path));
    for (name, value) in kind.headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// Whether the node has reset a stream.
async fn reset(stream: &mut SendStream<Bytes>, pings: &mut h2::PingPong) -> Option<Reason> {
    pings.ping(h2::Ping::opaque()).await.unwrap();
    let reset = std::future::poll_fn(|context| stream.poll_reset(context));
    timeout(Duration::from_millis(1), reset).await.ok()?.ok()
}

#[tokio::test]
async fn on_http2_the_node_resets_no_stream_whose_body_it_can_read_to_its_end() {
    let node = node(Timeouts::default()).await;
    let (client, mut pings) = http2(&node).await;
    for kind in KINDS.iter().filter(|kind| kind.early && kind.status >= 400) {
        for size in [50, 60_000] {
            let mut client = client.clone().ready().await.unwrap();
            let (answer, mut body) = client.send_request(http2_request(kind), false).unwrap();
            let half = Bytes::from(vec![b'x'; size / 2]);
            body.send_data(half.clone(), false).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), kind.status, "{}", kind.name);
            let mut text = answer.into_body();
            while let Some(part) = text.data().await {
                let part = part.unwrap();
                text.flow_control().release_capacity(part.len()).unwrap();
            }
            assert_eq!(reset(&mut body, &mut pings).await, None, "{}", kind.name);
            body.send_data(half, true).unwrap();
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn on_http2_an_answer_that_is_no_refusal_waits_for_the_end_of_a_body_that_nobody_wants() {
    let node = node(Timeouts::default()).await;
    let (client, mut pings) = http2(&node).await;
    for kind in KINDS.iter().filter(|kind| kind.early && kind.status < 400) {
        let mut client = client.clone().ready().await.unwrap();
        let (mut answer, mut body) = client.send_request(http2_request(kind), false).unwrap();
        // More bytes than the node buffers before it reads.
        body.send_data(vec![b'x'; 100_000].into(), false).unwrap();
        pings.ping(h2::Ping::opaque()).await.unwrap();
        let early = timeout(Duration::from_millis(50), &mut answer).await;
        assert!(early.is_err(), "{}: {early:?}", kind.name);
        body.send_data(Bytes::new(), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), kind.status, "{}", kind.name);
        assert_eq!(reset(&mut body, &mut pings).await, None, "{}", kind.name);
    }
    node.stop().await;
}

#[tokio::test]
async fn on_http2_a_body_over_the_limit_is_answered_and_its_stream_stays_while_the_client_reads() {
    let timeouts = Timeouts {
        rest: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let node = node(timeouts).await;
    let (client, mut pings) = http2(&node).await;
    for kind in [
        &KINDS[1],
        &kind("too large", Method::POST, "/configs", &[API, USER], 413),
    ] {
        let mut client = client.clone().ready().await.unwrap();
        let mut request = http2_request(kind);
        request
            .headers_mut()
            .insert("content-length", 3_000_000.into());
        let begin = Instant::now();
        let (answer, mut body) = client.send_request(request, false).unwrap();
        // More bytes than the node accepts: the rest waits in the client.
        body.send_data(vec![b'x'; 3_000_000].into(), false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), kind.status);
        while reset(&mut body, &mut pings).await.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
        assert!(begin.elapsed() >= timeouts.rest, "{:?}", begin.elapsed());
    }
    node.stop().await;
}
