//! A value alone, as text, for readers that use an answer as it is, such as a file of a Secret.

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::node::{Answer, OTHER_USER_KEY, TestNode, USER_KEY};

const TEXT: &str = "text/plain; charset=utf-8";

async fn store(node: &TestNode, value: Value) {
    let body = json!({"key": "k", "value": value});
    let created = node.call(Method::POST, "/configs", Some(body)).await;
    assert_eq!(created.status, 201, "{}", created.text);
}

async fn read(node: &TestNode, query: &str) -> Answer {
    node.call(Method::GET, &format!("/configs/k{query}"), None)
        .await
}

#[tokio::test]
async fn a_string_is_its_characters_and_anything_else_is_json() {
    let node = TestNode::start();
    for (value, text) in [
        (json!("plain"), "plain"),
        (json!(""), ""),
        (
            json!("a \"quote\", a \\,\ttwo\nlines \u{1} ü 🦀 / "),
            "a \"quote\", a \\,\ttwo\nlines \u{1} ü 🦀 / ",
        ),
        (
            json!("{\"looks\": \"like JSON\"}"),
            "{\"looks\": \"like JSON\"}",
        ),
        (json!("0.75"), "0.75"),
        (json!(0.75), "0.75"),
        (json!(123_456_789_012_345_678_u64), "123456789012345678"),
        (json!(true), "true"),
        (json!([1, "two", null]), r#"[1,"two",null]"#),
        (json!({"b": 1, "a": [2.5, "ü"]}), r#"{"b":1,"a":[2.5,"ü"]}"#),
    ] {
        store(&node, value.clone()).await;
        let answer = read(&node, "?format=text").await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, text));
        assert_eq!(answer.header("content-type"), Some(TEXT));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let entry = read(&node, "").await;
        assert_eq!(answer.header("etag"), entry.header("etag"));
        assert_eq!(entry.header("content-type"), Some("application/json"));
        node.call(Method::DELETE, "/configs/k", None).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn a_large_text_comes_whole() {
    let node = TestNode::start();
    let text = "a line of \"text\" \\ with ü\n".repeat(20_000);
    store(&node, json!(text)).await;
    let answer = read(&node, "?format=text").await;
    assert_eq!(answer.header("content-type"), Some(TEXT));
    assert!(answer.text == text, "{} bytes", answer.text.len());
    node.stop().await;
}

#[tokio::test]
async fn head_and_conditions_are_those_of_the_entry() {
    let node = TestNode::start();
    store(&node, json!("text")).await;
    let got = read(&node, "?format=text").await;
    let head = node
        .call(Method::HEAD, "/configs/k?format=text", None)
        .await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    for name in ["etag", "x-osc-version", "content-type", "content-length"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    assert_eq!(head.header("content-length"), Some("4"));
    let etag = got.header("etag").unwrap().to_owned();
    let conditional = |user_key: &'static str, name: header::HeaderName, tag: String| {
        let request = node
            .request(Method::GET, "/configs/k?format=text")
            .header("X-User-Key", user_key)
            .header(name, tag);
        async { Answer::of(request.send().await.unwrap()).await.status }
    };
    let other = "\"0000000000000001-000000000000000a\"".to_owned();
    assert_eq!(
        conditional(USER_KEY, header::IF_NONE_MATCH, etag.clone()).await,
        304
    );
    assert_eq!(
        conditional(USER_KEY, header::IF_NONE_MATCH, other.clone()).await,
        200
    );
    assert_eq!(conditional(USER_KEY, header::IF_MATCH, other).await, 412);
    assert_eq!(
        conditional(OTHER_USER_KEY, header::IF_NONE_MATCH, etag).await,
        403
    );
    node.stop().await;
}

#[tokio::test]
async fn errors_are_json_and_other_formats_are_refused() {
    let node = TestNode::start();
    let missing = read(&node, "?format=text").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.header("content-type"), Some("application/json"));
    store(&node, json!("text")).await;
    for bad in ["xml", "TEXT", "text%20", "null"] {
        let refused = read(&node, &format!("?format={bad}")).await;
        assert_eq!(refused.status, 422, "{bad}");
        assert_eq!(
            refused.json()["detail"][0]["loc"],
            json!(["query", "format"])
        );
    }
    let plain = read(&node, "").await.text;
    for same in ["?format=json", "?format=", "?format=text&format=json"] {
        assert_eq!(read(&node, same).await.text, plain, "{same}");
    }
    assert_eq!(read(&node, "?mode=full&format=text").await.text, "text");
    node.stop().await;
}
