//! Certificates of a node that are exchanged while it runs, and the connections under them.

use super::*;

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
        ("not begun", of(OF_NODES, (1, 30))),
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

#[tokio::test]
async fn where_no_certificate_is_better_one_that_other_nodes_refuse_is_in_force_and_told() {
    let authority = Authority::new("nodes");
    let serving_only = Leaf {
        names: NAMES,
        usages: &OF_NODES[..1],
        days: (-1, 30),
    };
    let first = authority.issue(&serving_only);
    let mut node = Node::start_with(authority, &first, &[]);
    let tls = node.folder.path().join("tls");
    let told = node.process.event("certificates_refused_by_nodes");
    assert_eq!(told["certificate"], "node", "{told}");
    let status = node.tls_status().await;
    assert_eq!(status["node"]["leaf"], fingerprint(&first.certificate));
    assert_eq!(status["node"]["error"], told["error"]);
    assert!(told["error"].as_str().unwrap().contains("refuse"), "{told}");

    // One that is no better is taken all the same: the one in force is refused, too.
    let second = node.issue(&serving_only);
    write_node_tls(&tls, &second, &node.authority.pem());
    let taken = fingerprint(&second.certificate);
    while node.process.event("certificates_reloaded")["leaf"] != taken {}
    assert_eq!(node.tls_status().await["node"]["error"], told["error"]);

    let good = node.issue(&Leaf::of_node(NAMES));
    node.exchange(&good, &node.authority.pem());
    assert_eq!(node.tls_status().await["node"]["error"], Value::Null);
    let log = node.process.log();
    let times = log.matches("certificates_refused_by_nodes").count();
    assert_eq!(times, 1, "the same words once: {log}");
}
