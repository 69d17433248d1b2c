//! Who is let in at which port, with which certificate and key.

use super::*;

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
            Some(node.issue(&Leaf::of_node(&[
                "b.nodes.example",
                "localhost",
                "127.0.0.1",
            ]))),
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
