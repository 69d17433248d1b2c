//! What a node says of itself.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;

use super::dereference::ApiKey;

/// A node that does not answer within this time counts as unreachable.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The answer of `GET /cluster/status?details=true`, as far as the operator reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeStatus {
    /// What it adds for operators.
    pub details: NodeDetails,
}

/// What a node tells an operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeDetails {
    /// Its release.
    pub version: String,
    /// What it says of its membership.
    pub state: String,
    /// What may be shown of its salt.
    pub salt_fingerprint: Option<String>,
    /// How many entries it has.
    pub entries: i64,
}

/// Asks one node; `None` when it gives no sensible answer in time.
pub async fn ask(client: &Client, address: &str, api_key: Option<&ApiKey>) -> Option<NodeDetails> {
    let url = format!("http://{address}/cluster/status?details=true");
    let mut request = client.get(url).timeout(TIMEOUT);
    if let Some(ApiKey(key)) = api_key {
        request = request.header("X-API-Key", key.as_slice());
    }
    let answer = request.send().await.ok()?.error_for_status().ok()?;
    Some(answer.json::<NodeStatus>().await.ok()?.details)
}
