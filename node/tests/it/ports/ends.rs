//! Open connections when the certificate behind them ends, or is renewed.

use super::*;

/// An answer on a connection that is kept: its status.
async fn asked<T>(connection: &mut T, request: &str) -> Option<String>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    connection.write_all(request.as_bytes()).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let (_, length) = head.split_once("content-length: ")?;
    let length = length.split_once("\r\n")?.0.parse().unwrap();
    connection.read_exact(&mut vec![0; length]).await.ok()?;
    Some(head.split_whitespace().nth(1)?.to_owned())
}

/// Repeats a request on one connection until the answer changes; gives the new answer.
async fn asked_until_the_end<T>(connection: &mut T, request: &str) -> Option<String>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    timeout(Duration::from_mins(1), async {
        loop {
            let answer = asked(connection, request).await;
            if answer.as_deref() != Some("200") {
                return answer;
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_connection_at_the_port_for_nodes_carries_no_request_once_its_clients_certificate_has_ended()
 {
    let node = Node::start(&[]);
    let leaf = Leaf {
        names: &[OPERATOR],
        usages: OF_CLIENTS,
        days: (-1, 1),
    };
    let mut lasting = node.connect(&node.issue(&leaf)).await;
    let mut ending = node.connect(&node.authority.issue_until(&leaf, 8)).await;
    assert_eq!(asked(&mut ending, ORDER).await.unwrap(), "200");
    assert_eq!(
        asked_until_the_end(&mut ending, ORDER).await.unwrap(),
        "403"
    );
    assert_eq!(asked(&mut ending, ORDER).await, None, "it is closed");
    assert_eq!(asked(&mut lasting, ORDER).await.unwrap(), "200");
}

#[tokio::test]
async fn a_connection_at_the_port_for_nodes_carries_no_request_once_the_nodes_own_certificate_has_ended()
 {
    let authority = Authority::new("nodes");
    let own = authority.issue_until(&Leaf::of_node(NAMES), 8);
    let mut node = Node::start_with(authority, &own, &[]);
    let shown = node.issue(&Leaf {
        names: &[OPERATOR],
        usages: OF_CLIENTS,
        days: (-1, 1),
    });
    // The first connections end with an answer: certificates are put in force once more after the start.
    let mut kept = node.connect(&shown).await;
    while asked(&mut kept, ORDER).await.is_none() || asked(&mut kept, ORDER).await.is_none() {
        kept = node.connect(&shown).await;
    }
    assert_eq!(asked_until_the_end(&mut kept, ORDER).await.unwrap(), "403");

    // A renewed certificate opens the port again.
    let renewed = node.issue(&Leaf::of_node(NAMES));
    let authorities = node.authority.pem();
    node.exchange(&renewed, &authorities);
    let mut again = node.connect(&shown).await;
    assert_eq!(asked(&mut again, ORDER).await.unwrap(), "200");
}

#[tokio::test]
async fn a_connection_of_a_client_outlives_the_renewal_and_the_end_of_the_certificate_that_it_saw()
{
    const READY: &str = "GET /ready HTTP/1.1\r\nHost: node\r\n\r\n";
    let mut node = Node::start(&[]);
    let public = Authority::new("public");
    let leaf = Leaf {
        names: &["127.0.0.1"],
        usages: &OF_NODES[..1],
        days: (-1, 90),
    };
    let folder = node.folder.path().to_owned();
    let write = |pair: &Pair| {
        fs::write(folder.join("client.key"), &pair.key).unwrap();
        fs::write(folder.join("client.crt"), &pair.certificate).unwrap();
    };
    write(&public.issue_until(&leaf, 8));
    node.process.event("https_port_opened");
    let mut kept = connected(node.address("https_address"), &public).await;
    assert_eq!(asked(&mut kept, READY).await.unwrap(), "200");

    // Once the certificate has ended, new clients refuse the node; open connections go on.
    let ended = async {
        while let Ok(mut fresh) = attempt(node.address("https_address"), &public).await {
            asked(&mut fresh, READY).await;
        }
    };
    timeout(Duration::from_mins(1), ended).await.unwrap();
    assert_eq!(asked(&mut kept, READY).await.unwrap(), "200");

    write(&public.issue(&leaf));
    node.process.event("certificates_reloaded");
    let mut fresh = connected(node.address("https_address"), &public).await;
    assert_eq!(asked(&mut fresh, READY).await.unwrap(), "200");
    assert_eq!(asked(&mut kept, READY).await.unwrap(), "200");
}

async fn connected(address: &str, authority: &Authority) -> TlsStream<TcpStream> {
    attempt(address, authority).await.unwrap()
}

/// A client of the port for clients, which verifies the node's certificate.
async fn attempt(address: &str, authority: &Authority) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.pem().as_bytes());
    roots.add(authority.unwrap()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector
        .connect(name, TcpStream::connect(address).await?)
        .await
}
