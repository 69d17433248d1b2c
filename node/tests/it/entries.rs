//! Entries from their creation to their deletion.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{API_KEY, OTHER_USER_KEY, TestNode, USER_KEY};

#[tokio::test]
async fn an_entry_lives_from_create_to_delete() {
    let node = TestNode::start();

    let created = node
        .call(
            Method::POST,
            "/configs",
            Some(json!({"key": "db", "value": {"port": 5432}, "category": "database"})),
        )
        .await;
    assert_eq!(created.status, 201);
    let times = created.json();
    let members: Vec<_> = times
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        members,
        [
            "id",
            "key",
            "category",
            "environment",
            "value",
            "created_at",
            "updated_at"
        ]
    );

    let read = node.call(Method::GET, "/configs/db", None).await.json();
    let id = &times["id"];
    assert_eq!(
        read,
        json!({"id": id, "key": "db", "category": "database", "environment": null, "value": {"port": 5432}})
    );

    let updated = node
        .call(
            Method::PUT,
            "/configs/db",
            Some(json!({"value": [1, "two", null]})),
        )
        .await
        .json();
    assert_eq!(
        (&updated["value"], &updated["category"]),
        (&json!([1, "two", null]), &json!("database"))
    );
    assert_eq!(updated["created_at"], times["created_at"]);
    assert!(updated["updated_at"].as_str() >= times["updated_at"].as_str());

    let deleted = node.call(Method::DELETE, "/configs/db", None).await;
    assert_eq!(
        deleted.text,
        r#"{"message":"Configuration 'db' deleted successfully"}"#
    );
    assert_eq!(
        node.call(Method::GET, "/configs/db", None).await.status,
        404
    );
    assert_eq!(
        node.call(Method::DELETE, "/configs/db", None).await.status,
        404
    );

    let again = node
        .call_as(
            OTHER_USER_KEY,
            Method::POST,
            "/configs",
            Some(json!({"key": "db", "value": 1})),
        )
        .await;
    assert_eq!(again.status, 201, "a deleted name is free for everybody");
    node.stop().await;
}

