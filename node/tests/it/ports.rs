//! Separate ports for HTTPS, nodes and metrics: which routes each serves, to which callers, and with which certificates.

mod admission;
mod ends;
mod exchanges;
mod https;

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use reqwest::{Certificate, Client, Identity, Method};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    authority::{Authority, Leaf, OF_CLIENTS, OF_NODES, Pair, fingerprint, write_node_tls},
    node::{API_KEY, USER_KEY, client, environment},
    process::{Process, osc_node},
};

const CLUSTER_KEY: &str = "the cluster key of the tests";
const OPERATOR: &str = "operator.opensecureconf.io";
/// The node's certificate has both names; the first leads to it, the second is its own alone.
const NAMES: &[&str] = &["127.0.0.1", "a.nodes.example"];

impl Authority {
    /// A client that trusts this authority alone, and shows this certificate.
    fn client(&self, shown: Option<&Pair>) -> Client {
        self.client_from(None, shown)
    }

    /// The same client, whose connections come from this address.
    fn client_from(&self, from: Option<IpAddr>, shown: Option<&Pair>) -> Client {
        let root = Certificate::from_pem(self.pem().as_bytes()).unwrap();
        let builder = Client::builder().tls_certs_only([root]).no_proxy();
        let mut builder = builder.local_address(from);
        if let Some(Pair { certificate, key }) = shown {
            let identity = Identity::from_pem((certificate.clone() + key).as_bytes()).unwrap();
            builder = builder.identity(identity);
        }
        builder.build().unwrap()
    }
}

/// A node with a port of its own for everything, and its certificates.
struct Node {
    process: Process,
    folder: TempDir,
    authority: Authority,
}

impl Node {
    fn start(more: &[(&str, &str)]) -> Self {
        let authority = Authority::new("nodes");
        let leaf = authority.issue(&Leaf::of_node(NAMES));
        Self::start_with(authority, &leaf, more)
    }

    fn start_with(authority: Authority, leaf: &Pair, more: &[(&str, &str)]) -> Self {
        client();
        let folder = TempDir::new().unwrap();
        write_node_tls(&folder.path().join("tls"), leaf, &authority.pem());
        let mut command = osc_node(folder.path());
        command
            .envs(environment(folder.path()))
            .env("OSC_CLUSTER_KEY", CLUSTER_KEY)
            .env("OSC_NODE_TLS_DIR", "tls")
            .env("OSC_PEER_PORT", "0")
            .env("OSC_HTTPS_PORT", "0")
            .env("OSC_SSL_CERTFILE", "client.crt")
            .env("OSC_SSL_KEYFILE", "client.key")
            .env("OSC_METRICS_BIND", "127.0.0.1:0")
            .env("OSC_HEALTH_BIND", "127.0.0.1:0")
            .envs(more.iter().copied());
        Self {
            process: Process::start_command(&mut command),
            folder,
            authority,
        }
    }

    fn address(&self, port: &str) -> &str {
        self.process.started[port].as_str().unwrap()
    }

