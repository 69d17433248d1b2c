//! The running node with some settings, as commands beside it speak to it.

use std::{net::IpAddr, time::Duration};

use anyhow::anyhow;
use reqwest::{
    RequestBuilder,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Caller, MESSAGE_BYTES, PeerClient, PeerError, answer, client};
use crate::{
    budget::Pool,
    cluster::Boot,
    config::{AccessKeys, Config, PeerAddress, PeerProofPolicy, TlsFiles},
    tls::Identity,
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const PATIENCE: Duration = Duration::from_secs(5);
/// What a node says of itself at most.
const STATUS_BYTES: usize = 1 << 20;

/// What a node says of itself, as far as commands need it.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    /// A node that stands alone shows no name.
    pub(super) node_id: Option<String>,
    pub(super) details: Details,
}

#[derive(Debug, Deserialize)]
pub(super) struct Details {
    pub(super) incarnation: String,
    pub(super) founding: Option<String>,
    #[serde(default)]
    pub(super) salt_fingerprint: Option<String>,
}

/// A node that runs with the settings of a command, and the others that it lists.
pub(super) struct RunningNode {
    http: reqwest::Client,
    scheme: &'static str,
    api_keys: Option<AccessKeys>,
    policy: PeerProofPolicy,
    tls: Option<TlsFiles>,
    pub(super) address: PeerAddress,
}

impl RunningNode {
    pub(super) fn of(config: &Config) -> anyhow::Result<Self> {
        let identity = config.peer_tls().map(Identity::read).transpose()?;
        Ok(Self {
            http: client::build(identity.as_ref(), None)?,
            scheme: if identity.is_some() { "https" } else { "http" },
            api_keys: config.api_keys.clone(),
            policy: config.peer_proof,
            tls: config.peer_tls().cloned(),
            address: PeerAddress {
                host: match config.peer_listen.unwrap_or(config.listen).ip() {
                    // A node that listens everywhere listens here too.
                    ip if ip.is_unspecified() => match ip {
                        IpAddr::V4(_) => "127.0.0.1".to_owned(),
                        IpAddr::V6(_) => "::1".to_owned(),
                    },
                    ip => ip.to_string(),
                },
                port: config.peer_listen.unwrap_or(config.listen).port(),
            },
        })
    }

    /// What it says of itself.
    pub(super) async fn status(&self) -> anyhow::Result<Status> {
        self.status_of(&self.address).await
    }

    /// What a node says of itself.
    pub(super) async fn status_of(&self, node: &PeerAddress) -> anyhow::Result<Status> {
        let url = format!("{}://{node}/cluster/status?details=true", self.scheme);
        let request = self.http.get(url).timeout(PATIENCE);
        let answer = self
            .with_api_key(request)?
            .send()
            .await
            .map_err(reqwest::Error::without_url)?
            .error_for_status()
            .map_err(reqwest::Error::without_url)?;
        let status = answer::read(answer, STATUS_BYTES).await?;
        Ok(serde_json::from_slice(&status)?)
    }

    /// Gives it an order of the cluster's owner.
    pub(super) async fn order<T: DeserializeOwned>(
        &self,
        path: &str,
        cluster_keys: &AccessKeys,
        order: &impl Serialize,
        patience: Duration,
    ) -> anyhow::Result<T> {
        self.order_to(&self.address, path, cluster_keys, order, patience)
            .await
    }

    /// Gives a listed node an order of the cluster's owner.
    pub(super) async fn order_to<T: DeserializeOwned>(
        &self,
        node: &PeerAddress,
        path: &str,
        cluster_keys: &AccessKeys,
        order: &impl Serialize,
        patience: Duration,
    ) -> anyhow::Result<T> {
        let client = PeerClient::new(
            Caller {
                name: None,
                boot: Boot::from_random(rand::random()),
                cluster_keys: cluster_keys.clone(),
                policy: self.policy,
                tls: self.tls.as_ref().map(Identity::read).transpose()?,
            },
            Pool::shared("peers", MESSAGE_BYTES),
        )?;
        let answer = client.post(&node.to_string(), path, order, patience).await;
        answer.map_err(|error| match error {
            PeerError::Refused { text, .. } => anyhow!("the node refused: {text}"),
            error => anyhow::Error::from(error).context(format!("the node at {node}")),
        })
    }

    fn with_api_key(&self, request: RequestBuilder) -> anyhow::Result<RequestBuilder> {
        let Some(keys) = &self.api_keys else {
            return Ok(request);
        };
        let mut key = HeaderValue::from_bytes(&keys.first())?;
        key.set_sensitive(true);
        Ok(request.header(API_KEY, key))
    }
}
