//! The published Python clients, unchanged, against this node.

use crate::{
    node::{API_KEY, TestNode, USER_KEY},
    python,
};

const SCRIPT: &str = include_str!("published_client.py");

/// What every method of every version gives.
const ALL: &[&str] = &[
    "ping: True",
    "get_service_info: 2.1.0",
    "get_cluster_status: False",
    "get_cluster_health: healthy",
    "create: {'n': 1}",
    "create again: ConfigurationExistsError",
    "read: {'n': 1}",
    "read missing: ConfigurationNotFoundError",
    "update: {'n': 3}",
    "bulk_create: ['b', 'c']",
    "bulk_read: ['b', 'c']",
    "list_all: ['a', 'b', 'c']",
    "list_all category: ['b', 'c']",
    "exists: [True, False]",
    "get_or_default: {'d': 1}",
    "count: [3, 2]",
    "list_categories: ['bulk', 'db']",
    "bulk_delete: 2",
    "delete: Configuration 'a' deleted successfully",
    "delete missing: ConfigurationNotFoundError",
    "wrong user key: AuthenticationError",
    "wrong API key: AuthenticationError",
];

/// What the filters by environment give where the client has them.
const IN_ENVIRONMENTS: [&str; 2] = [
    "list_all environment: [['elsewhere'], [], ['elsewhere']]",
    "count environment: [1, 0, 1]",
];

async fn results(version: &'static str) -> Vec<String> {
    let node = TestNode::start();
    let folder = python::interpreter()
        .parent()
        .unwrap()
        .join("../clients")
        .join(version);
    let url = node.url.clone();
    let script = tokio::task::spawn_blocking(move || {
        let folder = folder.to_str().unwrap();
        python::run(SCRIPT, &[folder, version, &url, API_KEY, USER_KEY], b"")
    });
    let printed = script.await.unwrap();
    node.stop().await;
    printed.lines().map(str::to_owned).collect()
}

fn with(more: &[(usize, &'static str)]) -> Vec<&'static str> {
    let mut expected = ALL.to_vec();
    for (at, line) in more {
        expected.insert(*at, line);
    }
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn client_2_0_2_works() {
    assert_eq!(results("2.0.2").await, with(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_2_3_1_works() {
    assert_eq!(
        results("2.3.1").await,
        with(&[
            (6, "create others: ['text', 5, True, [1]]"),
            (18, "list_environments: []"),
            (22, IN_ENVIRONMENTS[0]),
            (23, IN_ENVIRONMENTS[1]),
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn client_3_1_0_works() {
    assert_eq!(
        results("3.1.0").await,
        with(&[
            (6, "create others: ['text', 5, True, [1]]"),
            (18, "list_environments: ['production']"),
            (22, IN_ENVIRONMENTS[0]),
            (23, IN_ENVIRONMENTS[1]),
        ])
    );
}
