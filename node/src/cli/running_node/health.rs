//! `osc-node health`: asks the running node with these settings, for images without a shell.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use opensecureconf_contract::route;

use crate::config::Config;

/// A probe that takes longer has failed; Docker's own limit in the image is longer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest part of an answer that is shown.
const MOST_TEXT: usize = 1024;

/// The kind of probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// `/health`: the process does its work.
    Health,
    /// `/ready`: it serves entries.
    Ready,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Self::Health => route::HEALTH,
            Self::Ready => route::READY,
        }
    }
}

/// Probes the node with this configuration; at its listener for health, where it has one.
///
/// # Errors
/// Where the node does not answer within five seconds, or answers anything but 200; the error contains the answer.
pub(crate) async fn probe(
    config: &Config,
    health_bind: Option<SocketAddr>,
    probe: Probe,
) -> anyhow::Result<()> {
    let https = config.https.as_ref().filter(|_| !config.http_enabled);
    let (scheme, address) = match (health_bind, https) {
        (Some(address), _) => ("http", address),
        (None, Some(https)) => ("https", https.listen),
        (None, None) if config.tls.is_some() => ("https", config.listen),
        (None, None) => ("http", config.listen),
    };
    let address = local(address);
    ensure!(
        address.port() != 0,
        "the port is 0, so the node took a free one: name it with OSC_HOST_PORT or OSC_HTTPS_PORT"
    );
    let url = format!("{scheme}://{address}{}", probe.path());
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // Its certificate names the Service and not this address. No secret is sent, so none can be stolen.
        .tls_danger_accept_invalid_certs(true)
        .timeout(TIMEOUT)
        .build()?;
    let mut answer = client
        .get(&url)
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("no answer from {url}"))?;
    if answer.status().is_success() {
        return Ok(());
    }
    let status = answer.status();
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await?
        && text.len() < MOST_TEXT
    {
        text.extend_from_slice(&chunk);
    }
    text.truncate(MOST_TEXT);
    bail!("{url} answers {status}: {}", String::from_utf8_lossy(&text))
}

/// A node that listens everywhere listens here too.
fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
