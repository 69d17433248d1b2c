//! The original's answers, case by case.

mod bodies_and_routes;
mod case;
mod keys_and_names;

use reqwest::{Method, header};
use serde_json::json;

use crate::node::{Answer, TestNode, USER_KEY};

async fn node_with_taken_entries() -> TestNode {
    let node = TestNode::start();
    for body in [
        json!({"key": "taken", "value": {"n": 1}}),
        json!({"key": "taken", "value": {}, "environment": "prod"}),
    ] {
        assert_eq!(
            node.call(Method::POST, "/configs", Some(body)).await.status,
            201
        );
    }
    node
}

#[tokio::test]
async fn every_refusal_is_that_of_the_original_and_changes_nothing() {
    let node = node_with_taken_entries().await;
    let before = node
        .call(Method::GET, "/configs?mode=full", None)
        .await
        .text;

    let cases = keys_and_names::cases().into_iter();
    for case in cases.chain(bodies_and_routes::cases()) {
        let mut request = node
            .client
            .request(case.method, format!("{}{}", node.url, case.path))
            .body(case.body);
        for (name, value) in case.headers {
            request = request.header(*name, *value);
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (case.status, case.answer),
            "{}",
            case.name
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{}",
            case.name
        );
        assert!(answer.header("x-request-id").is_some(), "{}", case.name);
    }

    assert_eq!(
        node.call(Method::GET, "/configs?mode=full", None)
            .await
            .text,
        before
    );
    node.stop().await;
}

#[tokio::test]
async fn names_and_labels_have_the_lengths_of_the_original() {
    let node = TestNode::start();
    let long = |length: usize| "ä".repeat(length);
    for (body, status, kind) in [
        (json!({"key": long(255), "value": {}}), 201, None),
        (
            json!({"key": long(256), "value": {}}),
            422,
            Some("255 characters"),
        ),
        (
            json!({"key": "a", "value": {}, "category": long(100)}),
            201,
            None,
        ),
        (
            json!({"key": "b", "value": {}, "category": long(101)}),
            422,
            Some("100 characters"),
        ),
        (
            json!({"key": "c", "value": {}, "environment": long(101)}),
            422,
            Some("100 characters"),
        ),
    ] {
        let answer = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(
            kind.is_none_or(|kind| answer.text.contains(kind)),
            "{}",
            answer.text
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let node = TestNode::start_in(
        tempfile::tempdir().unwrap(),
        &[("OSC_MAX_BODY_BYTES", "1000")],
    );
    for (length, status) in [(1000, 201), (1001, 413)] {
        let empty = r#"{"key":"k","value":{"":""}}"#.len();
        let body = format!(
            r#"{{"key":"k","value":{{"":"{}"}}}}"#,
            "x".repeat(length - empty)
        );
        let request = node
            .request(Method::POST, "/configs")
            .header("X-User-Key", USER_KEY)
            .body(body);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_trailing_slash_leads_to_the_path_without_it() {
    let node = TestNode::start();
    for (path, location) in [
        ("/configs/?category=a", "/configs?category=a"),
        ("/configs/x/", "/configs/x"),
        ("/health/", "/health"),
    ] {
        let answer = Answer::of(node.request(Method::GET, path).send().await.unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (307, Some(location))
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn every_json_content_type_is_json_and_so_is_none() {
    let node = TestNode::start();
    for (key, content_type) in [
        ("a", "application/json; charset=utf-8"),
        ("b", "application/vnd.x+json"),
        ("c", "APPLICATION/JSON"),
    ] {
        let request = node
            .request(Method::POST, "/configs")
            .header("X-User-Key", USER_KEY)
            .header(header::CONTENT_TYPE, content_type);
        let answer = Answer::of(
            request
                .body(format!(r#"{{"key":"{key}","value":{{}}}}"#))
                .send()
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(answer.status, 201, "{content_type}: {}", answer.text);
    }
    node.stop().await;
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_never_show_names() {
    let node = node_with_taken_entries().await;
    node.call(Method::GET, "/configs/taken", None).await;
    node.call(Method::GET, "/configs/secret-name", None).await;
    node.call(
        Method::from_bytes(b"SECRET-NAME").unwrap(),
        "/secret-name",
        None,
    )
    .await;

    let page = Answer::of(
        node.client
            .get(format!("{}/metrics", node.url))
            .send()
            .await
            .unwrap(),
    )
    .await;

    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=1.0.0; charset=utf-8")
    );
    for line in [
        "osc_config_entries_total 2",
        r#"osc_config_operations_total{operation="create",status="success"} 2"#,
        r#"osc_config_operations_total{operation="read",status="not_found"} 1"#,
        r#"osc_http_requests_total{endpoint="/configs/{key}",method="GET",status_code="404"} 1"#,
        r#"osc_api_errors_total{endpoint="/configs/{key}",error_type="not_found"} 1"#,
        r#"osc_encryption_operations_total{operation="encrypt"} 2"#,
    ] {
        assert!(
            page.text.contains(&format!("{line}\n")),
            "{line} is not in\n{}",
            page.text
        );
    }
    assert!(
        !page.text.to_lowercase().contains("secret-name"),
        "{}",
        page.text
    );
    node.stop().await;
}
