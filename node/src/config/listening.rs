//! How clients reach the node: HTTPS, proxies in front of it, and web pages.

use std::{
    net::{IpAddr, Ipv4Addr, ToSocketAddrs},
    path::PathBuf,
};

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::Values;

/// The files that HTTPS needs.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Passphrase of an encrypted private key.
    pub key_password: Option<Zeroizing<String>>,
    /// Certificate authorities of clients, PEM.
    pub client_authorities: Option<PathBuf>,
}

impl TlsFiles {
    /// All files, for those who watch them.
    pub fn paths(&self) -> Vec<PathBuf> {
        [&self.certificate, &self.key]
            .into_iter()
            .chain(&self.client_authorities)
            .cloned()
            .collect()
    }
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFiles")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// Web origins whose scripts may call the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// `*`
    Any,
    /// These only, such as `https://console.example.org`.
    These(Vec<http::HeaderValue>),
}

/// The address to listen on: an IP address, or a name such as `localhost`, of which IPv4 is preferred.
pub(super) fn host(values: &mut Values<'_>) -> IpAddr {
    const FALLBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let text = values.text("HOST").unwrap_or_default();
    if let Ok(address) = text.parse() {
        return address;
    }
    let found: Vec<_> = (text.as_str(), 0)
        .to_socket_addrs()
        .map(|found| found.map(|found| found.ip()).collect())
        .unwrap_or_default();
    let preferred = found.iter().find(|address| address.is_ipv4());
    if let Some(address) = preferred.or(found.first()) {
        return *address;
    }
    values.faults.add(
        "OSC_HOST",
        &format!("must be an IP address or a name of one, not '{text}'"),
    );
    FALLBACK
}

pub(super) fn tls_files(values: &mut Values<'_>) -> Option<TlsFiles> {
    if !values.boolean("HTTPS_ENABLED") {
        return None;
    }
    let mut file = |name: &str| {
        let path = values.text(name).map(PathBuf::from);
        if path.is_none() {
            values.faults.add(
                &format!("OSC_{name}"),
                "is missing: OSC_HTTPS_ENABLED=true needs it",
            );
        }
        path.unwrap_or_default()
    };
    Some(TlsFiles {
        certificate: file("SSL_CERTFILE"),
        key: file("SSL_KEYFILE"),
        key_password: values.text("SSL_KEYFILE_PASSWORD").map(Zeroizing::new),
        client_authorities: values.text("SSL_CA_CERTS").map(PathBuf::from),
    })
}

pub(super) fn trusted_proxies(values: &mut Values<'_>) -> Vec<IpNet> {
    let list = values.text("TRUSTED_PROXIES").unwrap_or_default();
    let read = |text: &str| {
        let network = text.parse();
        network
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .ok()
    };
    values.items(
        "OSC_TRUSTED_PROXIES",
        "list addresses or networks",
        list.split(','),
        read,
    )
}

pub(super) fn cors_origins(values: &mut Values<'_>) -> Option<CorsOrigins> {
    let list = values.text("CORS_ORIGINS")?;
    if list.trim_matches([',', ' ']) == "*" {
        return Some(CorsOrigins::Any);
    }
    let read = |text: &str| {
        let (scheme, host) = text.split_once("://")?;
        let is_origin =
            matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains(['/', '*']);
        text.parse().ok().filter(|_| is_origin)
    };
    Some(CorsOrigins::These(values.items(
        "CORS_ORIGINS",
        "be * or list origins such as https://console.example.org",
        list.split(','),
        read,
    )))
}

/// Clients' connections at most.
pub(super) fn max_connections(values: &mut Values<'_>) -> usize {
    values
        .within("MAX_CONNECTIONS", "a number of connections", 64..=65_536)
        .unwrap_or(4096)
}