    /// A request at the port for nodes.
    async fn ask(&self, client: &Client, method: Method, path: &str) -> Option<(u16, Value)> {
        let url = format!("https://{}{path}", self.address("peer_address"));
        let request = client
            .request(method, url)
            .header("X-Cluster-Key", CLUSTER_KEY);
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        Some((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    fn issue(&self, leaf: &Leaf<'_>) -> Pair {
        self.authority.issue(leaf)
    }

    /// A client with the operator's certificate.
    fn operator(&self) -> Client {
        self.operator_from(None)
    }

    fn operator_from(&self, from: Option<IpAddr>) -> Client {
        let shown = self.issue(&Leaf {
            names: &[OPERATOR],
            usages: OF_CLIENTS,
            days: (-1, 1),
        });
        self.authority.client_from(from, Some(&shown))
    }

    fn write_client_certificate(&self, authority: &Authority) -> Pair {
        let pair = authority.issue(&Leaf {
            names: &["127.0.0.1"],
            usages: &OF_NODES[..1],
            days: (-1, 90),
        });
        fs::write(self.folder.path().join("client.key"), &pair.key).unwrap();
        fs::write(self.folder.path().join("client.crt"), &pair.certificate).unwrap();
        pair
    }

    async fn tls_status(&self) -> Value {
        let answer = self
            .ask(
                &self.operator(),
                Method::GET,
                "/cluster/status?details=true",
            )
            .await;
        answer.unwrap().1["details"]["tls"].clone()
    }
}

async fn get(client: &Client, url: &str) -> (u16, String) {
    let answer = client.get(url).header("X-API-Key", API_KEY).send();
    let answer = answer.await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn each_port_serves_its_own_routes_and_names_the_port_of_the_others() {
    let mut node = Node::start(&[]);
    node.process.event("certificates_not_reloaded");
    node.write_client_certificate(&node.authority);
    node.process.event("https_port_opened");
    let over_tls = node.authority.client(None);
    let https = format!("https://{}", node.address("https_address"));
    let clients = format!("http://{}", node.address("address"));
    let create = client()
        .post(format!("{clients}/configs"))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY)
        .json(&json!({"key": "k", "value": 1}));
    assert_eq!(create.send().await.unwrap().status(), 201);
    let peers = node.address("peer_address").rsplit_once(':').unwrap().1;
    let metrics = node.address("metrics_address").rsplit_once(':').unwrap().1;
    for (path, port, setting) in [
        ("/cluster/salt", peers, "OSC_PEER_PORT"),
        ("/admin/log-level", peers, "OSC_PEER_PORT"),
        ("/cluster/v1/exchange", peers, "OSC_PEER_PORT"),
        ("/metrics", metrics, "OSC_METRICS_BIND"),
    ] {
        for (client, url) in [(&client(), &clients), (&over_tls, &https)] {
            let (status, text) = get(client, &format!("{url}{path}")).await;
            assert_eq!(status, 404, "{url}{path}: {text}");
            assert!(text.contains(&format!("port {port} ({setting})")), "{text}");
        }
    }
    for path in ["/cluster/status", "/health", "/ready"] {
        for (client, url) in [(&client(), &clients), (&over_tls, &https)] {
            let (status, text) = get(client, &format!("{url}{path}")).await;
            assert_eq!(status, 200, "{url}{path}: {text}");
        }
    }

    let operator = node.operator();
    for (path, wanted) in [
        ("/admin/log-level", 200),
        ("/cluster/salt", 200),
        ("/cluster/status", 200),
        ("/configs", 404),
        ("/metrics", 404),
        ("/health", 404),
    ] {
        let (status, body) = node.ask(&operator, Method::GET, path).await.unwrap();
        assert_eq!(status, wanted, "{path}: {body}");
    }
}

#[tokio::test]
async fn metrics_are_served_over_https_with_the_nodes_own_certificate() {
    let node = Node::start(&[]);
    let address = node.address("metrics_address");
    let client = node.authority.client(None);
    let (status, page) = get(&client, &format!("https://{address}/metrics")).await;
    assert_eq!(status, 200);
    assert!(page.contains("osc_key_cache_keys"), "{page}");
    let end = |file: &str| -> i64 {
        let name = format!("osc_certificate_expiry_timestamp_seconds{{file=\"{file}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap().parse().unwrap()
    };
    let now = jiff::Timestamp::now().as_second();
    let hours = (end("node_certificate") - now) / 3600;
    assert!((364 * 24..=365 * 24).contains(&hours), "{hours}");
    assert!(end("node_authorities") > now);
    assert_eq!(end("certificate"), 0, "there is none yet");
    let plain = get(&crate::node::client(), &format!("http://{address}/metrics")).await;
    assert_eq!(plain.0, 400, "there is no plain HTTP: {plain:?}");
}

#[tokio::test]
async fn the_connections_of_each_port_are_counted() {
    let node = Node::start(&[]);
    let held = node.operator();
    let refused = node.authority.client(None);
    assert_eq!(
        node.ask(&refused, Method::GET, "/cluster/status").await,
        None
    );
    let scraper = node.authority.client(None);
    let url = format!("https://{}/metrics", node.address("metrics_address"));
    let mut page = String::new();
    for (line, why) in [
        (r#"osc_connections_open{port="metrics"} 1"#, "the scraper's"),
        (
            r#"osc_connections_open{port="peers"} 1"#,
            "the operator's, which is kept open",
        ),
        (
            r#"osc_connections_closed_total{port="peers",reason="handshake"} 1"#,
            "one without a certificate",
        ),
        (r#"osc_connections_open{port="http"} 0"#, "nobody's"),
        (r#"osc_connections_open{port="https"} 0"#, "it is closed"),
        (
            r#"osc_connections_refused_total{port="peers",reason="full"} 0"#,
            "none",
        ),
    ] {
        for _ in 0..100 {
            node.ask(&held, Method::GET, "/cluster/status").await;
            page = get(&scraper, &url).await.1;
            if page.lines().any(|shown| shown == line) {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        assert!(page.contains(line), "{why}: {page}");
    }
}

#[test]
fn what_does_not_go_together_stops_the_start_with_its_name() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (
            &[("OSC_PEER_PORT", "0")],
            "OSC_PEER_PORT needs OSC_NODE_TLS_DIR",
        ),
        (
            &[("OSC_HTTP_ENABLED", "false")],
            "OSC_HTTP_ENABLED is false, which leaves clients no port",
        ),
        (
            &[("OSC_HTTPS_PORT", "0")],
            "OSC_SSL_CERTFILE is missing: OSC_HTTPS_PORT needs it",
        ),
        (
            &[
                ("OSC_HTTPS_PORT", "0"),
                ("OSC_HTTPS_ENABLED", "true"),
                ("OSC_SSL_CERTFILE", "c"),
                ("OSC_SSL_KEYFILE", "k"),
            ],
            "OSC_HTTPS_PORT and OSC_HTTPS_ENABLED=true are both set",
        ),
        (
            &[("OSC_PEER_PORT", "0"), ("OSC_NODE_TLS_DIR", "nowhere")],
            "OSC_NODE_TLS_DIR: cannot read certificates from nowhere/tls.crt",
        ),
    ];
    for (settings, complaint) in cases {
        let folder = TempDir::new().unwrap();
        let output = osc_node(folder.path())
            .env("OSC_HOST_PORT", "0")
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(complaint), "{text}");
        let made = folder.path().join("configurations.db").exists();
        assert!(!made, "nothing is created");
    }
}

#[tokio::test]
async fn an_address_has_its_quarter_of_both_ports_for_clients_together() {
    let mut node = Node::start(&[("OSC_MAX_CONNECTIONS", "64")]);
    node.write_client_certificate(&node.authority);
    node.process.event("https_port_opened");
    let scraper = node.authority.client(None);
    let url = format!("https://{}/metrics", node.address("metrics_address"));
    let counted = async |line: &str| {
        let mut page = String::new();
        for _ in 0..100 {
            page = get(&scraper, &url).await.1;
            if page.contains(line) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("no {line}: {page}");
    };
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(TcpStream::connect(node.address("address")).await.unwrap());
    }
    counted("osc_connections_open{port=\"http\"} 10\n").await;
    for _ in 0..10 {
        let connection = TcpStream::connect(node.address("https_address"));
        held.push(connection.await.unwrap());
    }
    // A quarter of 64 is 16.
    counted("osc_connections_refused_total{port=\"https\",reason=\"address\"} 4\n").await;
    counted("osc_connections_open{port=\"https\"} 6\n").await;
}

/// A request of the operator on a connection that it keeps.
const ORDER: &str = "GET /admin/log-level HTTP/1.1\r\nHost: node\r\nX-Cluster-Key: the cluster key of the tests\r\n\r\n";

impl Node {
    /// A connection at the port for nodes, with this certificate.
    async fn connect(&self, shown: &Pair) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.pem().as_bytes());
        roots.add(authority.unwrap()).unwrap();
        let chain = CertificateDer::from_pem_slice(shown.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![chain], key);
        let stream = TcpStream::connect(self.address("peer_address"));
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = TlsConnector::from(Arc::new(config.unwrap()));
        connector
            .connect(name, stream.await.unwrap())
            .await
            .unwrap()
    }

    /// Puts another certificate and other authorities in force, and waits until they are.
    fn exchange(&mut self, leaf: &Pair, authorities: &str) {
        let tls = self.folder.path().join("tls");
        write_node_tls(&tls, leaf, authorities);
        let wanted = fingerprint(&leaf.certificate);
        while self.process.event("certificates_reloaded")["leaf"] != wanted {}
    }
}
