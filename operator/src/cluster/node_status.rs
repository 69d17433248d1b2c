//! What a node says of itself, and what only the cluster's owner may order of it.

use std::time::Duration;

use reqwest::{Client, Response, header::HeaderValue, redirect::Policy};
use serde::Deserialize;
use serde_json::json;

use super::{dereference::ApiKey, salt::Salt};

/// A node that does not answer within this time counts as unreachable.
const TIMEOUT: Duration = Duration::from_secs(2);

const CONNECT: Duration = Duration::from_secs(1);
/// What a node says of itself at most: hundreds of members have room in it.
const STATUS_BYTES: usize = 1 << 20;
const SALT_BYTES: usize = 64;
const REFUSAL_BYTES: usize = 64 << 10;
/// Of a refusal so many characters are told.
const WORDS: usize = 500;

const CLUSTER_KEY_HEADER: &str = "X-Cluster-Key";

/// The answer of `GET /cluster/status?details=true`, as far as the operator reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeStatus {
    /// What it adds for operators.
    pub details: NodeDetails,
}

/// What a node tells an operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct NodeDetails {
    /// Its release.
    pub version: String,
    /// Its database's identity.
    pub incarnation: String,
    /// What it says of its membership.
    pub state: String,
    /// The cluster's founding; `None` while it belongs to none.
    pub founding: Option<String>,
    /// Whether it serves.
    pub ready: bool,
    /// Why it does not.
    pub reasons: Vec<String>,
    /// What may be shown of its salt.
    pub salt_fingerprint: Option<String>,
    /// How many entries it has.
    pub entries: i64,
    /// The others, as it knows them.
    pub members: Vec<NodeMember>,
}

/// Another node, as a node knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct NodeMember {
    /// Its name.
    pub name: String,
    /// Its database's identity.
    pub incarnation: String,
    /// What it is to the cluster.
    pub state: String,
    /// Whether it answers.
    pub reachable: bool,
    /// Changes that it lacks of this node.
    pub lag: u64,
    /// Changes that this node lacks of it.
    pub behind: u64,
}

/// Asks one node; `None` when it gives no sensible answer in time.
pub async fn ask(client: &Client, address: &str, api_key: Option<&ApiKey>) -> Option<NodeDetails> {
    let url = format!("http://{address}/cluster/status?details=true");
    let mut request = client.get(url).timeout(TIMEOUT);
    if let Some(ApiKey(key)) = api_key {
        request = request.header("X-API-Key", key.as_slice());
    }
    let answer = request.send().await.ok()?.error_for_status().ok()?;
    let status = read(answer, STATUS_BYTES).await?;
    Some(serde_json::from_slice::<NodeStatus>(&status).ok()?.details)
}

/// Asks one node for its salt; `None` when it has none, or gives no sensible answer in time.
pub async fn salt(client: &Client, address: &str, cluster_key: &ApiKey) -> Option<Salt> {
    let request = client
        .get(format!("http://{address}/cluster/salt"))
        .header(CLUSTER_KEY_HEADER, header(cluster_key)?)
        .timeout(TIMEOUT);
    let answer = request.send().await.ok()?.error_for_status().ok()?;
    Salt::read(&read(answer, SALT_BYTES).await?)
}

/// Something that only the owner of a cluster orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeOrder<'a> {
    /// Found the cluster, if this is your incarnation.
    Found {
        /// The incarnation that is meant.
        incarnation: &'a str,
    },
    /// Leave the cluster.
    Leave,
    /// Remove a member that has left.
    Remove {
        /// Who.
        name: &'a str,
        /// Which life of it.
        incarnation: &'a str,
    },
}

/// Why a node did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It did not answer.
    #[error("the node at {address} does not answer")]
    Unreachable {
        /// Where.
        address: String,
        /// What failed.
        source: reqwest::Error,
    },
    /// It refused.
    #[error("the node at {address} refused: {text}")]
    Refused {
        /// Where.
        address: String,
        /// Its words.
        text: String,
    },
}

/// Orders something of a node, and waits until it is done.
pub async fn order(
    client: &Client,
    address: &str,
    cluster_key: &ApiKey,
    order: &NodeOrder<'_>,
) -> Result<(), OrderError> {
    let url = |path: &str| format!("http://{address}{path}");
    let request = match order {
        NodeOrder::Found { incarnation } => client
            .post(url("/cluster/found"))
            .json(&json!({ "incarnation": incarnation })),
        NodeOrder::Leave => client.post(url("/cluster/leave")),
        NodeOrder::Remove { name, incarnation } => client.post(url(&format!(
            "/cluster/members/{name}/remove?incarnation={incarnation}"
        ))),
    };
    let key = header(cluster_key).ok_or_else(|| OrderError::Refused {
        address: address.to_owned(),
        text: "the cluster key cannot be sent in a header".to_owned(),
    })?;
    let answer = request
        .header(CLUSTER_KEY_HEADER, key)
        .timeout(TIMEOUT)
        .send()
        .await
        .map_err(|source| OrderError::Unreachable {
            address: address.to_owned(),
            source: source.without_url(),
        })?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(OrderError::Refused {
        address: address.to_owned(),
        text: words(answer).await,
    })
}

/// Reads a whole body of so many bytes at most; `None` when it is longer or breaks off. A node is whatever its image is.
async fn read(mut answer: Response, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if bytes.len() + chunk.len() > limit {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
}

/// The beginning of what a node says in refusing.
async fn words(answer: Response) -> String {
    let status = answer.status();
    match read(answer, REFUSAL_BYTES).await {
        Some(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let plain = text.chars().filter(|character| !character.is_control());
            plain.take(WORDS).collect()
        }
        None => format!("{status}, with an answer that is too long"),
    }
}

/// A client that speaks to nodes: directly, and nowhere else than it is told.
pub fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(CONNECT)
        .no_proxy()
        // Keys go to nodes and nowhere else.
        .redirect(Policy::none())
        .build()
}

/// A key that no log shows; `None` where no header carries it.
fn header(ApiKey(key): &ApiKey) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(key).ok()?;
    value.set_sensitive(true);
    Some(value)
}
