//! Lost versions, page by page.

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::node::{Answer, OTHER_USER_KEY, TestNode, USER_KEY};

/// A node with a lost version of each of these entries, oldest first, as concurrent writes on two nodes leave them.
async fn node_with_lost_versions(entries: &[(&str, &str, Value)]) -> TestNode {
    node_with(entries, &[]).await
}

/// The same with these settings.
pub(crate) async fn node_with(
    entries: &[(&str, &str, Value)],
    settings: &[(&str, &str)],
) -> TestNode {
    let node = TestNode::start();
    for (user_key, key, value) in entries {
        let body = json!({"key": key, "value": value});
        let created = node.call_as(user_key, Method::POST, "/configs", Some(body));
        assert_eq!(created.await.status, 201);
    }
    let folder = node.stop().await;
    let database = Connection::open(folder.path().join("configurations.db")).unwrap();
    let lost = database.execute(
        "INSERT INTO conflicts (environment, key, category, token, created_at, updated_at, clock, incarnation, row_hash, clocks, extra, seen_at)
         SELECT environment, key, category, token, created_at, updated_at, clock - 1, incarnation, row_hash, clocks, extra, updated_at
         FROM entries ORDER BY clock",
        [],
    );
    assert_eq!(lost.unwrap(), entries.len());
    drop(database);
    TestNode::start_in(folder, settings)
}

fn next(page: &Answer) -> Option<String> {
    let (url, _) = page
        .header("link")?
        .strip_prefix('<')?
        .split_once(">; rel=\"next\"")?;
    Some(url.to_owned())
}

#[tokio::test]
async fn who_follows_the_links_gets_each_lost_version_once_the_latest_first() {
    let node = node_with_lost_versions(&[
        (USER_KEY, "k0", json!("é")),
        (USER_KEY, "k1", json!({"port": 1.50})),
        (OTHER_USER_KEY, "k2", json!(2)),
        (OTHER_USER_KEY, "k3", json!(3)),
        (USER_KEY, "k4", json!([null])),
    ])
    .await;
    let mut pages = Vec::new();
    let mut path = Some("/cluster/conflicts?limit=2".to_owned());
    while let Some(asked) = path {
        let page = node.call(Method::GET, &asked, None).await;
        assert_eq!(page.status, 200);
        let shown = page.json();
        let shown = shown.as_array().unwrap().iter();
        pages.push(
            shown
                .map(|version| (version["key"].clone(), version["value"].clone()))
                .collect::<Vec<_>>(),
        );
        path = next(&page);
    }
    assert_eq!(
        pages,
        [
            vec![(json!("k4"), json!([null]))],
            vec![(json!("k1"), json!({"port": 1.5}))],
            vec![(json!("k0"), json!("é"))],
        ]
    );
    node.stop().await;
}

#[tokio::test]
async fn a_page_that_is_larger_than_most_is_answered_with_little_memory() {
    let mut entries = vec![(USER_KEY, "large", json!("x".repeat(1_000_000)))];
    let keys = ["k0", "k1", "k2", "k3", "k4", "k5", "k6"];
    entries.extend(keys.map(|key| (USER_KEY, key, json!("y".repeat(100_000)))));
    let node = node_with(&entries, &[("OSC_ANSWER_MEMORY_BYTES", "8000000")]).await;
    let page = node.call(Method::GET, "/cluster/conflicts", None).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let page = page.json();
    let shown = page.as_array().unwrap();
    assert_eq!(shown.len(), entries.len());
    assert!(shown[7]["value"] == entries[0].2);
    node.stop().await;
}

#[tokio::test]
async fn a_page_of_large_versions_ends_early() {
    let large = json!("x".repeat(900_000));
    let entries = ["k0", "k1", "k2"].map(|key| (USER_KEY, key, large.clone()));
    let node = node_with_lost_versions(&entries).await;
    let page = node.call(Method::GET, "/cluster/conflicts", None).await;
    assert_eq!(page.json().as_array().unwrap().len(), 1);
    assert_eq!(page.json()[0]["value"], large);
    assert!(next(&page).is_some());
    node.stop().await;
}

#[tokio::test]
async fn a_lost_version_has_all_its_members() {
    let node = TestNode::start();
    let none = node.call(Method::GET, "/cluster/conflicts", None).await;
    assert_eq!(none.text, "[]");
    assert_eq!(none.header("content-type"), Some("application/json"));
    node.stop().await;

    let node = node_with_lost_versions(&[(USER_KEY, "a \"name\"", json!([1, "b"]))]).await;
    let page = node.call(Method::GET, "/cluster/conflicts", None).await;
    let mut version = page.json()[0].clone();
    let of_this_write = ["version", "updated_at"].map(|name| version[name].take());
    assert!(of_this_write.iter().all(Value::is_string));
    assert_eq!(
        version,
        json!({"key": "a \"name\"", "environment": null, "category": null, "value": [1, "b"], "version": null, "updated_at": null})
    );
    node.stop().await;
}
