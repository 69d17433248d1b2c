//! Separate ports for HTTPS, nodes and metrics: which routes each serves, to which callers, and with which certificates.

mod ends;

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
    let node = Node::start(&[]);
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
        let (status, text) = get(&client(), &format!("{clients}{path}")).await;
        assert_eq!(status, 404, "{path}: {text}");
        assert!(text.contains(&format!("port {port} ({setting})")), "{text}");
    }
    for path in ["/cluster/status", "/health", "/ready"] {
        let (status, text) = get(&client(), &format!("{clients}{path}")).await;
        assert_eq!(status, 200, "{path}: {text}");
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
    assert!(
        crate::node::client()
            .get(format!("http://{address}/metrics"))
            .send()
            .await
            .is_err(),
        "there is no plain HTTP"
    );
}

#[tokio::test]
async fn only_a_node_of_this_cluster_and_its_operator_are_let_in_and_the_cluster_key_alone_is_nothing()
 {
    let node = Node::start(&[]);
    let foreign = Authority::new("nodes");
    let refused = [
        ("none", None),
        (
            "of another authority, which has the same name",
            Some(foreign.issue(&Leaf::of_node(NAMES))),
        ),
        (
            "ended",
            Some(node.issue(&Leaf {
                names: NAMES,
                usages: OF_NODES,
                days: (-30, -1),
            })),
        ),
        (
            "not valid yet",
            Some(node.issue(&Leaf {
                names: NAMES,
                usages: OF_NODES,
                days: (1, 30),
            })),
        ),
        (
            "of another name",
            Some(node.issue(&Leaf::of_node(&["b.nodes.example", "localhost"]))),
        ),
        (
            "a client's, with a node's name",
            Some(node.issue(&Leaf {
                names: NAMES,
                usages: OF_CLIENTS,
                days: (-1, 30),
            })),
        ),
        (
            "a server's, with a node's name",
            Some(node.issue(&Leaf {
                names: NAMES,
                usages: &OF_NODES[..1],
                days: (-1, 30),
            })),
        ),
        (
            "an operator's of another cluster",
            Some(foreign.issue(&Leaf {
                names: &[OPERATOR],
                usages: OF_CLIENTS,
                days: (-1, 30),
            })),
        ),
    ];
    for (what, shown) in refused {
        let client = node.authority.client(shown.as_ref());
        let answer = node.ask(&client, Method::GET, "/cluster/status").await;
        assert_eq!(answer, None, "{what}");
    }
    let accepted = node.issue(&Leaf::of_node(&["a.nodes.example"]));
    let client = node.authority.client(Some(&accepted));
    for client in [&client, &node.operator()] {
        let answer = node.ask(client, Method::GET, "/cluster/status").await;
        assert_eq!(answer.unwrap().0, 200);
    }
}

