//! The memory that a node plans with: refused where it does not fit, shown, and counted.

use reqwest::Method;
use tempfile::TempDir;

use crate::{node::TestNode, process::osc_node};

fn config(settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    let output = osc_node(folder.path())
        .arg("config")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text + &errors)
}

#[test]
fn the_settings_in_effect_show_how_the_memory_is_divided() {
    let (code, text) = config(&[("OSC_MEMORY_BYTES", "100000000"), ("OSC_WORKERS", "2")]);
    assert_eq!(code, Some(0), "{text}");
    for line in [
        "# memory that is planned with: 100000000 bytes (OSC_MEMORY_BYTES)",
        "#   OSC_CONNECTION_MEMORY_BYTES 20000000 bytes",
        "#   OSC_BODY_MEMORY_BYTES 15000000 bytes",
        "#   OSC_ANSWER_MEMORY_BYTES 15000000 bytes",
        "#   OSC_VALUE_MEMORY_BYTES 15000000 bytes",
        "#   OSC_PEER_MEMORY_BYTES 15000000 bytes",
        "#   OSC_STORE_MEMORY_BYTES 20000000 bytes",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn shares_that_are_more_than_the_memory_stop_the_start() {
    let (code, text) = config(&[
        ("OSC_MEMORY_BYTES", "100000000"),
        ("OSC_PEER_MEMORY_BYTES", "90000000"),
    ]);
    assert_eq!(code, Some(2));
    assert!(text.contains("OSC_MEMORY_BYTES is 100000000"), "{text}");
    assert!(text.contains("OSC_PEER_MEMORY_BYTES"), "{text}");
}

#[tokio::test]
async fn the_shares_are_among_the_metrics() {
    let node = TestNode::start_in(
        TempDir::new().unwrap(),
        &[("OSC_MEMORY_BYTES", "100000000")],
    );
    let page = node.call(Method::GET, "/metrics", None).await.text;
    for line in [
        r#"osc_memory_share_bytes{share="peers"} 11250000"#,
        r#"osc_memory_share_bytes{share="small_peers"} 3750000"#,
        r#"osc_memory_reserved_bytes{share="bodies"} 0"#,
        r#"osc_memory_refusals_total{share="answers"} 0"#,
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    node.stop().await;
}
