//! How clients reach the node: HTTPS, proxies in front of it, and web pages.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
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
    /// The files of a node's own identity, as Kubernetes mounts a Secret with a certificate.
    fn of_folder(folder: &Path) -> Self {
        Self {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
            key_password: None,
            client_authorities: Some(folder.join("ca.crt")),
        }
    }

    /// All files that must be watched.
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

/// HTTPS for clients on a port of its own.
#[derive(Debug, Clone)]
pub struct ClientHttps {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The certificate files of the port, which may be absent.
    pub files: TlsFiles,
}

/// The ports for clients, and that for other nodes.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) http_enabled: bool,
    pub(super) https: Option<ClientHttps>,
    pub(super) peers: Option<SocketAddr>,
    pub(super) node_tls: Option<TlsFiles>,
}

/// Web origins whose scripts may call the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// `*`
    Any,
    /// Only these origins, such as `https://console.example.org`.
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

/// An address and a port for one purpose.
pub(super) fn bind(values: &mut Values<'_>, name: &str, example: &str) -> Option<SocketAddr> {
    let wanted = format!("an IP address and a port, such as {example}");
    values.parse_optional(name, &wanted)
}

/// The files of HTTPS on the one port.
pub(super) fn tls_files(values: &mut Values<'_>) -> Option<TlsFiles> {
    let enabled = values.boolean("HTTPS_ENABLED");
    enabled.then(|| https_files(values, "OSC_HTTPS_ENABLED=true"))
}

fn https_files(values: &mut Values<'_>, wanted_by: &str) -> TlsFiles {
    let mut file = |name: &str| {
        let path = values.text(name).map(PathBuf::from);
        if path.is_none() {
            let fault = format!("is missing: {wanted_by} needs it");
            values.faults.add(&format!("OSC_{name}"), &fault);
        }
        path.unwrap_or_default()
    };
    TlsFiles {
        certificate: file("SSL_CERTFILE"),
        key: file("SSL_KEYFILE"),
        key_password: values.text("SSL_KEYFILE_PASSWORD").map(Zeroizing::new),
        client_authorities: values.text("SSL_CA_CERTS").map(PathBuf::from),
    }
}

/// The ports beside the one that every node has.
pub(super) fn ports(values: &mut Values<'_>, host: IpAddr) -> Ports {
    let port = |values: &mut Values<'_>, name: &str| -> Option<SocketAddr> {
        let port = values.parse_optional(name, "a port from 0 to 65535")?;
        Some(SocketAddr::new(host, port))
    };
    let http_enabled = values.boolean("HTTP_ENABLED");
    let https = port(values, "HTTPS_PORT").map(|listen| ClientHttps {
        listen,
        files: https_files(values, "OSC_HTTPS_PORT"),
    });
    let peers = port(values, "PEER_PORT");
    let folder = values.text("NODE_TLS_DIR");
    let node_tls = folder.map(|folder| TlsFiles::of_folder(Path::new(&folder)));
    if https.is_some() && values.boolean("HTTPS_ENABLED") {
        let fault = "and OSC_HTTPS_ENABLED=true are both set: the latter makes OSC_HOST_PORT the port for HTTPS; keep one";
        values.faults.add("OSC_HTTPS_PORT", fault);
    }
    if !http_enabled && https.is_none() {
        let fault = "is false, which leaves clients no port; set OSC_HTTPS_PORT";
        values.faults.add("OSC_HTTP_ENABLED", fault);
    }
    if peers.is_some() && node_tls.is_none() {
        let fault = "needs OSC_NODE_TLS_DIR, the folder with the certificates of mutual TLS";
        values.faults.add("OSC_PEER_PORT", fault);
    }
    Ports {
        http_enabled,
        https,
        peers,
        node_tls,
    }
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

/// Requests that a client has on one connection of HTTP/2 at a time.
pub(super) fn http2_streams(values: &mut Values<'_>) -> u32 {
    values
        .within("HTTP2_STREAMS", "a number of requests", 1..=256)
        .unwrap_or(32)
}
