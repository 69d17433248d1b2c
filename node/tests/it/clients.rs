//! The published Python clients, unchanged, against this node.

use tempfile::TempDir;

use crate::{
    authority::{Authority, Leaf, write_node_tls},
    node::{API_KEY, TestNode, USER_KEY},
    process::Process,
    python,
};

const SCRIPT: &str = include_str!("published_client.py");

/// The result of every method, which all versions share.
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

/// The results of filters by environment, where the client has them.
const IN_ENVIRONMENTS: [&str; 2] = [
    "list_all environment: [['elsewhere'], [], ['elsewhere']]",
    "count environment: [1, 0, 1]",
];

async fn results(version: &'static str) -> Vec<String> {
    let node = TestNode::start();
    let printed = run(version, &node.url, SCRIPT).await;
    node.stop().await;
    printed
}

/// The output of the script that calls every method of a client at this address.
async fn run(version: &'static str, url: &str, script: &str) -> Vec<String> {
    let folder = python::interpreter()
        .parent()
        .unwrap()
        .join("../clients")
        .join(version);
    let (url, script) = (url.to_owned(), script.to_owned());
    let printed = tokio::task::spawn_blocking(move || {
        let folder = folder.to_str().unwrap();
        python::run(&script, &[folder, version, &url, API_KEY, USER_KEY], b"")
    });
    let printed = printed.await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn over_https_they_need_nothing_but_the_address_and_a_variable() {
    for version in ["2.0.2", "2.3.1", "3.1.0"] {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new("clients");
        let pair = authority.issue(&Leaf::of_node(&["127.0.0.1"]));
        write_node_tls(folder.path(), &pair, &authority.pem());
        let more = [
            ("OSC_HTTPS_ENABLED", "true"),
            ("OSC_SSL_CERTFILE", "tls.crt"),
            ("OSC_SSL_KEYFILE", "tls.key"),
        ];
        let node = Process::start(folder.path(), &more);
        let address = node.started["address"].as_str().unwrap();
        let authorities = folder.path().join("ca.crt");
        let script =
            format!("import os\nos.environ['REQUESTS_CA_BUNDLE'] = {authorities:?}\n{SCRIPT}");
        let over_https = run(version, &format!("https://{address}"), &script).await;
        assert_eq!(over_https, results(version).await);
    }
}
