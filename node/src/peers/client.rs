//! Requests to other nodes over HTTP.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cluster::{Address, Answer, Envelope, Request},
    config::{AccessKeys, TlsFiles},
    tls,
};

/// Where nodes take each other's messages. The number is the protocol's major version.
pub const EXCHANGE_PATH: &str = "/cluster/v1/exchange";

const CLUSTER_KEY: HeaderName = HeaderName::from_static("x-cluster-key");
const CONNECT: Duration = Duration::from_secs(2);

/// Speaks to other nodes.
#[derive(Debug)]
pub struct PeerClient {
    http: RwLock<reqwest::Client>,
    tls: Option<TlsFiles>,
    cluster_keys: AccessKeys,
}

impl PeerClient {
    /// A client that shows the first of these keys, and with `tls` the node's own certificate.
    pub fn new(cluster_keys: AccessKeys, tls: Option<TlsFiles>) -> anyhow::Result<Self> {
        Ok(Self {
            http: RwLock::new(build(tls.as_ref())?),
            tls,
            cluster_keys,
        })
    }

    /// Reads the certificates again; what was in force stays in force where they are of no use.
    pub fn reload(&self) -> anyhow::Result<()> {
        let fresh = build(self.tls.as_ref())?;
        *self.http.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Sends a message and waits for its answer.
    pub async fn exchange(
        &self,
        to: &Address,
        message: &Envelope<Request>,
        patience: Duration,
    ) -> anyhow::Result<Envelope<Answer>> {
        self.post(to, EXCHANGE_PATH, message, patience).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        to: &Address,
        path: &str,
        message: &impl Serialize,
        patience: Duration,
    ) -> anyhow::Result<T> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}{path}", to.as_str());
        let http = self
            .http
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut key = HeaderValue::from_bytes(&self.cluster_keys.first())?;
        key.set_sensitive(true);
        let answer = http
            .post(url)
            .header(CLUSTER_KEY, key)
            .timeout(patience)
            .json(message)
            .send()
            .await
            .map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        if !status.is_success() {
            let text = answer.text().await.unwrap_or_default();
            let shown: String = text.chars().take(200).collect();
            anyhow::bail!("it answered {status}: {shown}");
        }
        Ok(answer.json().await.map_err(reqwest::Error::without_url)?)
    }
}

pub(super) fn build(files: Option<&TlsFiles>) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .no_proxy();
    if let Some(files) = files {
        builder = builder.tls_backend_preconfigured(tls::peer_config(files)?);
    }
    builder.build().context("cannot make the client for peers")
}
