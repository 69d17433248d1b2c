//! Bodies in the encodings that Python's `json.loads` finds out, against Python itself.

use std::fmt::Write;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use reqwest::Method;
use serde_json::Value;

use crate::{
    node::{TestNode, USER_KEY},
    python,
};

/// For each line of input, a hexadecimal body: its text as JSON, or nothing where the body is no text.
const PYTHON: &str = r"
import json, sys
for line in sys.stdin:
    body = bytes.fromhex(line.strip())
    try:
        print(json.dumps(json.loads(body)['value']))
    except Exception:
        print()
";

const BODIES: usize = 300;

/// A text as bytes: encoding 0 to 4 of UTF-8, UTF-16 and UTF-32 in both orders, with or without a byte order mark.
fn encode(text: &str, encoding: u8, mark: bool) -> Vec<u8> {
    let text: String = mark
        .then_some('\u{feff}')
        .into_iter()
        .chain(text.chars())
        .collect();
    match encoding {
        0 => text.into_bytes(),
        1 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        2 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        3 => text
            .chars()
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect(),
        _ => text
            .chars()
            .flat_map(|c| u32::from(c).to_le_bytes())
            .collect(),
    }
}

#[tokio::test]
async fn bodies_are_read_in_every_encoding_that_python_reads() {
    let mut runner = TestRunner::new(Config::default());
    let strategy = (
        "[a-zé€😀 ]{0,8}",
        0..5_u8,
        any::<bool>(),
        prop::option::weighted(0.3, any::<usize>()),
    );
    let (mut bodies, mut input) = (Vec::new(), String::new());
    for n in 0..BODIES {
        let (value, encoding, mark, cut) = strategy.new_tree(&mut runner).unwrap().current();
        let text = format!(r#"{{"key": "k{n}", "value": "{value}"}}"#);
        let mut body = encode(&text, encoding, mark);
        // Some bodies are cut, so that not all of them are text.
        body.truncate(cut.map_or(body.len(), |cut| 1 + cut % body.len()));
        for byte in &body {
            write!(input, "{byte:02x}").unwrap();
        }
        input.push('\n');
        bodies.push(body);
    }
    let answers = python::run(PYTHON, &[], input.as_bytes());
    assert_eq!(answers.lines().count(), BODIES);

    let node = TestNode::start();
    let mut created = 0;
    for (n, (body, expected)) in bodies.into_iter().zip(answers.lines()).enumerate() {
        let request = node
            .request(Method::POST, "/configs")
            .header("X-User-Key", USER_KEY)
            .header("Content-Type", "application/json");
        let status = request.body(body.clone()).send().await.unwrap().status();
        if expected.is_empty() {
            assert!(matches!(status.as_u16(), 400 | 422), "{status} {body:?}");
            continue;
        }
        assert_eq!(status, 201, "{body:?}");
        let read = node
            .call(Method::GET, &format!("/configs/k{n}"), None)
            .await;
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(read.json()["value"], expected, "{body:?}");
        created += 1;
    }
    assert!(created > BODIES / 2, "{created}");
    node.stop().await;
}