#[tokio::test]
async fn values_come_back_as_python_would_spell_them() {
    let node = TestNode::start();
    for (key, sent, answered) in [
        (
            "object",
            r#"{"b": 1, "a": {}, "b": 2}"#,
            r#"{"b":2,"a":{}}"#,
        ),
        ("string", r#""é😀\u0000\/""#, r#""é😀\u0000/""#),
        (
            "integer",
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        ("float", "1E16", "1e+16"),
        ("negative zero", "-0.0", "-0.0"),
        ("boolean", "false", "false"),
        ("not a number", "[NaN, -Infinity]", "[null,null]"),
    ] {
        let body = format!(r#"{{"key": "{key}", "value": {sent}}}"#);
        let created = node
            .request(Method::POST, "/configs")
            .header("X-User-Key", USER_KEY)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(created.status(), 201, "{key}");
        let read = node
            .call(Method::GET, &format!("/configs/{key}"), None)
            .await;
        assert!(
            read.text.ends_with(&format!(r#""value":{answered}}}"#)),
            "{key}: {}",
            read.text
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn any_name_that_can_be_created_can_be_read_and_deleted() {
    let node = TestNode::start();
    for (key, path) in [
        ("a/b", "a%2Fb"),
        ("a b+c", "a%20b+c"),
        ("é", "%C3%A9"),
        ("nul\u{0}", "nul%00"),
        ("?#%", "%3F%23%25"),
    ] {
        assert_eq!(
            node.call(
                Method::POST,
                "/configs",
                Some(json!({"key": key, "value": 1}))
            )
            .await
            .status,
            201,
            "{key}"
        );
        assert_eq!(
            node.call(Method::GET, &format!("/configs/{path}"), None)
                .await
                .json()["key"],
            key
        );
        assert_eq!(
            node.call(Method::DELETE, &format!("/configs/{path}"), None)
                .await
                .status,
            200,
            "{key}"
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn a_list_shows_what_the_key_opens_in_order_and_says_what_it_skipped() {
    let node = TestNode::start();
    for (user_key, key, category, environment) in [
        (USER_KEY, "b", "x", ""),
        (USER_KEY, "a", "y", ""),
        (OTHER_USER_KEY, "c", "x", ""),
        (USER_KEY, "a", "x", "prod"),
    ] {
        let body =
            json!({"key": key, "value": {}, "category": category, "environment": environment});
        assert_eq!(
            node.call_as(user_key, Method::POST, "/configs", Some(body))
                .await
                .status,
            201
        );
    }
    for (path, expected, skipped) in [
        ("/configs", vec!["a", "b", "prod/a"], Some("1")),
        ("/configs?category=x", vec!["b", "prod/a"], Some("1")),
        ("/configs?category=", vec!["a", "b", "prod/a"], Some("1")),
        (
            "/configs?category=y&category=x&environment=prod&unknown=1",
            vec!["prod/a"],
            None,
        ),
        ("/configs?category=none", vec![], None),
    ] {
        let answer = node.call(Method::GET, path, None).await;
        let names: Vec<String> = answer.json().as_array().unwrap().iter().map(name).collect();
        assert_eq!(
            (names, answer.header("x-osc-skipped")),
            (expected.into_iter().map(str::to_owned).collect(), skipped),
            "{path}"
        );
    }
    node.stop().await;
}

fn name(entry: &Value) -> String {
    let key = entry["key"].as_str().unwrap();
    entry["environment"]
        .as_str()
        .map_or(key.to_owned(), |environment| format!("{environment}/{key}"))
}

#[tokio::test]
async fn of_concurrent_creates_of_one_name_exactly_one_succeeds() {
    let node = TestNode::start();
    for round in 0..20 {
        let key = format!("race-{round}");
        let create = |n: u32| {
            node.call(
                Method::POST,
                "/configs",
                Some(json!({"key": key, "value": n})),
            )
        };
        let answers = tokio::join!(create(0), create(1), create(2), create(3));
        let statuses = [
            answers.0.status,
            answers.1.status,
            answers.2.status,
            answers.3.status,
        ]
        .map(|status| status.as_u16());
        assert_eq!(
            statuses.iter().filter(|status| **status == 201).count(),
            1,
            "{statuses:?}"
        );
        assert_eq!(
            statuses.iter().filter(|status| **status == 400).count(),
            3,
            "{statuses:?}"
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn entries_survive_a_restart_and_the_count_is_right_from_the_start() {
    let node = TestNode::start();
    for key in ["one", "two", "three"] {
        node.call(
            Method::POST,
            "/configs",
            Some(json!({"key": key, "value": key})),
        )
        .await;
    }
    node.call(Method::DELETE, "/configs/two", None).await;
    let before = node
        .call(Method::GET, "/configs?mode=full", None)
        .await
        .text;

    let node = TestNode::start_in(node.stop().await, &[]);

    assert_eq!(
        node.call(Method::GET, "/configs?mode=full", None)
            .await
            .text,
        before
    );
    let page = node
        .client
        .get(format!("{}/metrics", node.url))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("osc_config_entries_total 2\n"));
    node.stop().await;
}

/// Written by hand, because HTTP clients resolve `..` themselves.
#[tokio::test]
async fn two_dots_are_a_name_like_any_other() {
    let node = TestNode::start();
    node.call(
        Method::POST,
        "/configs",
        Some(json!({"key": "..", "value": "dots"})),
    )
    .await;
    let address = node.url.strip_prefix("http://").unwrap();
    for path in ["..", "%2e%2e"] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /configs/{path} HTTP/1.1\r\nHost: node\r\nX-API-Key: {API_KEY}\r\nX-User-Key: {USER_KEY}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(r#""value":"dots"}"#), "{answer}");
    }
    node.stop().await;
}
