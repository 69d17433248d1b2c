//! The first request of a user key, beside its derivation alone.

use std::time::Instant;

use opensecureconf_node::crypto::{Iterations, Salt, UserKey, derive};

use crate::{
    node::{Node, folder_with},
    report::{Bar, Row, median},
};

const ROUNDS: usize = 15;

pub(crate) fn rows() -> Vec<Row> {
    let (folder, _) = folder_with(1);
    let node = Node::start(folder.path(), &[("OSC_AUTH_FAILURES_PER_MINUTE", "0")]);
    let salt = Salt::from_bytes(&[7; 64]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = reqwest::Client::new();
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let user_key = format!("a new user key {round}");
        let start = Instant::now();
        derive(
            &UserKey::from_header(user_key.as_bytes()),
            &salt,
            Iterations::STANDARD,
        );
        limit.push(start.elapsed().as_secs_f64() * 1000.0);
        let start = Instant::now();
        runtime.block_on(async {
            let request = client
                .post(format!("{}/configs", node.url))
                .header("X-User-Key", &user_key)
                .json(&serde_json::json!({"key": user_key, "value": 1}));
            request.send().await.unwrap().error_for_status().unwrap();
        });
        ours.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    vec![Row {
        what: "first request of a new user key (a create)",
        unit: "ms",
        ours: median(ours),
        against: "one bare PBKDF2 derivation",
        limit: median(limit),
        bar: Bar::RatioAtMost(1.15),
    }]
}