#[tokio::test]
async fn who_only_knocks_at_the_port_for_nodes_hides_no_refused_certificate() {
    let mut node = Node::start(&[]);
    // As port scanners do, which only look whether a port is open.
    let mut knock = TcpStream::connect(node.address("peer_address"))
        .await
        .unwrap();
    knock.shutdown().await.unwrap();
    let mut said = Vec::new();
    knock.read_to_end(&mut said).await.unwrap();
    let foreign = Authority::new("nodes").issue(&Leaf::of_node(NAMES));
    let client = node.authority.client(Some(&foreign));
    assert!(
        node.ask(&client, Method::GET, "/cluster/status")
            .await
            .is_none()
    );
    let refusal = node.process.event("peer_certificate_refused");
    let error = refusal["error"].as_str().unwrap();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn at_the_ports_for_clients_the_cluster_key_is_not_even_compared() {
    let node = Node::start(&[]);
    let clients = format!("http://{}", node.address("address"));
    let peers = node.address("peer_address").rsplit_once(':').unwrap().1;
    for proof in ["ask", "2.0.0.x.x.0.x.x"] {
        let request = client().get(format!("{clients}/cluster/status?details=true"));
        let request = request.header("X-API-Key", API_KEY);
        let answer = request.header("X-OSC-Proof", proof).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{proof}");
        assert!(!answer.headers().contains_key("x-osc-challenge"));
        let text = answer.text().await.unwrap();
        assert!(
            text.contains(&format!("port {peers} (OSC_PEER_PORT)")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn metrics_at_a_port_for_clients_tell_no_more_to_who_has_the_cluster_key_alone() {
    let authority = Authority::new("nodes");
    let leaf = authority.issue(&Leaf::of_node(NAMES));
    let node = Node::start_with(authority, &leaf, &[("OSC_METRICS_BIND", "")]);
    let url = format!("http://{}/metrics", node.address("address"));
    for key in [CLUSTER_KEY, "another cluster key of the tests"] {
        let answer = client().get(&url).header("X-Cluster-Key", key).send();
        let answer = answer.await.unwrap();
        assert_eq!(
            answer.status(),
            200,
            "what is not compared is neither right nor wrong"
        );
        let page = answer.text().await.unwrap();
        assert!(!page.contains("osc_key_"), "{page}");
    }
}

#[tokio::test]
async fn a_certificate_alone_opens_nothing_and_the_operators_is_no_nodes() {
    let node = Node::start(&[]);
    let address = node.address("peer_address");
    for path in ["/cluster/salt", "/admin/log-level", "/cluster/status"] {
        let request = node.operator().get(format!("https://{address}{path}"));
        assert_eq!(request.send().await.unwrap().status(), 403, "{path}");
    }
    let answer = node
        .ask(&node.operator(), Method::POST, "/cluster/v1/exchange")
        .await;
    let (status, body) = answer.unwrap();
    assert_eq!(status, 403, "{body}");
    assert!(
        body["detail"].as_str().unwrap().contains("for nodes"),
        "{body}"
    );
}

/// An address of this machine that others could reach too. The test sends nothing to find it, and traffic to it stays here.
fn outer_address() -> IpAddr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let led = socket.connect("192.0.2.254:9");
    assert!(
        led.is_ok(),
        "the machine needs an address other than loopback's: {led:?}"
    );
    let address = socket.local_addr().unwrap().ip();
    assert!(!address.is_loopback() && !address.is_unspecified());
    address
}

#[tokio::test]
async fn orders_come_from_the_operator_and_a_nodes_certificate_gives_them_on_its_own_machine_only()
{
    let own_address = outer_address();
    let outside = own_address.to_string();
    let authority = Authority::new("nodes");
    let leaf = authority.issue(&Leaf::of_node(&[&outside, "127.0.0.1"]));
    let node = Node::start_with(authority, &leaf, &[("OSC_HOST", "0.0.0.0")]);
    let beside = node.authority.client(Some(&leaf));
    // As the node sees a remote client: the source address differs from the destination address.
    let elsewhere = node.authority.client_from(Some(own_address), Some(&leaf));
    let operator = node.operator_from(Some(own_address));
    let port = |name: &str| node.address(name).rsplit_once(':').unwrap().1.to_owned();
    let (peers, clients) = (port("peer_address"), port("address"));
    let orders = [
        (Method::GET, "/admin/log-level"),
        (Method::PUT, "/admin/log-level"),
        (Method::DELETE, "/admin/configs/k"),
        (Method::GET, "/cluster/salt"),
        (Method::POST, "/cluster/salt"),
        (Method::POST, "/cluster/bootstrap"),
        (Method::POST, "/cluster/leave"),
        (Method::POST, "/cluster/unfence"),
        (
            Method::POST,
            "/cluster/members/n/remove?incarnation=0000000000000000",
        ),
    ];
    let ask = async |client: &Client, url: String, method: &Method| {
        let request = client.request(method.clone(), url);
        let request = request.header("X-Cluster-Key", CLUSTER_KEY);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    };
    for (method, path) in &orders {
        let here = format!("https://127.0.0.1:{peers}{path}");
        let (status, body) = ask(&elsewhere, here.clone(), method).await;
        assert_eq!(status, 403, "{method} {path}: {body}");
        assert!(body.contains("on its own machine only"), "{body}");
        let at_own_address = format!("https://{outside}:{peers}{path}");
        for (client, url) in [
            (&beside, here.clone()),
            (&beside, at_own_address),
            (&operator, here),
        ] {
            let (_, body) = ask(client, url, method).await;
            assert!(!body.contains("own machine"), "{method} {path}: {body}");
        }
        for host in [outside.as_str(), "127.0.0.1"] {
            let url = format!("http://{host}:{clients}{path}");
            let (status, body) = ask(&client(), url, method).await;
            assert_eq!(status, 404, "{method} {path}: {body}");
            assert!(body.contains("(OSC_PEER_PORT)"), "{body}");
        }
    }
    let (status, body) = ask(
        &elsewhere,
        format!("https://127.0.0.1:{peers}/cluster/status"),
        &Method::GET,
    )
    .await;
    assert_eq!(status, 200, "it may look: {body}");
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

#[tokio::test]
async fn clients_reach_the_https_port_from_the_moment_when_its_certificate_comes() {
    let mut node = Node::start(&[("OSC_HTTP_ENABLED", "false")]);
    node.process
        .error_of("certificates_not_reloaded", "client.");
    let https = format!("https://{}/ready", node.address("https_address"));
    let closed = TcpStream::connect(node.address("https_address")).await;
    assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let ready = format!("http://{}/ready", node.address("health_address"));
    let (status, text) = get(&client(), &ready).await;
    assert_eq!(status, 503);
    assert!(text.contains("OSC_HTTPS_PORT is closed"), "{text}");
    assert_eq!(node.tls_status().await["clients"]["open"], false);

    let public = Authority::new("public");
    let shown = node.write_client_certificate(&public);
    node.process.event("https_port_opened");
    assert_eq!(get(&public.client(None), &https).await.0, 200);
    assert_eq!(get(&client(), &ready).await.0, 200);
    let status = node.tls_status().await;
    assert_eq!(status["clients"]["open"], true);
    assert_eq!(status["clients"]["leaf"], fingerprint(&shown.certificate));
    assert_eq!(status["clients"]["error"], Value::Null);

    // A wrong exchange leaves the certificate in force that was.
    fs::write(node.folder.path().join("client.crt"), "no certificate").unwrap();
    node.process.event("certificates_not_reloaded");
    assert_eq!(get(&public.client(None), &https).await.0, 200);
    let status = node.tls_status().await;
    assert_eq!(status["clients"]["leaf"], fingerprint(&shown.certificate));
    let error = status["clients"]["error"].as_str().unwrap();
    assert!(error.contains("holds no certificate"), "{error}");
}

#[tokio::test]
async fn without_a_certificate_for_clients_a_node_with_plain_http_is_ready() {
    let mut node = Node::start(&[]);
    node.process.event("certificates_not_reloaded");
    let ready = format!("http://{}/ready", node.address("address"));
    assert_eq!(get(&client(), &ready).await.0, 200);
    node.write_client_certificate(&node.authority);
    node.process.event("https_port_opened");
    let https = format!("https://{}/ready", node.address("https_address"));
    assert_eq!(get(&node.authority.client(None), &https).await.0, 200);
}

#[tokio::test]
async fn the_nodes_certificate_its_key_and_its_authorities_are_exchanged_while_it_runs() {
    let mut node = Node::start(&[]);
    let tls = node.folder.path().join("tls");
    let old = fingerprint(&node.authority.pem());
    let status = node.tls_status().await;
    assert_eq!(status["node"]["authorities"], json!([old]));
    let kept = node.operator();
    let before = node.ask(&kept, Method::GET, "/cluster/status").await;
    assert_eq!(before.unwrap().0, 200);

    // Both authorities first, then a certificate of the new one, then the new one alone.
    let new = Authority::new("nodes");
    let leaf = node.issue(&Leaf::of_node(NAMES));
    write_node_tls(&tls, &leaf, &(node.authority.pem() + &new.pem()));
    node.process.event("certificates_reloaded");
    let status = node.tls_status().await;
    assert_eq!(status["node"]["leaf"], fingerprint(&leaf.certificate));
    let both = json!([old, fingerprint(&new.pem())]);
    assert_eq!(status["node"]["authorities"], both);
    let renewed = new.issue(&Leaf::of_node(NAMES));
    write_node_tls(&tls, &renewed, &new.pem());
    loop {
        let event = node.process.event("certificates_reloaded");
        if event["leaf"] == fingerprint(&renewed.certificate) && event["authorities"] == 1 {
            break;
        }
    }
    assert_eq!(
        node.ask(&node.operator(), Method::GET, "/cluster/status")
            .await,
        None,
        "what the old authority signed is refused"
    );
    node.authority = new;
    let status = node.tls_status().await;
    assert_eq!(status["node"]["leaf"], fingerprint(&renewed.certificate));
    let metrics = format!("https://{}/metrics", node.address("metrics_address"));
    assert_eq!(get(&node.authority.client(None), &metrics).await.0, 200);
    // A connection from before ends with its next answer.
    drop(node.ask(&kept, Method::GET, "/cluster/status").await);
    let after = node.ask(&kept, Method::GET, "/cluster/status").await;
    assert_eq!(after, None, "the connection outlived its certificate");
}

#[tokio::test]
async fn an_ended_certificate_of_a_node_closes_the_port_for_nodes_and_no_other() {
    let authority = Authority::new("nodes");
    let ended = authority.issue(&Leaf {
        names: NAMES,
        usages: OF_NODES,
        days: (-400, -35),
    });
    let mut node = Node::start_with(authority, &ended, &[]);
    let told = node.process.log();
    assert!(told.contains("certificate_has_ended"), "{told}");
    let operator = node.operator();
    let closed = node.ask(&operator, Method::GET, "/cluster/status").await;
    assert_eq!(closed, None);
    let clients = format!("http://{}", node.address("address"));
    assert_eq!(get(&client(), &format!("{clients}/ready")).await.0, 200);
    let leaf = node.issue(&Leaf::of_node(NAMES));
    write_node_tls(
        &node.folder.path().join("tls"),
        &leaf,
        &node.authority.pem(),
    );
    node.process.event("certificates_reloaded");
    let open = node.ask(&operator, Method::GET, "/cluster/status").await;
    assert_eq!(open.unwrap().0, 200);
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

/// Everything that still comes on a connection.
async fn rest(connection: &mut TlsStream<TcpStream>) -> String {
    let mut text = Vec::new();
    // The test ignores how the connection ends: the node may close without an answer.
    let _ = timeout(Duration::from_secs(20), connection.read_to_end(&mut text))
        .await
        .unwrap();
    String::from_utf8(text).unwrap()
}

/// A certificate of the operator.
fn of_operator(node: &Node) -> Pair {
    node.issue(&Leaf {
        names: &[OPERATOR],
        usages: OF_CLIENTS,
        days: (-1, 1),
    })
}

/// A connection on which the node has answered once.
async fn answered(node: &Node, shown: &Pair) -> TlsStream<TcpStream> {
    let mut connection = node.connect(shown).await;
    connection.write_all(ORDER.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
    connection
}

#[tokio::test]
async fn connections_of_an_authority_that_is_taken_away_carry_no_further_request() {
    let mut node = Node::start(&[]);
    let shown = of_operator(&node);
    let mut idle = answered(&node, &shown).await;
    let mut begun = node.connect(&shown).await;
    let (half, other_half) = ORDER.split_at(ORDER.len() / 2);
    begun.write_all(half.as_bytes()).await.unwrap();
    begun.flush().await.unwrap();

    let new = Authority::new("nodes");
    let leaf = new.issue(&Leaf::of_node(NAMES));
    node.exchange(&leaf, &new.pem());
    let began = Instant::now();
    let _ = begun.write_all(other_half.as_bytes()).await;
    let told = rest(&mut begun).await;
    assert!(
        told.is_empty() || told.starts_with("HTTP/1.1 403"),
        "{told}"
    );
    assert!(!rest(&mut idle).await.contains("HTTP/1.1"));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "they end at once"
    );
}

#[tokio::test]
async fn a_connection_that_outlived_one_exchange_of_certificates_ends_with_the_next() {
    let mut node = Node::start(&[]);
    let mut idle = answered(&node, &of_operator(&node)).await;
    let (old, new) = (node.authority.pem(), Authority::new("nodes"));
    let leaf = node.issue(&Leaf::of_node(NAMES));
    node.exchange(&leaf, &(old + &new.pem()));
    let leaf = new.issue(&Leaf::of_node(NAMES));
    node.exchange(&leaf, &new.pem());
    assert!(!rest(&mut idle).await.contains("HTTP/1.1"));
}

/// The files of a user who mounts the wrong certificate.
fn authority_as_leaf() -> Pair {
    let mut parameters = CertificateParams::new(vec!["a.nodes.example".to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Pair {
        certificate: parameters.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

#[tokio::test]
async fn a_certificate_that_other_nodes_would_refuse_replaces_none_that_they_accept() {
    let authority = Authority::new("nodes");
    let good = authority.issue(&Leaf::of_node(NAMES));
    let mut node = Node::start_with(authority, &good, &[]);
    let tls = node.folder.path().join("tls");
    let authorities = node.authority.pem();
    // The node has read its files for the first time.
    node.process.event("certificates_not_reloaded");
    assert_eq!(node.tls_status().await["node"]["error"], Value::Null);
    let foreign = Authority::new("nodes");
    let of = |usages, days| {
        node.issue(&Leaf {
            names: NAMES,
            usages,
            days,
        })
    };
    let refused = [
        ("of another authority", foreign.issue(&Leaf::of_node(NAMES))),
        ("ended", of(OF_NODES, (-30, -1))),
        ("for serving only", of(&OF_NODES[..1], (-1, 30))),
        ("for asking only", of(OF_CLIENTS, (-1, 30))),
        ("an authority", authority_as_leaf()),
    ];
    for (what, pair) in refused {
        write_node_tls(&tls, &pair, &authorities);
        let refusal = node.process.error_of("certificates_not_reloaded", "refuse")["error"].clone();
        let status = node.tls_status().await;
        assert_eq!(status["node"]["error"], refusal, "{what}");
        let leaf = fingerprint(&good.certificate);
        assert_eq!(status["node"]["leaf"], leaf, "{what}: {refusal}");
        node.exchange(&good, &authorities);
        let status = node.tls_status().await;
        assert_eq!(status["node"]["error"], Value::Null, "{what}");
    }
    // Authorities that did not sign the node's own certificate are no better.
    write_node_tls(&tls, &good, &foreign.pem());
    node.process.event("certificates_not_reloaded");
    let status = node.tls_status().await;
    assert_eq!(
        status["node"]["authorities"],
        json!([fingerprint(&authorities)])
    );
    // The node reports a bundle above the size limit, and does not read it.
    write_node_tls(&tls, &good, &(authorities + &"#".repeat(2 << 20)));
    node.process
        .error_of("certificates_not_reloaded", "larger than 1048576 bytes");
}

fn socket_at(address: SocketAddr, reused: bool) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(reused)?;
    socket.bind(address)?;
    Ok(socket)
}

#[tokio::test]
async fn nobody_else_gets_the_https_port_while_it_waits_for_its_certificate() {
    let node = Node::start(&[]);
    let address: SocketAddr = node.address("https_address").parse().unwrap();
    // Not even a process that shares addresses.
    for reused in [false, true] {
        let error = socket_at(address, reused).map(drop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}

#[tokio::test]
async fn an_https_port_that_another_process_has_is_told_and_opens_when_it_is_free() {
    // It shares the address as long as neither listens.
    let other = socket_at("127.0.0.1:0".parse().unwrap(), true).unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let mut node = Node::start(&[
        ("OSC_HTTP_ENABLED", "false"),
        ("OSC_HTTPS_PORT", port.as_str()),
    ]);
    let other = other.listen(1).unwrap();
    let public = Authority::new("public");
    node.write_client_certificate(&public);
    let told = node.process.event("https_port_not_opened");
    assert!(
        told["error"].as_str().unwrap().contains("cannot listen"),
        "{told}"
    );
    let status = node.tls_status().await;
    assert_eq!(status["clients"]["open"], false);
    assert_eq!(status["clients"]["error"], told["error"]);
    let ready = format!("http://{}/ready", node.address("health_address"));
    let (status, text) = get(&client(), &ready).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("OSC_HTTPS_PORT is closed"), "{text}");

    drop(other);
    node.process.event("https_port_opened");
    let https = format!("https://127.0.0.1:{port}/ready");
    assert_eq!(get(&public.client(None), &https).await.0, 200);
    let status = node.tls_status().await;
    assert_eq!(status["clients"]["open"], true);
    assert_eq!(status["clients"]["error"], Value::Null);
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
