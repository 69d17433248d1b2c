//! Wrong API and cluster keys, many of them.

use reqwest::Method;
use tempfile::TempDir;

use crate::node::{API_KEY, TestNode};

const CLUSTER_KEY: &str = "the cluster key of the tests";

async fn status(node: &TestNode, from: &str, header: &str, key: &str) -> u16 {
    let path = if header == "X-API-Key" {
        "/cluster/status"
    } else {
        "/cluster/salt"
    };
    let request = node
        .client
        .request(Method::GET, format!("{}{path}", node.url));
    let request = request.header(header, key).header("X-Forwarded-For", from);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_key_that_is_guessed_among_thousands_is_not_found() {
    for (header, right) in [("X-API-Key", API_KEY), ("X-Cluster-Key", CLUSTER_KEY)] {
        let more = [
            ("OSC_CLUSTER_KEY", CLUSTER_KEY),
            ("OSC_TRUSTED_PROXIES", "127.0.0.1"),
        ];
        let node = TestNode::start_in(TempDir::new().unwrap(), &more);
        let shared = "192.0.2.1";
        assert_eq!(status(&node, shared, header, right).await, 200);
        // Failures are forgiven with time: enough of them for a slow machine.
        for n in 0..2000 {
            let guess = format!("a guess of the tests, number {n}");
            for from in [shared, "192.0.2.2"] {
                assert!(matches!(
                    status(&node, from, header, &guess).await,
                    403 | 429
                ));
            }
        }
        assert_eq!(
            status(&node, "192.0.2.2", header, right).await,
            429,
            "nobody compared it"
        );
        assert_eq!(
            status(&node, shared, header, right).await,
            200,
            "who had it before goes on"
        );
        assert_eq!(status(&node, "192.0.2.3", header, right).await, 200);
        node.stop().await;
    }
}
