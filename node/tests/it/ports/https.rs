//! The port for clients over HTTPS, which opens with its certificate.

use super::*;
use crate::raw_http::RawHttp;

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
async fn plain_http_at_a_port_of_https_is_answered_with_what_the_port_speaks() {
    let mut node = Node::start(&[]);
    node.write_client_certificate(&node.authority);
    node.process.event("https_port_opened");
    for port in ["https_address", "peer_address"] {
        let address = format!("http://{}", node.address(port));
        let body = "a".repeat(100_000);
        for request in [
            "GET /ready HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            format!(
                "POST /configs HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        ] {
            let mut connection = RawHttp::connect(&address).await;
            connection.send(request).await;
            let answer = connection.answer().await.unwrap();
            answer.assert_refusal(400);
            assert!(answer.body.contains("use https://"), "{answer:?}");
            assert!(answer.closes(), "{answer:?}");
        }
    }
    let https = format!("https://{}/ready", node.address("https_address"));
    assert_eq!(get(&node.authority.client(None), &https).await.0, 200);
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
