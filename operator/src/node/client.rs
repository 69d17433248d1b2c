//! A client for the nodes of one cluster: it knows their addresses and their keys.

use std::time::Duration;

use opensecureconf_contract::{Salt, key_header, route};
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};

use super::{AccessKey, AdminCommand, CommandError, NodeDetails, NodeStatus, Silence, Unverified};
#[cfg(feature = "simulated-nodes")]
use super::{SimulatedNodes, simulated::Simulated};

/// A node that does not answer within this time counts as unreachable.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The same for a probe: a process that accepts the request and never answers is asked again.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(1);
/// The longest status of a node: hundreds of members fit.
const STATUS_BYTES: usize = 1 << 20;
const REFUSAL_BYTES: usize = 64 << 10;
/// Of a refusal so many characters are repeated.
const WORDS: usize = 500;

/// The client for the nodes of one cluster.
#[derive(Debug, Clone)]
pub struct NodeClient {
    http: Client,
    scheme: &'static str,
    api_key: Option<AccessKey>,
    cluster_key: Option<AccessKey>,
    /// The nodes' stand-ins, in a simulation.
    #[cfg(feature = "simulated-nodes")]
    simulated: Option<Simulated>,
}

impl NodeClient {
    /// A client for nodes that serve plain HTTP. Without a key it sends none, and routes that demand one refuse it.
    pub fn plain(http: Client, api_key: Option<AccessKey>, cluster_key: Option<AccessKey>) -> Self {
        Self {
            http,
            scheme: "http",
            api_key,
            cluster_key,
            #[cfg(feature = "simulated-nodes")]
            simulated: None,
        }
    }

    /// A client for nodes that speak mutual TLS, through an HTTP client that shows the operator's certificate.
    pub fn over_tls(
        http: Client,
        api_key: Option<AccessKey>,
        cluster_key: Option<AccessKey>,
    ) -> Self {
        Self {
            scheme: "https",
            ..Self::plain(http, api_key, cluster_key)
        }
    }

    /// The same with stand-ins for nodes, which judge a connection with these certificates.
    #[cfg(feature = "simulated-nodes")]
    #[must_use]
    pub fn answered_by(
        self,
        nodes: Option<std::sync::Arc<dyn SimulatedNodes>>,
        pki: &crate::pki::StoredPki,
        now: jiff::Timestamp,
    ) -> Self {
        let simulated = nodes.map(|nodes| Simulated::new(nodes, pki, now));
        Self { simulated, ..self }
    }

    /// The status of the node at `address`, whichever it is; `None` when it gives no sensible answer in time.
    pub async fn status(&self, address: &str) -> Option<NodeDetails> {
        #[cfg(feature = "simulated-nodes")]
        if let Some(nodes) = &self.simulated {
            return nodes.status(address).await;
        }
        self.whole_status(address).await.ok()?.details
    }

    /// The status of the node of this name, which should be at `address`, or why there is none. The nodes of a cluster have one
    /// certificate: it proves that one of them answers, and their own word tells which.
    ///
    /// # Errors
    /// Where the node gives no sensible answer in time, or what answers is no node of the cluster, or another one.
    pub async fn ask(&self, name: &str, address: &str) -> Result<NodeDetails, Silence> {
        #[cfg(feature = "simulated-nodes")]
        if let Some(nodes) = &self.simulated {
            return nodes.status(address).await.ok_or(Silence::NoAnswer);
        }
        let status = self.whole_status(address).await?;
        let details = status.details.ok_or(Silence::NoAnswer)?;
        match status.node_id {
            Some(answers) if answers == name => Ok(details),
            answers => Err(Silence::NotVerified(Unverified::another_node(answers))),
        }
    }

    async fn whole_status(&self, address: &str) -> Result<NodeStatus, Silence> {
        let request = self.status_request(address).ok_or(Silence::NoAnswer)?;
        let answer = request.send().await.map_err(|error| {
            Unverified::of(&error).map_or(Silence::NoAnswer, Silence::NotVerified)
        })?;
        status_in(answer).await.ok_or(Silence::NoAnswer)
    }

    /// `None` where a key fits in no header.
    fn status_request(&self, address: &str) -> Option<RequestBuilder> {
        let url = self.url(address, route::STATUS_WITH_DETAILS);
        let mut request = self.http.get(url).timeout(TIMEOUT);
        if let Some(key) = &self.api_key {
            request = request.header(key_header::API_KEY, key.header()?);
        }
        // Only where the node's name is verified: the cluster key is not for every program that answers.
        if let Some(key) = self.cluster_key.as_ref().filter(|_| self.scheme == "https") {
            request = request.header(key_header::CLUSTER_KEY, key.header()?);
        }
        Some(request)
    }

    /// The salt of the node at `address`; `None` when it has none, or gives no sensible answer in time.
    pub async fn salt(&self, address: &str) -> Option<Salt> {
        #[cfg(feature = "simulated-nodes")]
        if let Some(nodes) = &self.simulated {
            return nodes.salt(address).await;
        }
        let request = self
            .http
            .get(self.url(address, route::SALT))
            .header(
                key_header::CLUSTER_KEY,
                self.cluster_key.as_ref()?.header()?,
            )
            .timeout(TIMEOUT);
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        Salt::from_bytes(&read(answer, Salt::BYTES).await?)
    }

    /// Sends an order to the node at `address`, and waits until it is done.
    pub async fn command(
        &self,
        address: &str,
        command: &AdminCommand<'_>,
    ) -> Result<(), CommandError> {
        #[cfg(feature = "simulated-nodes")]
        if let Some(nodes) = &self.simulated {
            return nodes.command(address, command).await;
        }
        let key = self.cluster_key.as_ref().and_then(AccessKey::header);
        let request = self.http.post(self.url(address, &command.path()));
        let request = match command.body() {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request
            .header(key_header::CLUSTER_KEY, key.ok_or(CommandError::NoKey)?)
            .timeout(TIMEOUT)
            .send()
            .await
            .map_err(|source| CommandError::Unreachable {
                address: address.to_owned(),
                source: source.without_url(),
            })?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(CommandError::Refused {
            address: address.to_owned(),
            text: words(answer).await,
        })
    }

    /// Whether the node at `address` serves clients.
    pub async fn is_ready(&self, address: &str) -> bool {
        let request = self.http.get(self.url(address, route::READY));
        let answer = request.timeout(PROBE_TIMEOUT).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    fn url(&self, address: &str, path: &str) -> String {
        format!("{}://{address}{path}", self.scheme)
    }
}

/// The status in an answer; `None` where it is none.
async fn status_in(answer: Response) -> Option<NodeStatus> {
    let status = read(answer.error_for_status().ok()?, STATUS_BYTES).await?;
    serde_json::from_slice(&status).ok()
}

/// Reads a whole body up to a limit; `None` when it is longer or breaks off. A node's image may be hostile.
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

/// The beginning of a node's refusal.
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

/// The HTTP client for nodes: direct, and to no other address than the given one.
pub fn http_client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(CONNECT)
        .no_proxy()
        // Keys go to nodes and nowhere else.
        .redirect(Policy::none())
        .build()
}
