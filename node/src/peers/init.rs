//! `osc-node init`: founds a cluster by hand, after every listed node was asked whether it knows of one.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, bail};
use reqwest::{
    RequestBuilder,
    header::{HeaderName, HeaderValue},
};
use serde::Deserialize;

use super::client;
use crate::config::{AccessKeys, Config, PeerAddress};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CLUSTER_KEY: HeaderName = HeaderName::from_static("x-cluster-key");
const PATIENCE: Duration = Duration::from_secs(5);

/// What a node says of itself, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Status {
    node_id: String,
    details: Details,
}

#[derive(Debug, Deserialize)]
struct Details {
    incarnation: String,
    founding: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Founded {
    founding: String,
}

/// Tells the running node with this configuration to found its cluster. Gives the founding's id.
///
/// # Errors
/// Where a listed node does not answer or belongs to a cluster (`force` goes on all the same), or the node refuses.
pub async fn init(config: &Config, force: bool) -> anyhow::Result<String> {
    let (Some(cluster), Some(cluster_keys)) = (&config.cluster, &config.cluster_keys) else {
        bail!(
            "this node belongs to no cluster; run init with the settings of the node that it is about (OSC_CLUSTER_ENABLED=true)"
        )
    };
    let asker = Asker {
        http: client::build(config.tls.as_ref())?,
        scheme: if config.tls.is_some() {
            "https"
        } else {
            "http"
        },
        api_keys: config.api_keys.clone(),
    };
    let own = PeerAddress {
        host: match config.listen.ip() {
            // A node that listens everywhere listens here too.
            ip if ip.is_unspecified() => match ip {
                IpAddr::V4(_) => "127.0.0.1".to_owned(),
                IpAddr::V6(_) => "::1".to_owned(),
            },
            ip => ip.to_string(),
        },
        port: config.listen.port(),
    };
    let me = asker
        .status(&own)
        .await
        .with_context(|| format!("the node at {own} must be up to be told"))?;
    if !force {
        for peer in &cluster.peers.now {
            let status = asker.status(peer).await.with_context(|| {
                format!("the listed node {peer} does not answer, and may belong to a cluster already; start it, or go on without it: --force")
            })?;
            if let Some(founding) = status.details.founding
                && status.node_id != me.node_id
            {
                bail!(
                    "node '{}' at {peer} belongs to a cluster already (founding {founding}); this one is going to join it",
                    status.node_id
                );
            }
        }
    }
    let mut key = HeaderValue::from_bytes(&cluster_keys.first())?;
    key.set_sensitive(true);
    let answer = asker
        .http
        .post(format!("{}://{own}/cluster/found", asker.scheme))
        .header(CLUSTER_KEY, key)
        .timeout(PATIENCE)
        .json(&serde_json::json!({ "incarnation": me.details.incarnation }))
        .send()
        .await
        .map_err(reqwest::Error::without_url)?;
    if !answer.status().is_success() {
        bail!(
            "the node refused: {}",
            answer.text().await.unwrap_or_default()
        );
    }
    Ok(answer.json::<Founded>().await?.founding)
}

struct Asker {
    http: reqwest::Client,
    scheme: &'static str,
    api_keys: Option<AccessKeys>,
}

impl Asker {
    async fn status(&self, node: &PeerAddress) -> anyhow::Result<Status> {
        let url = format!("{}://{node}/cluster/status?details=true", self.scheme);
        let request = self.http.get(url).timeout(PATIENCE);
        let answer = self
            .with_api_key(request)?
            .send()
            .await
            .map_err(reqwest::Error::without_url)?
            .error_for_status()
            .map_err(reqwest::Error::without_url)?;
        Ok(answer.json().await.map_err(reqwest::Error::without_url)?)
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
