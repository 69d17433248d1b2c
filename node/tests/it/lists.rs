//! Lists: pages, names, large lists, lists of several clients.

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Answer, OTHER_USER_KEY, TestNode, USER_KEY};

/// Entries `e000`, `e001`, ...; every third under another user key.
async fn fill(node: &TestNode, count: usize, value: &Value) {
    for n in 0..count {
        let user_key = if n % 3 == 2 { OTHER_USER_KEY } else { USER_KEY };
        let body = json!({"key": format!("e{n:03}"), "value": value});
        let created = node
            .call_as(user_key, Method::POST, "/configs", Some(body))
            .await;
        assert_eq!(created.status, 201);
    }
}

fn keys(answer: &Answer) -> Vec<String> {
    let entries = answer.json();
    let key = |entry: &Value| entry["key"].as_str().unwrap().to_owned();
    entries.as_array().unwrap().iter().map(key).collect()
}

fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let (url, rest) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
    assert_eq!(rest, "; rel=\"next\"");
    Some(url.to_owned())
}

#[tokio::test]
async fn pages_together_are_the_list_and_the_last_has_no_link() {
    let node = TestNode::start();
    fill(&node, 30, &json!(1)).await;
    let whole = keys(&node.call(Method::GET, "/configs", None).await);
    assert_eq!(whole.len(), 20);
    for limit in [1, 7, 20, 1000] {
        let (mut paged, mut skipped) = (Vec::new(), 0);
        let mut path = Some(format!("/configs?limit={limit}&mode=full"));
        while let Some(here) = path {
            let page = node.call(Method::GET, &here, None).await;
            assert!(!keys(&page).is_empty(), "a link promises another entry");
            assert!(
                page.json()[0]["created_at"].is_string(),
                "the link keeps the mode"
            );
            skipped += page
                .header("x-osc-skipped")
                .map_or(0, |count| count.parse().unwrap());
            paged.extend(keys(&page));
            path = next(&page);
        }
        assert_eq!(paged, whole, "limit {limit}");
        assert_eq!(skipped, 10, "limit {limit}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_page_goes_on_after_an_entry_that_was_deleted() {
    let node = TestNode::start();
    fill(&node, 6, &json!(1)).await;
    let first = node.call(Method::GET, "/configs?limit=2", None).await;
    assert_eq!(keys(&first), ["e000", "e001"]);
    node.call(Method::DELETE, "/configs/e001", None).await;
    let second = node.call(Method::GET, &next(&first).unwrap(), None).await;
    assert_eq!(keys(&second), ["e003", "e004"]);
    node.stop().await;
}

#[tokio::test]
async fn names_can_be_listed_without_values() {
    let node = TestNode::start();
    fill(&node, 3, &json!("a value that stays here")).await;
    let names = node
        .call(Method::GET, "/configs?keys_only=true", None)
        .await;
    assert_eq!(keys(&names), ["e000", "e001"]);
    assert_eq!(names.json()[0].get("value"), None);
    assert!(!names.text.contains("stays here"));
    assert_eq!(names.header("x-osc-skipped"), Some("1"));
    node.stop().await;
}

#[tokio::test]
async fn a_list_that_is_streamed_is_the_same_list() {
    let node = TestNode::start();
    // Twice as much as the node opens in one pass.
    let value = json!("x".repeat(70_000));
    fill(&node, 45, &value).await;
    let list = node.call(Method::GET, "/configs", None).await;
    assert_eq!(list.status, 200);
    let expected: Vec<_> = (0..45)
        .filter(|n| n % 3 != 2)
        .map(|n| format!("e{n:03}"))
        .collect();
    assert_eq!(keys(&list), expected);
    assert!(
        list.json()
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["value"] == value)
    );
    assert_eq!(list.header("x-osc-skipped"), Some("15"));
    let page = node.call(Method::GET, "/configs?limit=29", None).await;
    assert_eq!(keys(&page), expected[..29]);
    let last = node.call(Method::GET, &next(&page).unwrap(), None).await;
    assert_eq!((keys(&last).len(), next(&last)), (1, None));
    node.stop().await;
}

#[tokio::test]
async fn category_and_environment_narrow_a_list() {
    let node = TestNode::start();
    for (key, category, environment) in [
        ("a", Some("db"), None),
        ("b", Some("db"), Some("test")),
        ("c", None, Some("test")),
    ] {
        let body =
            json!({"key": key, "value": 1, "category": category, "environment": environment});
        node.call(Method::POST, "/configs", Some(body)).await;
    }
    for (query, expected) in [
        ("", vec!["a", "b", "c"]),
        ("?category=", vec!["a", "b", "c"]),
        ("?environment=", vec!["a", "b", "c"]),
        ("?category=db", vec!["a", "b"]),
        ("?environment=test", vec!["b", "c"]),
        ("?category=db&environment=test", vec!["b"]),
        ("?category=other", vec![]),
        ("?category=other&category=db", vec!["a", "b"]),
        ("?unknown=1", vec!["a", "b", "c"]),
    ] {
        for path in ["/configs", "/cluster/configs"] {
            let list = node
                .call(Method::GET, &format!("{path}{query}"), None)
                .await;
            assert_eq!(keys(&list), expected, "{path}{query}");
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn a_page_that_makes_no_sense_is_refused() {
    let node = TestNode::start();
    for (query, loc) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("after=rubbish", "after"),
        ("mode=long", "mode"),
        ("keys_only=perhaps", "keys_only"),
    ] {
        let answer = node
            .call(Method::GET, &format!("/configs?{query}"), None)
            .await;
        assert_eq!(answer.status, 422, "{query}");
        assert_eq!(answer.json()["detail"][0]["loc"], json!(["query", loc]));
    }
    node.stop().await;
}
