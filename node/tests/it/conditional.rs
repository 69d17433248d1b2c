//! Conditional requests, upserts, environments.

use reqwest::{Method, header};
use serde_json::json;

use crate::node::{Answer, OTHER_USER_KEY, TestNode, USER_KEY};

async fn put(node: &TestNode, path: &str, condition: Option<(header::HeaderName, &str)>) -> Answer {
    let mut request = node
        .request(Method::PUT, path)
        .header("X-User-Key", USER_KEY)
        .json(&json!({"value": 2}));
    if let Some((name, value)) = condition {
        request = request.header(name, value);
    }
    Answer::of(request.send().await.unwrap()).await
}

async fn create(node: &TestNode, key: &str) -> Answer {
    let body = json!({"key": key, "value": 1});
    node.call(Method::POST, "/configs", Some(body)).await
}

#[tokio::test]
async fn a_version_is_named_by_every_answer_and_changes_with_every_write() {
    let node = TestNode::start();
    let created = create(&node, "k").await;
    let first = created.header("etag").unwrap().to_owned();
    assert_eq!(
        format!("\"{}\"", created.header("x-osc-version").unwrap()),
        first
    );
    let read = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(read.header("etag"), Some(first.as_str()));
    let head = node.call(Method::HEAD, "/configs/k", None).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert_eq!(head.header("etag"), Some(first.as_str()));
    let updated = put(&node, "/configs/k", None).await;
    assert_ne!(updated.header("etag"), Some(first.as_str()));
    node.stop().await;
}

#[tokio::test]
async fn a_reader_who_has_the_version_is_told_so_but_only_with_the_right_key() {
    let node = TestNode::start();
    let etag = create(&node, "k").await.header("etag").unwrap().to_owned();
    let get = |user_key: &'static str, tag: String| {
        let request = node
            .request(Method::GET, "/configs/k")
            .header("X-User-Key", user_key)
            .header(header::IF_NONE_MATCH, tag);
        async { Answer::of(request.send().await.unwrap()).await }
    };
    let same = get(USER_KEY, etag.clone()).await;
    assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""));
    assert_eq!(same.header("etag"), Some(etag.as_str()));
    assert_eq!(get(USER_KEY, "\"another\"".into()).await.status, 200);
    assert_eq!(get(OTHER_USER_KEY, etag).await.status, 403);
    node.stop().await;
}

#[tokio::test]
async fn a_write_that_names_another_version_changes_nothing() {
    let node = TestNode::start();
    let old = create(&node, "k").await.header("etag").unwrap().to_owned();
    let new = put(&node, "/configs/k", Some((header::IF_MATCH, &old))).await;
    assert_eq!(new.status, 200);
    let new = new.header("etag").unwrap().to_owned();

    let late = put(&node, "/configs/k", Some((header::IF_MATCH, &old))).await;
    assert_eq!(late.status, 412);
    let version = new.trim_matches('"');
    assert_eq!(
        late.text,
        format!(r#"{{"detail":"If-Match names another version; the current one is {version}"}}"#)
    );
    let delete = node
        .request(Method::DELETE, "/configs/k")
        .header("X-User-Key", USER_KEY)
        .header(header::IF_MATCH, &old);
    assert_eq!(delete.send().await.unwrap().status(), 412);
    let read = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(read.header("etag"), Some(new.as_str()));
    node.stop().await;
}

#[tokio::test]
async fn put_creates_only_where_it_is_told_so() {
    let node = TestNode::start();
    assert_eq!(put(&node, "/configs/k", None).await.status, 404);
    let star = Some((header::IF_MATCH, "*"));
    assert_eq!(put(&node, "/configs/k?upsert=true", star).await.status, 412);
    let none = Some((header::IF_NONE_MATCH, "*"));
    assert_eq!(put(&node, "/configs/k", none.clone()).await.status, 201);
    assert_eq!(put(&node, "/configs/k", none).await.status, 412);
    assert_eq!(put(&node, "/configs/k?upsert=true", None).await.status, 200);
    assert_eq!(
        put(&node, "/configs/new?upsert=true", None).await.status,
        201
    );
    assert_eq!(
        put(&node, "/configs/new?upsert=maybe", None).await.status,
        422
    );
    node.stop().await;
}

#[tokio::test]
async fn of_many_writers_with_the_same_version_one_wins() {
    let node = TestNode::start();
    let etag = create(&node, "k").await.header("etag").unwrap().to_owned();
    let writers = (0..16).map(|_| put(&node, "/configs/k", Some((header::IF_MATCH, &etag))));
    let statuses: Vec<_> = futures::future::join_all(writers)
        .await
        .into_iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 15);
    node.stop().await;
}

#[tokio::test]
async fn one_name_lives_in_each_environment_for_itself() {
    let node = TestNode::start();
    let in_body = json!({"key": "k", "value": "staging", "environment": "staging"});
    let created = node
        .call(Method::POST, "/configs", Some(in_body.clone()))
        .await;
    assert_eq!(created.json()["environment"], "staging");
    let again = node.call(Method::POST, "/configs", Some(in_body)).await;
    assert_eq!(
        again.text,
        r#"{"detail":"Configuration with key 'k' already exists in environment 'staging'"}"#
    );
    let in_query = json!({"key": "k", "value": "test"});
    let path = "/configs?environment=test";
    assert_eq!(
        node.call(Method::POST, path, Some(in_query)).await.status,
        201
    );

    let missing = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(missing.status, 404, "the default environment has none");
    let read = |environment| format!("/configs/k?environment={environment}");
    let test = node.call(Method::GET, &read("test"), None).await;
    assert_eq!(test.json()["value"], "test");
    let body = json!({"value": "changed", "environment": "staging"});
    assert_eq!(
        node.call(Method::PUT, "/configs/k", Some(body))
            .await
            .status,
        200
    );
    let staging = node.call(Method::GET, &read("staging"), None).await;
    assert_eq!(staging.json()["value"], "changed");
    assert_eq!(
        node.call(Method::DELETE, &read("test"), None).await.status,
        200
    );
    let gone = node.call(Method::DELETE, &read("test"), None).await;
    assert_eq!(
        gone.text,
        r#"{"detail":"Configuration with key 'k' not found in environment 'test'"}"#
    );
    let too_long = format!("/configs?environment={}", "e".repeat(101));
    let body = json!({"key": "k", "value": 1});
    assert_eq!(
        node.call(Method::POST, &too_long, Some(body)).await.status,
        422
    );
    node.stop().await;
}
